"""`moie lint --prove` and `--runs`: what running checks and their negatives shows, with real commands."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from moie_worker.doors.cli.main import moie

pytestmark = pytest.mark.integration

ABSENT = "no-such-program-anywhere"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOIE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lint(*args: str, **job: Any) -> list[tuple[str, str]]:
    """The rules that are broken, and what is said; the exit code must fit."""
    jobs = [{"id": "a", "task": "t"} | job]
    document = json.dumps({"version": 3, "phases": [{"id": 1, "name": "ONE", "jobs": jobs}]})
    done = CliRunner().invoke(moie, ["lint", "--json", *args, "-"], input=document)
    found = [(one["rule"], one["message"]) for one in json.loads(done.stdout)]
    assert done.exit_code == (1 if found else 0), done.output
    return found


def test_a_check_that_says_no_without_its_files_is_proven(home: Path) -> None:
    (home / "out.csv").write_text("1\n")
    assert lint("--prove", verification_cmd="test -s out.csv") == []
    assert lint("--prove", verification_cmd="test -s out.csv", cwd=str(home)) == []


def test_a_check_that_says_yes_in_an_empty_directory_is_not(home: Path) -> None:
    (home / "out.csv").write_text("1\n")
    ((rule, message),) = lint("--prove", verification_cmd=f"test -s {home}/out.csv")
    assert rule == "passes-on-negative"
    assert "write `expect_fail: {cmd: …}`" in message


def test_a_negative_of_its_own_proves_a_check_that_names_no_file(home: Path) -> None:
    (home / "out.csv").write_text("1\n")
    check = f'test -s "${{REPORT:-{home}/out.csv}}"'
    assert lint("--prove", verification_cmd=check, expect_fail={"cmd": 'REPORT=/absent sh -c "$MOIE_CHECK"'}) == []


def test_a_negative_may_prepare_its_directory(home: Path) -> None:
    rows = 'test "$(wc -l < out.csv)" -ge 2'
    too_few = {"cmd": 'echo 1 > out.csv; sh -c "$MOIE_CHECK"'}
    assert lint("--prove", verification_cmd=rows, expect_fail=too_few) == []
    assert not (home / "out.csv").exists()
    blind = lint("--prove", verification_cmd=["test", "-s", "out.csv"], expect_fail=too_few)
    assert [rule for rule, _ in blind] == ["passes-on-negative"]


@pytest.mark.parametrize(("command", "why"), [(ABSENT, "command not found"), ("sleep 30", "timed out after 0.3 s")])
def test_a_negative_that_says_nothing_proves_nothing(command: str, why: str) -> None:
    ((rule, message),) = lint("--prove", verification_cmd="test -s x", timeout="300ms", expect_fail={"cmd": command})
    assert rule == "negative-broken"
    assert why in message


def test_a_check_that_ends_alike_each_time_is_not_flaky(home: Path) -> None:
    assert lint("--runs", "3", verification_cmd="echo x >> runs; test -s runs") == []
    assert (home / "runs").read_text() == "x\n" * 3


def test_a_check_that_ends_otherwise_now_and_then_is_scored() -> None:
    third = 'echo x >> runs; test "$(wc -l < runs)" -ne 3'
    ((rule, message),) = lint("--runs", "4", verification_cmd=third)
    assert (rule, message) == ("flaky", "flake score 0.25: of 4 runs 3 passed, 1 failed")


def test_nothing_is_run_unless_asked_for(home: Path) -> None:
    assert lint(verification_cmd="touch ran", expect_fail={"cmd": "touch ran"}) == []
    assert not (home / "ran").exists()
