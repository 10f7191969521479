"""When snapshots are taken, what becomes of those that cannot be kept, and what a damaged one is."""

import hashlib
import json
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from moie_worker.adapters.snapshot_folder import SnapshotFolder, plans_in
from moie_worker.errors import InputError, MoieError, NotFoundError
from moie_worker.heart.heartbeat import beat
from moie_worker.heart.snapshots import Keeper, before_heartbeat
from moie_worker.plan.limits import SNAPSHOTS
from moie_worker.plan.snapshot import Kind, Manifest, Saved, pack, read_manifest, unpack
from tests.unit.heart_kit import Heart


class Shelf:
    """A shelf in memory that may be full."""

    where = "a shelf"

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Manifest, bytes]] = {}
        self.full = False

    def put(self, manifest: Manifest, data: bytes) -> None:
        if self.full:
            raise MoieError("cannot keep a snapshot: no room")
        self.kept[manifest.name] = manifest, data

    def index(self) -> list[Manifest]:
        return [self.kept[name][0] for name in sorted(self.kept)]

    def get(self, name: str) -> bytes | None:
        return self.kept[name][1] if name in self.kept else None


@pytest.fixture
def heart() -> Heart:
    made = Heart()
    made.load({"id": "a"}, {"id": "b"})
    return made


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def keeper(heart: Heart, shelf: Shelf) -> Keeper:
    return Keeper(heart.store, [shelf])


def photograph(heart: Heart) -> Saved:
    found = heart.store.saved(heart.store.capture())
    assert found is not None
    return found


# -- when ---------------------------------------------------------------------------------------------


def test_a_heartbeat_that_has_something_to_do_is_preceded_by_a_snapshot(
    heart: Heart, keeper: Keeper, shelf: Shelf
) -> None:
    assert before_heartbeat(keeper) == ""
    assert [each.kind for each in shelf.index()] == [Kind.HEARTBEAT]


def test_nothing_happened_so_nothing_is_saved(heart: Heart, keeper: Keeper, shelf: Shelf) -> None:
    for _ in range(3):
        heart.clock.advance(600_000)
        beat(heart.store, heart.fleet, "w", lambda _: before_heartbeat(keeper))
    assert len(shelf.kept) == 1
    heart.store.pause("ops", "")
    heart.clock.advance(600_000)
    before_heartbeat(keeper)
    assert len(shelf.kept) == 2


def test_a_plan_that_is_not_loaded_is_not_saved(shelf: Shelf) -> None:
    assert before_heartbeat(Keeper(Heart().store, [shelf])) == ""
    assert not shelf.kept


def test_what_cannot_be_kept_is_said_and_the_heartbeat_goes_on(heart: Heart, keeper: Keeper, shelf: Shelf) -> None:
    shelf.full = True
    said = beat(heart.store, heart.fleet, "w", lambda _: before_heartbeat(keeper))
    assert "NO SNAPSHOT: cannot keep a snapshot: no room" in said
    assert heart.store.flags.beats == 1


def test_one_shelf_that_is_full_keeps_nothing_from_the_other(heart: Heart, shelf: Shelf) -> None:
    full = Shelf()
    full.full = True
    kept = Keeper(heart.store, [full, shelf]).take(Kind.MANUAL)
    assert (list(kept.kept), list(kept.problems)) == (["a shelf"], ["cannot keep a snapshot: no room"])


# -- the folder ---------------------------------------------------------------------------------------


def numbered(heart: Heart, kind: Kind, number: int) -> tuple[Manifest, bytes]:
    return pack(replace(photograph(heart), at=1_800_000_000_000 + number), kind)


def test_the_twenty_first_removes_the_oldest_of_its_kind_only(heart: Heart, tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path / "snapshots", "default")
    folder.put(*numbered(heart, Kind.MANUAL, 0))
    for number in range(SNAPSHOTS + 1):
        folder.put(*numbered(heart, Kind.HEARTBEAT, number))
    kept = [each.at - 1_800_000_000_000 for each in folder.index() if each.kind is Kind.HEARTBEAT]
    assert kept == list(range(1, SNAPSHOTS + 1))
    assert [each.kind for each in folder.index()].count(Kind.MANUAL) == 1
    assert plans_in(tmp_path / "snapshots") == ["default"]


def test_a_name_that_is_not_ours_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "default").mkdir()
    (tmp_path / "secret.moie").write_text("x")
    folder = SnapshotFolder(tmp_path, "default")
    assert folder.get("../secret") is None
    assert folder.index() == []


# -- the file -----------------------------------------------------------------------------------------


def test_a_file_holds_what_was_saved(heart: Heart) -> None:
    saved = photograph(heart)
    manifest, data = pack(saved, Kind.MANUAL)
    assert unpack(data, "x") == (manifest, saved)
    assert manifest.name == "20270115T080000.000Z-r1-manual"


def test_every_changed_byte_is_found(heart: Heart) -> None:
    data = pack(photograph(heart), Kind.MANUAL)[1]
    for where in range(len(data)):
        changed = bytearray(data)
        changed[where] ^= 1
        with pytest.raises(InputError):
            unpack(bytes(changed), "x")


def test_a_file_that_opens_to_more_than_it_says_is_refused(heart: Heart) -> None:
    manifest, _ = pack(photograph(heart), Kind.MANUAL)
    bomb = zlib.compress(b"\n" * 100_000_000, 9)
    unsealed = replace(manifest, sha256="").to_json().encode()
    forged = replace(manifest, sha256=hashlib.sha256(unsealed + bomb).hexdigest())
    data = b"moie-snapshot 1\n" + forged.to_json().encode() + b"\n" + bomb
    with pytest.raises(InputError, match="does not hold"):
        unpack(data, "x")


@pytest.mark.parametrize("data", [b"", b"moie-snapshot 2\n{}\n", b"moie-snapshot 1\n[]\n", b"moie-snapshot 1\n\xff\n"])
def test_what_is_no_snapshot_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        read_manifest(data, "x")


def test_a_damaged_copy_is_passed_over_where_there_is_another(heart: Heart, shelf: Shelf) -> None:
    other = Shelf()
    keeper = Keeper(heart.store, [shelf, other])
    name = keeper.take(Kind.MANUAL).manifest.name
    manifest, data = shelf.kept[name]
    shelf.kept[name] = manifest, data[:-1]
    assert keeper.open()[0].name == name
    other.kept.clear()
    with pytest.raises(InputError, match="damaged"):
        keeper.open()
    with pytest.raises(NotFoundError, match="no snapshot 'x'"):
        keeper.open("x")


def test_equal_plans_have_equal_digests(heart: Heart) -> None:
    first, again = photograph(heart), photograph(heart)
    assert first.digest == again.digest
    assert json.loads(next(first.content()))["meta"]["version"] == 3
