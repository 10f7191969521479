"""kill -9 before each word that a process sends to Redis, every one in turn: what it did stands whole or not at all.

What the contract tests do with an exception inside one process, done to real processes: `tests/mortal.py`.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from json import dumps

import pytest

from moie_worker.adapters.redis.scripts import Scripts
from moie_worker.adapters.redis.snapshots import RedisShelf
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.adapters.snapshot_folder import SnapshotFolder
from moie_worker.heart.snapshots import Keeper
from moie_worker.plan.flow import Attempt, Settlement
from moie_worker.plan.presence import Worker
from moie_worker.plan.snapshot import Kind, Saved
from moie_worker.plan.states import Outcome, Place
from tests.celery_kit import ROOT
from tests.chaos import oracle
from tests.contract.model import LEASE, receipt
from tests.farm import Farm, say, wait_until
from tests.shell_kit import alive

pytestmark = [pytest.mark.chaos, pytest.mark.fault(2)]

JOBS = ("a0", "a1", "a2", "a3")
HOUR_MS = 3_600_000


class Mortal:
    """The processes that are killed, and the Redis that they speak to."""

    def __init__(self, farm: Farm, process: "subprocess.Popen[str]") -> None:
        self.farm, self._process = farm, process
        self.killed = 0

    def does(self, at: int, deed: str, *args: str) -> bool:
        """Whether it came to its end before it was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(dumps([at, deed, *args]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer in ("killed", "ended"), f"{deed} at {at}: {answer}"
        self.killed += answer == "killed"
        return answer == "ended"

    def dies_at_each_word(self, prepare: Callable[[], None], look: Callable[[bool], None], *deed: str) -> int:
        """Prepare, kill, look, from the first word to the last; then once more with a life that ends by itself."""
        words = 0
        while True:
            self.farm.server.client.flushall()
            prepare()
            ended = self.does(words, *deed)
            look(ended)
            if ended:
                say(f"{deed[0]}: killed before each of {words} words to Redis")
                return words
            words += 1


@pytest.fixture
def mortal(farm: Farm) -> Iterator[Mortal]:
    """A Redis without anybody else on it."""
    farm.settings |= {"MOIE_PLAN": "test", "MOIE_LEASE": "1s", "MOIE_RENEW": "50ms"}
    with (
        (farm.directory / "mortal.log").open("ab") as log,
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.mortal"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **farm.settings},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield Mortal(farm, process)
        finally:
            process.kill()


def later(farm: Farm) -> RedisStore:
    """The plan as a beat sees it in an hour: every lease and every offer is over."""
    real = (files("moie_worker.adapters.redis") / "lua" / "lib_time.lua").read_text()
    shifted = f"{real}\nlocal real_ms = now_ms\nlocal function now_ms() return real_ms() + {HOUR_MS} end\n"
    return RedisStore(farm.server.client, "test", Scripts(farm.server.client, {"time": shifted}))


def plan(farm: Farm, *names: str) -> None:
    """Nobody but the mortals works on it. A command takes three renewals."""
    farm.fleet.worker_here(Worker("w@test", "here", 1, ("default",), 4, 0), LEASE)
    farm.load(*[{"id": name, "task": "t", "verification_cmd": command(farm, name)} for name in names])

    while farm.store.reserve("default", 0, "none").more or Place.PARKED in farm.places():
        pass  # nothing is offered yet; the jobs are made ready


def command(farm: Farm, name: str) -> str:
    return f"{farm.sh(f'begin {name} $MOIE_TOKEN')}; sleep 0.15"


def whole(farm: Farm, jobs: int = len(JOBS)) -> None:
    """Every job in one place, each count right, no lease without an attempt."""
    oracle.holds(farm, jobs)
    assert farm.store.audit(1000) == [], "a job is not where its state says"


def verified(attempt: Attempt) -> Settlement:
    """As a worker settles that found its job done."""
    ended = Settlement(attempt.token, attempt.definition.id, Outcome.PASSED, Place.COMPLETED)
    return replace(ended, receipt=receipt(attempt.token))


def healed(farm: Farm, jobs: int = len(JOBS)) -> None:
    """What beats and workers do afterwards ends every job, once."""
    store = later(farm)
    while store.apply():
        pass
    store.rescue()
    for _ in range(100):
        reserved = store.reserve("default", 8, "heal")
        for hint in reserved.hints:
            begun = store.begin(hint, f"n{hint.id}", "w", LEASE)
            store.settle([verified(one) for one in begun], hint, True)
        if farm.places() == {Place.COMPLETED: jobs}:
            break
    assert farm.places() == {Place.COMPLETED: jobs}
    assert set(Counter(entry.job for entry in farm.journal("job.passed")).values()) == {1}
    whole(farm, jobs)


def photograph(farm: Farm) -> Saved:
    """The plan as a snapshot would hold it."""
    capture = farm.store.capture()
    found = farm.store.saved(capture)
    farm.store.drop(capture)
    assert found is not None
    return found


def stands(farm: Farm) -> tuple[tuple[str, str, str], ...]:
    """The jobs as they are defined, and where."""
    return tuple((job.id, job.place, job.definition) for job in photograph(farm).jobs)


def keeper(farm: Farm) -> Keeper:
    """Of the snapshots on the disk and in Redis."""
    folder = SnapshotFolder(farm.directory / "home" / "snapshots", "test")
    return Keeper(farm.store, (folder, RedisShelf(farm.server.client, "test")))


def finish(farm: Farm, name: str) -> None:
    """One job is done; nothing else is under way."""
    for hint in farm.store.reserve("default", 8, "once").hints:
        begun = farm.store.begin(hint, f"n{hint.id}", "w", LEASE)
        done = [verified(one) for one in begun if hint.jobs == (name,)]
        if done:
            farm.store.settle(done, hint, True)
        else:
            farm.store.release([one.token for one in begun], hint, True)


def test_offering(mortal: Mortal) -> None:
    farm, seen = mortal.farm, set()

    def look(ended: bool) -> None:
        (place,) = farm.places()
        assert place is Place.SENT or not ended
        seen.add(place)
        whole(farm)
        healed(farm)

    assert mortal.dies_at_each_word(lambda: plan(farm, *JOBS), look, "offer") > 8
    assert seen == {Place.READY, Place.SENT}


def test_working(mortal: Mortal) -> None:
    farm, begun = mortal.farm, set()

    def look(ended: bool) -> None:
        places = farm.places()
        begun.add(len(JOBS) - places.get(Place.READY, 0))
        assert not ended or places == {Place.COMPLETED: len(JOBS)}
        tokens = {token for _, _, token in farm.told()}
        wait_until(lambda: not any(map(alive, tokens)), "the guard ended what the worker left", 5)
        whole(farm)
        healed(farm)
        (farm.directory / "told").unlink(missing_ok=True)

    assert mortal.dies_at_each_word(lambda: plan(farm, *JOBS), look, "work", *JOBS) > 6
    assert begun == {0, len(JOBS)}


def test_declining(mortal: Mortal) -> None:
    farm = mortal.farm

    def look(ended: bool) -> None:
        (place,) = farm.places()
        assert place in (Place.READY, Place.RUNNING)
        assert farm.store.job("a0").attempts == int(place is Place.RUNNING), "what was given back is not counted"
        assert not ended or place is Place.READY
        whole(farm)
        healed(farm)

    mortal.dies_at_each_word(lambda: plan(farm, *JOBS), look, "decline", *JOBS)


def test_a_heartbeat(mortal: Mortal) -> None:
    farm, beats = mortal.farm, set()

    def prepare() -> None:
        plan(farm, *JOBS)
        finish(farm, "a0")

    def look(ended: bool) -> None:
        beats.add(farm.store.overview().flags.beats)
        assert not ended or farm.store.overview().flags.beats == 1
        for manifest, _ in keeper(farm).index():
            assert keeper(farm).open(manifest.name)[1].digest == manifest.digest, "what is listed is whole"
        whole(farm)
        healed(farm)

    assert mortal.dies_at_each_word(prepare, look, "beat") > 8
    assert beats == {0, 1}


def test_loading(mortal: Mortal) -> None:
    farm, seen = mortal.farm, set()
    document = farm.directory / "plan.json"
    jobs = [{"id": name, "task": "new", "verification_cmd": "true"} for name in ("a1", "b1", "b2")]
    document.write_text(dumps({"version": 3, "meta": {}, "phases": [{"id": 1, "name": "ONE", "jobs": jobs}]}))

    def prepare() -> None:
        plan(farm, *JOBS)
        finish(farm, "a0")

    def look(ended: bool) -> None:
        new = farm.store.overview().flags.revision == 2
        while farm.store.apply():  # what a beat does
            pass
        seen.add((new, stands(farm)))
        assert new or not ended
        whole(farm, 3 if new else len(JOBS))
        healed(farm, 3 if new else len(JOBS))

    assert mortal.dies_at_each_word(prepare, look, "command", "load", str(document), "--yes") > 8
    assert sorted(new for new, _ in seen) == [False, True], "one plan before, one after, and none between"


def test_taking_a_snapshot(mortal: Mortal) -> None:
    farm = mortal.farm

    def prepare() -> None:
        plan(farm, *JOBS)
        finish(farm, "a0")

    def look(ended: bool) -> None:
        found = [manifest for manifest, _ in keeper(farm).index()]
        assert all(keeper(farm).open(each.name)[1].digest == each.digest for each in found), "what is listed is whole"
        assert not ended or found[-1].digest == photograph(farm).digest
        copies = list(farm.server.client.scan_iter("moie:{test}:capture:*"))
        assert all(farm.server.client.ttl(key) > 0 for key in copies), "copies go by themselves"
        healed(farm)

    assert mortal.dies_at_each_word(prepare, look, "command", "backup", "create") > 8


@pytest.mark.parametrize("empty", [False, True], ids=["over a plan", "into an empty Redis"])
def test_restoring(mortal: Mortal, empty: bool) -> None:
    farm, seen = mortal.farm, set()
    plan(farm, *JOBS)
    finish(farm, "a0")
    saved = keeper(farm).take(Kind.MANUAL).manifest

    def prepare() -> None:
        if not empty:
            plan(farm, *JOBS)
            finish(farm, "a1")

    def look(ended: bool) -> None:
        while farm.store.apply():  # what a beat does
            pass
        revision = farm.store.overview().flags.revision
        seen.add((revision, stands(farm) if revision else ()))
        assert not ended or photograph(farm).digest == saved.digest
        if revision:
            whole(farm)

    assert mortal.dies_at_each_word(prepare, look, "command", "backup", "restore", saved.name) > 8
    assert len(seen) == 2, "as it was before, or as it was saved"
