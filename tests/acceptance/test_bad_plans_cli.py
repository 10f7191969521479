"""Every bad document, through the command line: exit code 2, one clear message, an untouched Redis."""

import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.cli_kit import Cli, cli, digest
from tests.unit.plan.bad_plans import BAD_PLANS, BadPlan

__all__ = ["cli"]

GOOD = 'version: 3\nphases: [{id: 1, name: ONE, jobs: [{id: a, task: t, verification_cmd: "true"}]}]\n'
WORDED_BY_THE_ACTION = "an action with wrong parameters"  # the table has the words of an action of its own tests
REAL = ("an unknown action", "a circle of three", "an unknown catch-up", "a bad name in the environment")


@pytest.fixture
def before(cli: Cli, redis_client: "redis.Redis", tmp_path: Path) -> str:
    """The digest of a Redis in which a good plan is loaded."""
    good = tmp_path / "good.yaml"
    good.write_text(GOOD)
    cli.says("load", str(good))
    return digest(redis_client)


def written(bad: BadPlan, directory: Path) -> str:
    file = directory / "bad.yaml"
    file.write_bytes(bad.read())
    return str(file)


@pytest.mark.parametrize("bad", BAD_PLANS, ids=lambda bad: bad.name)
def test_a_bad_plan_is_refused_and_nothing_is_touched(
    bad: BadPlan, cli: Cli, before: str, redis_client: "redis.Redis", tmp_path: Path
) -> None:
    done = cli.run("load", written(bad, tmp_path))
    assert done.exit_code == 2, done.output
    expect = bad.expect.partition(": ")[0] if bad.name == WORDED_BY_THE_ACTION else bad.expect
    assert expect in done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert len(done.stderr) < 20_000
    assert digest(redis_client) == before


@pytest.mark.parametrize("bad", [bad for bad in BAD_PLANS if bad.name in REAL], ids=lambda bad: bad.name)
@pytest.mark.parametrize("command", [("load",), ("validate",), ("load", "--dry-run"), ("migrate", "--to", "2")])
def test_a_bad_plan_is_refused_by_every_command_of_a_real_process(
    command: tuple[str, ...], bad: BadPlan, before: str, redis_client: "redis.Redis", tmp_path: Path
) -> None:
    argv = [sys.executable, "-m", "moie_worker", command[0], written(bad, tmp_path), *command[1:]]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2, done.stderr
    assert bad.expect in done.stderr
    assert "Traceback" not in done.stderr
    assert digest(redis_client) == before


@pytest.mark.parametrize(
    ("name", "said"),
    [("missing.yaml", "No such file"), (".", "Is a directory"), ("a\0b", "null byte"), ("x" * 5000, "too long")],
    ids=["missing", "directory", "NUL", "endless"],
)
def test_a_file_that_cannot_be_read_is_bad_input(cli: Cli, name: str, said: str) -> None:
    assert said in cli.fails(2, "load", name)


def test_the_table_has_at_least_sixty_rows_and_the_real_ones_are_in_it() -> None:
    assert len(BAD_PLANS) >= 60
    assert {bad.name for bad in BAD_PLANS} >= set(REAL)
