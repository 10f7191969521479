"""A plan that is too large to be copied is read while it goes on: each job as it stood at one moment."""

from collections.abc import Callable, Iterator
from importlib.resources import files
from typing import Any

import pytest

from moie_worker.adapters.redis import snapshots
from moie_worker.adapters.redis.scripts import Scripts
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.plan.snapshot import Kind, Saved, pack, unpack
from moie_worker.plan.states import Place
from tests.contract.conftest import MANUAL_TIME, ManualRedis
from tests.contract.model import job
from tests.contract.trace import WHO, Trace

JOBS = tuple(job(f"j{number}", 1) for number in range(7))
COPIED = 5  # jobs of a plan that is still copied


@pytest.fixture
def large(manual_redis: ManualRedis, monkeypatch: pytest.MonkeyPatch) -> Trace:
    """A plan of more jobs than are copied, read two at a time; its first job is done, its second dead."""
    monkeypatch.setattr(snapshots, "LIVE_PAGE", 2)
    phase = (files("moie_worker.adapters.redis") / "lua" / "lib_phase.lua").read_text(encoding="utf-8")
    scripts = Scripts(
        manual_redis.client, {"time": MANUAL_TIME, "phase": phase.replace("LIMITS.CAPTURE_JOBS", str(COPIED))}
    )
    store = RedisStore(manual_redis.client, "large", scripts)
    made = Trace(store, manual_redis.time, manual_redis.advance, lambda: store)
    made.load(*JOBS)
    made.do("j0", evidence='{"exit_code":0}')
    made.do("j1", Place.DEAD)
    return made


def photograph(trace: Trace, number: str | None = None) -> Saved:
    found = trace.store.saved(number or trace.store.capture())
    assert found is not None
    return unpack(pack(found, Kind.MANUAL)[1], "here")[1]


def end_all(trace: Trace, place: Place = Place.COMPLETED) -> None:
    """Run what is left."""
    for each in JOBS[2:]:
        trace.do(each.id, place, evidence=f'{{"message":"{each.id}"}}')


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something between the first two pages of a reading."""
    pages: Any = RedisStore._pages

    def interrupted(self: RedisStore) -> Iterator[list[str]]:
        for number, page in enumerate(pages(self)):
            if number == 1:
                act()
            yield page

    monkeypatch.setattr(RedisStore, "_pages", interrupted)


def test_it_holds_what_a_copy_would_hold(large: Trace, manual_redis: ManualRedis) -> None:
    copied = manual_redis.store("large")
    assert photograph(large).digest == unpack(pack(_saved(copied), Kind.MANUAL)[1], "here")[1].digest


def _saved(store: RedisStore) -> Saved:
    number = store.capture()
    assert store.client.exists(store.key("capture", number, "state")), "this one is a copy"
    found = store.saved(number)
    assert found is not None
    return found


def test_nothing_of_its_jobs_is_copied(large: Trace, manual_redis: ManualRedis) -> None:
    large.store.capture()
    copies = {str(key).rpartition(":")[2] for key in manual_redis.client.scan_iter("*capture:*")}
    assert copies == {"plan", "phases"}


def test_a_job_that_ends_meanwhile_is_whole_and_its_letter_is_there(
    large: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = large.store.capture()
    meanwhile(monkeypatch, lambda: end_all(large, Place.DEAD))
    saved = photograph(large, number)
    dead = {each.id: each for each in saved.jobs if each.place == Place.DEAD}
    assert 1 < len(dead) < len(JOBS), "some were read before they ended, some after"
    assert all(f"job:{name}" in saved.letters for name in dead)
    assert all(f'"message":"{name}"' in each.evidence for name, each in dead.items() if name != "j1")
    assert not any(each.evidence for each in saved.jobs if each.place == "open")


def test_what_was_read_while_it_went_on_is_restored(large: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    number = large.store.capture()
    with monkeypatch.context() as patched:
        meanwhile(patched, lambda: end_all(large))
        saved = photograph(large, number)
    large.store.restore(saved, large.store.overview().flags.revision, *WHO)
    while large.store.apply():
        pass
    assert photograph(large).digest == saved.digest
    large.recount()


def test_a_load_meanwhile_leaves_no_snapshot(large: Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    number = large.store.capture()
    meanwhile(monkeypatch, lambda: large.load(*JOBS[:6]))
    assert large.store.saved(number) is None


def test_its_promotion_copies_nothing(large: Trace) -> None:
    large.load(*JOBS, job("later", 2))
    large.store.retry("j1", *WHO)
    for each in JOBS[1:]:
        large.do(each.id)
    assert large.store.overview().flags.reached == 2
    assert large.store.captures() == []
