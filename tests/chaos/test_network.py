"""A worker far from its Redis is cut off: it stops when its leases end, others go on, and what it says late counts not.

The short cut is one of a wire that the test holds in its hands; the long one is one between network namespaces.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

import pytest

from moie_worker.plan.states import Place
from tests.chaos import oracle
from tests.farm import Farm, alone, farm_in, say, wait_until
from tests.faults import Figures
from tests.netns_kit import Cable, FarServer
from tests.shell_kit import alive
from tests.wire import Way, Wire

pytestmark = [pytest.mark.chaos, pytest.mark.fault(10)]

LEASE_S = 4.0
SHORT = (12.0, 16)  # seconds, and as many jobs as leave some for afterwards
LONG = (60.0, 40)
WORK_S = 5.0  # longer than a lease: whoever cannot renew is stopped before the end
FAR, NEAR = "far", "near"


def at_work(farm: Farm, jobs: int, env: Mapping[str, str], before: Sequence[str] = ()) -> list[str]:
    """A worker here and one far away, both in the middle of a plan; returns its jobs."""
    farm.settings |= {"MOIE_LEASE": f"{LEASE_S}s", "MOIE_RENEW": "1s"}
    farm.worker(NEAR)
    farm.worker(FAR, env=env, before=before)
    farm.beat()
    farm.ready(NEAR, FAR)
    ids = [f"j{number}" for number in range(jobs)]
    farm.load(*[{"id": job, "task": "hold a lock", "verification_cmd": alone(farm, job, WORK_S)} for job in ids])
    wait_until(lambda: held(farm, FAR) and held(farm, NEAR), "both work")
    return ids


def held(farm: Farm, worker: str) -> list[str]:
    """The attempts that a worker holds, as Redis believes."""
    return [token for token, record in oracle.attempts(farm).items() if record["worker"] == f"{worker}@test"]


def verified_by(farm: Farm, worker: str) -> int:
    """How many jobs ended at a worker."""
    return sum(entry.who == f"{worker}@test" for entry in farm.journal("job.passed"))


def cut_off(farm: Farm, ids: list[str], cut: AbstractContextManager[None], seconds: float, figures: Figures) -> None:
    """Cut, look, heal; the plan ends as the oracle wants it."""
    tokens = held(farm, FAR)
    began = time.monotonic()
    with cut:
        wait_until(lambda: not any(map(alive, tokens)), "what the far worker ran is dead", LEASE_S + 3)
        stopped = time.monotonic() - began
        wait_until(lambda: not held(farm, FAR), "its jobs are taken from it", LEASE_S + 10)
        taken = time.monotonic() - began
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        oracle.holds(farm, len(ids))
        ended = verified_by(farm, FAR)
    figures.recovery_s = wait_until(lambda: verified_by(farm, FAR) > ended, "the far worker works again", 60)
    wait_until(lambda: farm.places() == {Place.COMPLETED: len(ids)}, "every job is verified", 120)
    figures.again = oracle.ended_well(farm, *ids)
    assert figures.again >= len(tokens), "the cut hit nothing"
    say(
        f"cut for {seconds:.0f} s: the far worker's commands were dead after {stopped:.1f} s, its jobs offered again "
        f"after {taken:.1f} s; it verified again {figures.recovery_s:.1f} s after the cut; {figures.again} runs more"
    )


@pytest.mark.whole
@pytest.mark.parametrize("way", Way)
def test_a_worker_that_is_cut_off_stops_and_others_go_on(farm: Farm, way: Way, figures: Figures) -> None:
    wire = Wire(farm.directory / "wire", farm.server.socket)
    seconds, jobs = SHORT
    ids = at_work(farm, jobs, {"MOIE_REDIS_URL": farm.server.url_through(wire.at)})
    cut_off(farm, ids, wire.cut(way), seconds, figures)


@pytest.fixture
def cable() -> Iterator[Cable]:
    made = Cable()
    yield made
    made.close()


@pytest.fixture
def split(cable: Cable) -> Iterator[tuple[Farm, FarServer]]:
    with farm_in(state=lambda directory: FarServer(directory, cable)) as made:
        assert isinstance(made.state, FarServer)
        yield made, made.state


@pytest.mark.whole
@pytest.mark.parametrize("way", Way)
def test_a_network_that_is_cut_for_a_minute(
    cable: Cable, split: tuple[Farm, FarServer], way: Way, figures: Figures
) -> None:
    farm, server = split
    seconds, jobs = LONG
    ids = at_work(farm, jobs, {"MOIE_REDIS_URL": server.far_url}, cable.inside(cable.worker))
    cut_off(farm, ids, cable.cut(way), seconds, figures)
