"""Every shelf keeps the newest twenty snapshots of each kind."""

from dataclasses import replace
from pathlib import Path

import pytest
import redis

from moie_worker.adapters.memory import MemoryStore
from moie_worker.adapters.memory.core import ManualTime
from moie_worker.adapters.redis import snapshots
from moie_worker.adapters.redis.snapshots import RedisShelf
from moie_worker.adapters.snapshot_folder import SnapshotFolder
from moie_worker.plan.limits import SNAPSHOTS
from moie_worker.plan.snapshot import Kind, Manifest, Saved, pack
from moie_worker.ports.snapshots import Shelf
from tests.contract.model import job, plan

BEGAN = 1_800_000_000_000


@pytest.fixture(params=["disk", "redis"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "disk":
        return SnapshotFolder(tmp_path / "snapshots", "kept")
    return RedisShelf(request.getfixturevalue("redis_client"), "kept")


@pytest.fixture
def saved() -> Saved:
    store = MemoryStore("kept", ManualTime())
    store.load(plan(job("a", 1)), 0, "ops", "")
    store.apply()
    found = store.saved(store.capture())
    assert found is not None
    return found


def numbered(saved: Saved, kind: Kind, number: int) -> tuple[Manifest, bytes]:
    return pack(replace(saved, at=BEGAN + number), kind)


def test_twenty_are_kept_of_each_kind(shelf: Shelf, saved: Saved) -> None:
    for number in range(SNAPSHOTS + 3):
        for kind in Kind:
            shelf.put(*numbered(saved, kind, number))
    expected = [BEGAN + number for number in range(3, SNAPSHOTS + 3)]
    assert SNAPSHOTS == 20
    for kind in Kind:
        assert [each.at for each in shelf.index() if each.kind is kind] == expected
    assert len(shelf.index()) == SNAPSHOTS * len(Kind)


def test_when_a_clock_goes_back_the_newest_is_kept_and_those_of_a_time_to_come_go_first(
    shelf: Shelf, saved: Saved
) -> None:
    past, now, ahead = numbered(saved, Kind.MANUAL, 0), BEGAN + 100, 1_000_000
    shelf.put(*past)
    for number in range(SNAPSHOTS - 1):
        shelf.put(*numbered(saved, Kind.MANUAL, ahead + number))
    for number in range(SNAPSHOTS):
        manifest, data = numbered(saved, Kind.MANUAL, 100 + number)
        shelf.put(manifest, data)
        assert shelf.get(manifest.name) == data
        assert len(shelf.index()) == SNAPSHOTS
    assert [each.at for each in shelf.index()] == [now + number for number in range(SNAPSHOTS)]


def test_of_two_taken_beside_each_other_none_is_of_a_time_to_come(shelf: Shelf, saved: Saved) -> None:
    for number in range(SNAPSHOTS):
        shelf.put(*numbered(saved, Kind.HEARTBEAT, 10 * number))
    slower = numbered(saved, Kind.HEARTBEAT, 10 * SNAPSHOTS - 15)
    shelf.put(*slower)
    kept = [each.at - BEGAN for each in shelf.index()]
    assert (kept[0], kept[-1], len(kept)) == (10, 10 * SNAPSHOTS - 10, SNAPSHOTS)


def test_one_that_was_removed_is_gone_and_the_others_open(shelf: Shelf, saved: Saved) -> None:
    written = [numbered(saved, Kind.PROMOTION, number) for number in range(SNAPSHOTS + 1)]
    for each in written:
        shelf.put(*each)
    (first, _), *rest = written
    assert shelf.get(first.name) is None
    assert all(shelf.get(manifest.name) == data for manifest, data in rest)


def test_redis_keeps_fewer_where_they_are_large(
    saved: Saved, redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SNAPSHOT_BYTES", 1)
    shelf = RedisShelf(redis_client, "kept")
    for number in range(3):
        shelf.put(*numbered(saved, Kind.HEARTBEAT, number))
    assert [each.at for each in shelf.index()] == [BEGAN + 2], "the newest stays whatever its size"
