"""`moie lint` as a script uses it: what it prints and how it ends, without a Redis."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from moie_worker.doors.cli.main import moie

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"


def run(*args: str, stdin: str = "") -> Result:
    return CliRunner().invoke(moie, ["lint", *args], input=stdin)


def plan(*jobs: dict[str, Any]) -> str:
    return json.dumps(
        {"version": 3, "phases": [{"id": 1, "name": "ONE", "jobs": [{"task": "t"} | job for job in jobs]}]}
    )


def test_findings_are_printed_and_end_with_one() -> None:
    done = run(str(DATA / "phase5_proposal.json"))
    assert done.exit_code == 1
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:4]] == [
        ["5.1", "grep-for-a-name"],
        ["5.3", "asks-for-help"],
        ["5.4", "grep-for-a-name"],
    ]
    assert done.stdout.splitlines()[-1].endswith("5 checks, 3 findings in 3 jobs")


def test_json_is_a_list_of_findings() -> None:
    done = run("--json", "-", stdin=plan({"id": "a", "verification_cmd": "pytest || true"}))
    (only,) = json.loads(done.stdout)
    assert (done.exit_code, only["job"], only["rule"]) == (1, "a", "swallowed-failure")
    assert "`|| true`" in only["message"]
    assert set(only) == {"job", "rule", "message"}


def test_nothing_found_ends_with_zero() -> None:
    good = plan({"id": "a", "verification_cmd": "test -s out.csv"})
    assert (run("-", stdin=good).stdout, run("-", stdin=good).exit_code) == (
        "standard input: 1 check, nothing found\n",
        0,
    )
    assert json.loads(run("--json", "-", stdin=good).stdout) == []


def test_a_document_that_cannot_be_read_ends_with_two() -> None:
    done = run("-", stdin=plan({"id": "a"}))
    assert done.exit_code == 2
    assert "verification_cmd" in done.stderr
    assert run("no-such-file.yaml").exit_code == 2


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_have_checks_that_can_fail(path: Path) -> None:
    done = run(str(path))
    assert (done.exit_code, "nothing found" in done.stdout) == (0, True), done.stdout
