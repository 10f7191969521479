"""compose.yaml and what stands beside it: its passwords are made by one command, and made once."""

import re
import shutil
import subprocess
from pathlib import Path

import yaml
from click.testing import CliRunner

from moie_worker.doors.cli.main import moie

ROOT = Path(__file__).parents[2]
ASKED = re.compile(r"\$\{(\w+):\?")


def test_workers_and_beats_are_asked_whether_they_live_by_commands_that_are_there() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    for kind in ("worker", "beat"):
        told, name, *args = services[kind]["healthcheck"]["test"]
        assert (told, name) == ("CMD", "moie")
        assert CliRunner().invoke(moie, [*args, "--help"]).exit_code == 0


def test_who_looks_reads_the_home_and_who_operates_keeps_snapshots_there() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    home = services["worker"]["volumes"]
    assert services["operate"]["volumes"] == services["beat"]["volumes"] == home
    assert services["look"]["volumes"] == [f"{home[0]}:ro"]


def passwords(directory: Path) -> dict[str, str]:
    """Run deploy/passwords.sh in a copy of the folder; what .env says then."""
    (directory / "deploy").mkdir(exist_ok=True)
    for name in ("passwords.sh", ".env.example"):
        shutil.copy(ROOT / "deploy" / name, directory / "deploy" / name)
    subprocess.run([directory / "deploy" / "passwords.sh"], check=True, capture_output=True)
    pairs = (line.partition("=") for line in (directory / ".env").read_text().splitlines() if not line.startswith("#"))
    return {name: value for name, _, value in pairs if name}


def test_everything_that_compose_asks_for_gets_a_password_of_its_own(tmp_path: Path) -> None:
    found = passwords(tmp_path)
    compose = (ROOT / "compose.yaml").read_text()
    asked = set(ASKED.findall(str(yaml.safe_load(compose))))
    assert asked == {name for name in found if name.endswith("PASSWORD")}
    assert len({found[name] for name in asked}) == len(asked) > 5
    assert all(re.fullmatch("[0-9a-f]{48}", found[name]) for name in asked)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_what_is_there_stays_and_what_an_upgrade_brings_is_added(tmp_path: Path) -> None:
    old = "MOIE_REDIS_PASSWORD=mine\nMOIE_FLOWER_PASSWORD=\nMOIE_QUEUES=gpu\n"
    (tmp_path / ".env").write_text(old)
    first = passwords(tmp_path)
    assert (first["MOIE_REDIS_PASSWORD"], first["MOIE_QUEUES"]) == ("mine", "gpu")
    assert first["MOIE_FLOWER_PASSWORD"]
    assert passwords(tmp_path) == first
