"""The how-to on own actions does what it says."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import yaml

from moie_worker.actions.registry import GROUP, load
from moie_worker.plan.model import Plan
from moie_worker.plan.states import Outcome
from tests.web_kit import Bench, bench

ROOT = Path(__file__).parents[2]
EXAMPLE = re.compile(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
EXAMPLES = dict(EXAMPLE.findall((ROOT / "docs" / "how-to" / "own-action.md").read_text(encoding="utf-8")))


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench beside the files of the examples."""
    for name, text in EXAMPLES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with bench(tmp_path) as made:
        yield made


def test_the_action_is_found_checked_and_run_as_the_plan_says(table: Bench) -> None:
    entries = tomllib.loads(EXAMPLES["pyproject.toml"])["project"]["entry-points"][GROUP]
    registry = load([EntryPoint(name, value, GROUP) for name, value in entries.items()])
    assert registry.broken == {}
    (job,) = Plan.model_validate(yaml.safe_load(EXAMPLES["plan.yaml"])).phases[0].jobs
    assert job.action is not None
    assert list(registry.check(job.action.use, job.action.params)) == []
    assert [path for path, _ in registry.check("disk_report", {"limit": "x", "pth": 1})] == ["with.limit", "with.pth"]
    evidence = registry.run(job.action.use, table.context({"path": str(table.data_dir), "limit": 100}, job.id))
    assert evidence.outcome is Outcome.PASSED, evidence.message
    assert (table.data_dir / "disk" / "1.1.txt").exists()


def test_the_test_of_the_example_passes(table: Bench) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(table.data_dir)]
    run = subprocess.run(command, cwd=table.data_dir, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3 passed" in run.stdout
