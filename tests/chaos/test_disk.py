"""The disk of a worker is full, read-only, or fails: what was there stays whole, it is said, and verifying goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from moie_worker.adapters.snapshot_folder import SnapshotFolder
from moie_worker.plan.snapshot import unpack
from moie_worker.plan.states import Place
from tests.chaos import oracle
from tests.disk_kit import Disk, Trouble
from tests.farm import Farm, say, wait_until
from tests.faults import Figures
from tests.web_kit import Answer, ScriptedServer

pytestmark = [pytest.mark.chaos, pytest.mark.whole, pytest.mark.fault(13)]

JOBS = 100
FEED = (Path(__file__).parents[1] / "data" / "arxiv" / "api2026_testing_p1.xml").read_bytes()


@pytest.fixture
def disk(farm: Farm) -> Iterator[Disk]:
    """The home of the worker lies on it."""
    made = Disk(farm.directory)
    farm.settings["MOIE_HOME"] = str(made.path)
    yield made
    for name in list(farm.processes):
        farm.stop(name)
    made.close()


@pytest.fixture
def feed() -> Iterator[str]:
    """An arXiv that has always the same."""
    answer = Answer(200, FEED, {"content-type": "application/atom+xml"})
    with ScriptedServer(lambda _: answer) as server:
        yield f"{server.url}/api/query"


def at_work(farm: Farm, disk: Disk, feed: str) -> list[str]:
    """A worker in the middle of a plan, and of another one whose job writes a digest."""
    farm.worker(env=disk.env)
    farm.beat()
    farm.ready("w1")
    ids = [f"j{number}" for number in range(JOBS)]
    words = {job: [farm.sh(f"{word} {job} $MOIE_TOKEN") for word in ("begin", "end")] for job in ids}
    farm.load(
        {
            "id": "scan",
            "task": "write a digest",
            "status": "cyclic",
            "schedule": {"every": "1s"},
            "action": {"use": "arxiv_scan", "with": {"query": "all:testing", "address": feed, "max_results": 10}},
            "retry": {"max": 0},
        },
        plan="digest",
    )
    farm.load(
        *[{"id": j, "task": "t", "verification_cmd": f"{begin}; sleep 0.4; {end}"} for j, (begin, end) in words.items()]
    )
    return ids


def snapshots(disk: Disk) -> dict[str, bytes]:
    folder = SnapshotFolder(disk.path / "snapshots", "test")
    return {manifest.name: folder.get(manifest.name) or b"" for manifest in folder.index()}


def digests(disk: Disk) -> dict[Path, str]:
    return {path: path.read_text() for path in (disk.path / "data").rglob("*.md")}


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (Disk.full, "No space left on device"),
        (Disk.read_only, "Read-only file system"),
        (Disk.failing, "Input/output error"),
    ],
    ids=["full", "read-only", "failing"],
)
def test_nothing_of_what_was_there_is_lost_and_verifying_goes_on(
    farm: Farm, disk: Disk, feed: str, trouble: Trouble, told: str, figures: Figures
) -> None:
    ids = at_work(farm, disk, feed)
    wait_until(lambda: snapshots(disk) and digests(disk), "a snapshot and a digest are there")
    with trouble(disk):
        kept, written, done = snapshots(disk), digests(disk), farm.places().get(Place.COMPLETED, 0)
        took = wait_until(lambda: f"NO SNAPSHOT: cannot keep a snapshot: {disk.path}" in farm.log("w1"), "it is said")
        wait_until(lambda: "the digest cannot be written: [Errno" in said(farm), "so is it of the digest")
        assert told in farm.log("w1")
        assert told in said(farm)
        wait_until(lambda: farm.places().get(Place.COMPLETED, 0) > done + 10, "verifying goes on")
        if trouble is not Disk.failing:  # a new one may be there whole before it is known to be safe
            assert snapshots(disk) == kept
        assert snapshots(disk).items() >= kept.items()
        assert digests(disk) == written
    healed = wait_until(lambda: snapshots(disk).keys() - kept.keys(), "snapshots are kept again")
    wait_until(lambda: farm.places() == {Place.COMPLETED: JOBS}, "every job is verified", 120)
    for name, data in snapshots(disk).items():
        unpack(data, name)  # refuses what is not whole
    figures.again, figures.recovery_s = oracle.ended_well(farm, *ids), healed
    say(f"{told}: said after {took:.1f} s, a snapshot was kept {healed:.1f} s after it was over")
    assert figures.again == 0
    assert not list(disk.path.rglob("*.new")), "nothing half written stays"


def said(farm: Farm) -> str:
    """What the last runs of the digest ended with."""
    return "\n".join(str(value) for value in farm.server.client.lrange("moie:{digest}:runs:scan", 0, -1))
