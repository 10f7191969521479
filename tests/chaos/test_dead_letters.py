"""Ten thousand dead letters replayed by two at once, one killed, while Redis crashes: each lives once more."""

import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress

import pytest

from moie_worker.errors import UnreachableError
from moie_worker.plan.flow import JournalEntry
from moie_worker.plan.limits import JOURNAL_KEPT
from moie_worker.plan.states import Place
from tests.celery_kit import ROOT
from tests.chaos import oracle
from tests.farm import Farm, say, wait_until
from tests.faults import Figures

pytestmark = [pytest.mark.chaos, pytest.mark.whole, pytest.mark.fault(18)]

JOBS = 10_000
LOOK_S = 1.0  # Redis keeps as many entries of the journal as there are jobs: it is read as it grows
ALL_DIED_S = 300.0
ALL_DONE_S = 600.0


class Journal:
    """What happened, read often."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._seen: dict[str, JournalEntry] = {}

    def count(self, event: str) -> Counter[str]:
        """How often it happened to each job."""
        with suppress(UnreachableError):
            self._seen |= {entry.id: entry for entry in self._farm.store.read_journal(JOURNAL_KEPT)}
        return Counter(entry.job for entry in self._seen.values() if entry.event == event)

    def wait(self, event: str, number: int, seconds: float) -> float:
        """Until it happened to so many jobs; returns how long that took."""

        def true() -> bool:
            time.sleep(LOOK_S)
            return len(self.count(event)) >= number

        return wait_until(true, f"{event} of {number} jobs", seconds)

    def ends(self, process: "subprocess.Popen[bytes]") -> int:
        """The exit code of a process that fills the journal meanwhile."""
        while process.poll() is None:
            time.sleep(LOOK_S)
            self.count("")
        return int(process.returncode)


def replay_all(farm: Farm) -> "subprocess.Popen[bytes]":
    """As an operator does it."""
    with (farm.directory / "replay.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "moie_worker", "dead", "replay", "--all", "--yes"],
            env={**os.environ, "PYTHONPATH": str(ROOT), **farm.settings, "MOIE_PLAN": "test"},
            stdout=log,
            stderr=log,
        )


@pytest.mark.timeout(1200)
def test_each_of_ten_thousand_lives_again_once(farm: Farm, figures: Figures) -> None:
    farm.staff(("w1", "w2"), concurrency=2)
    ids = [f"j{number}" for number in range(JOBS)]
    go = farm.work / "go"
    checks = {job: f"{farm.sh(f'begin {job} $MOIE_TOKEN')}; test -e {go}" for job in ids}
    farm.load(
        *[{"id": job, "task": "t", "deadline": "1ms", "verification_cmd": check} for job, check in checks.items()]
    )
    journal = Journal(farm)
    journal.wait("job.dead", JOBS, ALL_DIED_S)
    go.touch()
    began = time.monotonic()
    first, second = replay_all(farm), replay_all(farm)
    journal.wait("dead.replayed", JOBS // 10, 60)
    first.kill()
    journal.wait("dead.replayed", JOBS // 4, 60)
    farm.server.kill()
    farm.server.start()
    codes = [journal.ends(first), journal.ends(second)]
    while Place.DEAD in farm.places():
        codes.append(journal.ends(replay_all(farm)))
        assert len(codes) < 6, "letters are left, however often they are replayed"
    journal.wait("job.passed", JOBS, ALL_DONE_S)
    wait_until(lambda: farm.places() == {Place.COMPLETED: JOBS}, "every job is verified", 60)
    figures.recovery_s = time.monotonic() - began
    told = Counter(job for _, job, _ in farm.told())
    figures.again = told.total() - JOBS
    say(f"{JOBS} letters done after {figures.recovery_s:.1f} s, exit codes {codes}; {told.total()} attempts")
    assert replay_all(farm).wait() == 1, "nothing is left to replay, and that is said"
    assert journal.count("job.passed") == dict.fromkeys(ids, 1)
    assert journal.count("dead.replayed") == dict.fromkeys(ids, 1)
    assert told.keys() == set(ids)
    oracle.holds(farm, JOBS)
