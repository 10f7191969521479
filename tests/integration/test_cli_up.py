"""`moie up` as a user runs it: everything comes, a plan is brought to its end, and nothing is left behind."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.celery_kit import wait_until

pytestmark = pytest.mark.integration

PLAN = """
version: 3
meta: {project: Up}
phases:
  - id: 1
    name: ONE
    jobs:
      - {id: "1.1", task: by name, verification_cmd: "moie_is=$(command -v celery); test -n \\"$moie_is\\""}
      - {id: "1.2", task: elsewhere, verification_cmd: "test -n \\"$FLOWER_URL\\"", pass_env: [FLOWER_URL], queue: side}
  - id: 2
    name: TWO
    jobs: [{id: "2.1", task: watch, status: cyclic, verification_cmd: "true", schedule: {every: 1s}}]
"""


@dataclass(frozen=True)
class Home:
    """Runs `moie` on a home of its own."""

    path: Path

    def run(self, *args: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "moie_worker", *args],
            env=self.environment, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MOIE_")}
        return kept | {"MOIE_HOME": str(self.path)}

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("status", "--json"))
        return found

    def pids(self) -> list[int]:
        """Processes that have this home in their environment."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.path).encode() in (process / "environ").read_bytes():
                    found.append(int(process.name))
        return found

    def kill(self) -> None:
        """End everything at once, as a power cut does."""
        for pid in self.pids():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home")
    (tmp_path / "plan.yaml").write_text(PLAN)
    yield made
    made.kill()  # what a failed test left


def test_everything_runs_detached_and_ends_without_a_trace(home: Home, tmp_path: Path) -> None:
    plan = str(tmp_path / "plan.yaml")
    said = home.run("up", "--detach", "--plan", plan, "--heartbeat", "1s")
    address = re.search(r"Flower  (\S+)", said)
    assert address
    assert "Plan    default loaded, revision 1: 3 jobs" in said
    assert urllib.request.urlopen(f"{address[1]}/healthcheck", timeout=10).status == 200
    wait_until(lambda: home.status()["sovereign"] and home.status()["heartbeats"] > 0, "the plan's end", 30)
    wait_until(lambda: json.loads(home.run("job", "2.1", "--json"))["evidence"].get("outcome"), "a cyclic run")
    assert home.status()["queues_without_worker"] == []
    assert "moie already runs on" in home.run("up", code=1)
    home.run("heartbeat")
    home.run("health")
    assert "the data stay in" in home.run("down")
    wait_until(lambda: not home.pids(), "the end of everything")
    assert "nothing runs on" in home.run("down", code=1)
    home.run("status", code=3)


def test_what_was_killed_goes_on_with_its_data_and_its_queues(home: Home, tmp_path: Path) -> None:
    plan = str(tmp_path / "plan.yaml")
    home.run("up", "--detach", "--no-flower", "--plan", plan)
    home.kill()
    wait_until(lambda: not home.pids(), "the end of everything")
    said = home.run("up", "--detach", "--no-flower", "--plan", plan)
    assert "default is as it was, revision 1" in said
    assert home.status()["queues_without_worker"] == []
    home.run("down")


def test_a_bad_plan_starts_nothing(home: Home, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 4\n")
    assert "is not known" in home.run("up", "--plan", str(tmp_path / "bad.yaml"), code=2)
    assert not home.path.exists()
    home.run("up", "--heartbeat", "soon", code=2)
