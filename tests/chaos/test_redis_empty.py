"""Redis comes back empty while everything runs: it is said, one command restores the plan, and it ends by itself."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from moie_worker.adapters.snapshot_folder import SnapshotFolder
from moie_worker.plan.snapshot import Kind
from moie_worker.plan.states import Place
from tests.celery_kit import ROOT
from tests.farm import Farm, say, wait_until

pytestmark = pytest.mark.chaos

JOBS = 40


def moie(farm: Farm, *args: str) -> "subprocess.CompletedProcess[str]":
    """A command as a user gives it."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **farm.settings, "MOIE_PLAN": "test"}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "moie_worker", *args],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.fault(6)
@pytest.mark.whole  # its steps one by one are in tests/integration/test_backup.py
def test_the_drill(farm: Farm) -> None:
    folder = SnapshotFolder(farm.directory / "home" / "snapshots", "test")
    farm.worker("w1", concurrency=2)
    farm.beat("b1")
    farm.ready("w1")
    ids = [f"j{number:02}" for number in range(JOBS)]
    farm.load(*[
        {"id": job, "task": "take a while", "verification_cmd": f"sleep 0.4; {farm.sh(f'{job} $MOIE_TOKEN')}"}
        for job in ids
    ])  # fmt: skip
    wait_until(lambda: any(each.completed > 5 for each in folder.index()), "a heartbeat saved what is done")
    farm.server.client.flushall()

    wait_until(lambda: "plan test is GONE from Redis" in farm.log("b1"), "the beat says that the plan is gone")
    wait_until(lambda: "plan test is GONE from Redis" in farm.log("w1"), "a heartbeat says it too")
    status = moie(farm, "status")
    assert status.returncode == 1
    assert "moie backup restore --plan test" in status.stderr
    assert farm.places() == {}, "nothing is loaded by itself"

    newest = folder.index()[-1]
    assert newest.kind is Kind.HEARTBEAT
    restored = moie(farm, "backup", "restore")
    assert restored.returncode == 0, restored.stderr
    assert newest.name in restored.stdout
    took = wait_until(lambda: farm.places() == {Place.COMPLETED: JOBS}, "the plan ends by itself", 60)

    again = Counter(entry.job for entry in farm.journal("job.passed"))
    assert len(again) == JOBS - newest.completed, "what was completed did not run again"
    assert set(again.values()) == {1}
    assert farm.store.overview().flags.revision == newest.revision + 1
    told = Counter(job for job, _ in farm.told())
    assert set(told) == set(ids)
    say(f"{newest.completed} of {JOBS} jobs came back done; the others ended {took:.1f} s after the restore")


@pytest.mark.fault(13)
@pytest.mark.whole  # what is said and kept is in tests/integration/test_backup.py
def test_a_snapshot_on_a_disk_that_is_full_is_said_and_verifying_goes_on(farm: Farm) -> None:
    (farm.directory / "home").mkdir()
    (farm.directory / "home" / "snapshots").write_text("a file where the directory should be")
    farm.worker("w1", concurrency=2)
    farm.beat("b1")
    farm.load(*[{"id": f"j{number}", "task": "t", "verification_cmd": "sleep 0.2"} for number in range(20)])
    wait_until(lambda: farm.places() == {Place.COMPLETED: 20}, "every job is verified", 60)
    wait_until(lambda: "NO SNAPSHOT: cannot keep a snapshot" in moie(farm, "journal").stdout, "the heartbeat says it")
    assert farm.server.client.hlen("moie:{test}:snapshots") > 0, "Redis keeps them"
