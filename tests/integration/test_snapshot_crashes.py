"""Whoever takes or restores a snapshot may die at any call: the plan stands as before, or it is brought to its end."""

import secrets
from pathlib import Path

import pytest
import redis

from moie_worker.adapters.redis import snapshots
from moie_worker.adapters.redis.snapshots import RedisShelf
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.adapters.snapshot_folder import SnapshotFolder
from moie_worker.heart.snapshots import Keeper
from moie_worker.plan.flow import Settlement
from moie_worker.plan.snapshot import Kind, Saved
from moie_worker.plan.states import Outcome, Place
from tests.contract.crashing import runs_through
from tests.contract.model import LEASE, job, plan

JOBS = plan(*[job(f"a{number}", 1) for number in range(5)], job("b", 2))


@pytest.fixture
def keeper(redis_client: "redis.Redis", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    """A plan of which one job is done, read and staged in small pieces."""
    monkeypatch.setattr(snapshots, "CHUNK", 2)
    monkeypatch.setattr(snapshots, "PAGE", 2)
    store = RedisStore(redis_client, "crashed")
    load(store)
    return Keeper(store, (SnapshotFolder(tmp_path, "crashed"), RedisShelf(redis_client, "crashed")))


def load(store: RedisStore) -> None:
    store.load(JOBS, 0, "ops", "")
    store.apply()
    finish(store, "a0")


def finish(store: RedisStore, name: str) -> None:
    for hint in store.reserve("default", 10, secrets.token_hex(4)).hints:
        for attempt in store.begin(hint, secrets.token_hex(4), "w", LEASE):
            if attempt.definition.id == name:
                store.settle([Settlement(attempt.token, name, Outcome.PASSED, Place.COMPLETED)], hint, done=True)
            else:
                store.release([attempt.token], hint, done=True)


def photograph(store: RedisStore) -> Saved:
    capture = store.capture()
    found = store.saved(capture)
    store.drop(capture)
    assert found is not None
    return found


@pytest.mark.fault(2)
@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
def test_taking_a_snapshot_changes_nothing_of_the_plan(
    keeper: Keeper, redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    store = RedisStore(redis_client, "crashed")
    before = photograph(store).digest
    at = 0
    while not runs_through(lambda: keeper.take(Kind.MANUAL), at, monkeypatch, after=after):
        assert photograph(store).digest == before
        for manifest, _ in keeper.index():
            assert keeper.open(manifest.name)[1].digest == before, "what is listed is whole"
        copies = redis_client.keys("moie:{crashed}:capture:*")
        assert all(redis_client.ttl(key) > 0 for key in copies), "copies go by themselves"
        at += 1
    assert at > 8


@pytest.mark.fault(2)
@pytest.mark.parametrize("after", [False, True], ids=["before the call", "after the call"])
@pytest.mark.parametrize("empty", [False, True], ids=["over a plan", "into an empty Redis"])
def test_a_restore_happens_whole_or_not_at_all(
    keeper: Keeper, redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch, after: bool, empty: bool
) -> None:
    store = RedisStore(redis_client, "crashed")
    saved = photograph(store)
    at, ended, seen = 0, False, set()
    while not ended:
        redis_client.flushall()
        if not empty:
            load(store)
            finish(store, "a1")
        base = store.overview().flags.revision
        stood = None if empty else photograph(store).digest

        def restore() -> None:
            keeper.restore(saved, base, "ops", "")  # noqa: B023
            while store.apply():
                pass

        ended = runs_through(restore, at, monkeypatch, after=after)
        while store.apply():  # what a beat does
            pass
        overview = store.overview()
        if overview.flags.revision == base:
            seen.add("before")
            assert (None if empty else photograph(store).digest) == stood
            assert not overview.counts or stood
        else:
            seen.add("after")
            assert photograph(store).digest == saved.digest
        at += 1
    assert seen == {"before", "after"}
