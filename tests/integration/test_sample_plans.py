"""The real plans, brought from where they stand to their verified end by real processes."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from moie_worker.adapters.redis.fleet import RedisFleet
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.plan.compile import compile_plan
from moie_worker.plan.flow import SOVEREIGN
from moie_worker.plan.reading import read_plan
from moie_worker.plan.states import Place
from tests.celery_kit import celery_process, wait_until

pytestmark = pytest.mark.integration

DATA = Path(__file__).parents[1] / "data"
BEAT = "0.5s"  # nobody wants to wait ten minutes for a heartbeat here


@dataclass(frozen=True)
class Running:
    """A worker and a beat in a directory that the plan's commands see."""

    store: RedisStore
    fleet: RedisFleet
    where: Path

    def load(self, document: bytes) -> None:
        """Load and let it begin."""
        found = read_plan(document, name="sample.json", now=datetime(2026, 1, 1, tzinfo=UTC), actions={})
        self.store.load(
            compile_plan(found.plan, 0, imported=found.report.version < 3),
            self.store.overview().flags.revision,
            "test",
            "",
        )
        while self.store.apply():
            pass
        self.fleet.add_plan(self.store.plan)
        self.fleet.ring(self.store.plan)

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Create what a job of the plan waits for."""
        path = self.where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def frontier(self) -> int:
        return self.store.overview().flags.frontier

    def reached(self) -> list[int]:
        """Phases in the order in which they were reached."""
        return [e.data["phase"] for e in self.store.read_journal(10_000) if e.event == "phase.reached"]

    def done(self, job: str) -> bool:
        return self.store.job(job).place == Place.COMPLETED


@pytest.fixture
def running(redis_url: str, redis_client: "redis.Redis", tmp_path: Path) -> Iterator[Running]:
    where = tmp_path / "work"
    where.mkdir()
    env = {
        "MOIE_REDIS_URL": redis_url,
        "MOIE_HOME": str(tmp_path / "home"),
        "MOIE_HEARTBEAT": BEAT,
        "MOIE_HEARTBEAT_STALE": "60s",
    }
    with ExitStack() as stack:
        for part in ("worker", "beat"):
            args = ["moie_worker", part] + (["--pidfile="] if part == "beat" else [])
            stack.enter_context(celery_process(tmp_path / f"{part}.log", args, env, cwd=where))
        yield Running(RedisStore(redis_client, "sample"), RedisFleet(redis_client), where)


def test_the_first_generation_plan_ends_when_what_it_waits_for_appears(running: Running) -> None:
    running.load((DATA / "sovereign_state_v1.json").read_bytes())
    wait_until(lambda: running.store.job("1.2").place == Place.WAITING, "1.2 was looked at")
    assert running.frontier() == 1
    running.write("steps/file-system.step", "safe_mode")
    wait_until(lambda: running.done("1.2"), "1.2 is verified")
    assert not running.done("1.3")
    running.write("research_logs/daily.md", "")
    wait_until(lambda: running.frontier() == 2, "phase 2 is active")
    running.write("models/inventory.txt", "llama3\n")
    wait_until(lambda: running.frontier() == 3, "phase 3 is active")
    running.write("experts/registry.json", "{}")
    running.write("bin/route", "#!/bin/sh\nexit 0\n", 0o755)
    wait_until(lambda: running.frontier() == 4, "phase 4 is active")
    running.write("bin/control", "#!/bin/sh\nexit 0\n", 0o755)
    running.write("governance/policy.yaml", "deny: []\n")
    wait_until(lambda: running.frontier() == SOVEREIGN, "the plan is sovereign")
    assert running.reached() == [1, 2, 3, 4]


def test_a_plan_with_phases_1_2_5_goes_from_2_to_5(running: Running) -> None:
    document = json.loads((DATA / "sovereign_state_v2.json").read_text())
    for phase in document["phases"]:
        for job in phase["jobs"]:
            if job["status"] == "completed":
                job.update(status="pending", verification_cmd=f"test -e {job['id']}")
    running.load(json.dumps(document).encode())
    for job in ("1.1", "1.2", "1.3"):
        running.write(job, "")
    wait_until(lambda: running.frontier() == 2, "phase 2 is active")
    running.write("2.1", "")
    wait_until(lambda: running.frontier() == SOVEREIGN, "every job that can end is verified")
    assert running.reached() == [1, 2, 5]


def test_an_imported_plan_that_is_done_is_sovereign_at_once(running: Running) -> None:
    running.load((DATA / "sovereign_state_v2.json").read_bytes())
    assert running.frontier() == SOVEREIGN
    wait_until(lambda: running.store.overview().flags.last_heartbeat is not None, "a heartbeat")
    report = next(e for e in reversed(running.store.read_journal(100)) if e.event == "heartbeat").data["report"]
    assert "SOVEREIGN" in report
    assert "CYCLIC OPERATION MODE: 5.1" in report
