"""Redis crashes, freezes, is full, changes its password: nothing is lost, nothing settles twice, the plan ends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
import redis

from moie_worker.plan.states import Place
from tests.chaos import oracle
from tests.farm import Farm, say, wait_until
from tests.faults import Figures

pytestmark = pytest.mark.chaos

RECOVERY_S = 20


def tells(farm: Farm, job: str, seconds: float) -> str:
    """A short command that tells when it begins and ends."""
    return f"{farm.sh(f'begin {job} $MOIE_TOKEN')}; sleep {seconds}; {farm.sh(f'end {job} $MOIE_TOKEN')}"


def at_work(farm: Farm, jobs: int, seconds: float) -> list[str]:
    """Two workers and two beats in the middle of a plan; returns its jobs."""
    farm.settings |= {"MOIE_LEASE": "10s", "MOIE_RENEW": "3s"}
    farm.staff()
    ids = [f"j{number}" for number in range(jobs)]
    farm.load(*[{"id": job, "task": "work", "verification_cmd": tells(farm, job, seconds)} for job in ids])
    wait_until(lambda: farm.places().get(Place.COMPLETED, 0) > 4, "the first jobs are verified")
    return ids


def begun(farm: Farm) -> int:
    return sum(word == "begin" for word, *_ in farm.told())


def recovered(farm: Farm, ids: list[str], figures: Figures) -> None:
    """New work begins in time, and the plan ends as the oracle wants it."""
    before = begun(farm)
    figures.recovery_s = wait_until(lambda: begun(farm) > before + 2, "work goes on", 2 * RECOVERY_S)
    wait_until(lambda: farm.places() == {Place.COMPLETED: len(ids)}, "every job is verified", 120)
    figures.again = oracle.ended_well(farm, *ids)
    say(f"new work after {figures.recovery_s:.1f} s, {figures.again} attempts more than jobs")
    assert figures.recovery_s <= RECOVERY_S
    assert farm.journal("job.dead") == []


@pytest.mark.whole  # a worker, beats and Redis killed with jobs in flight is in test_kills.py
@pytest.mark.fault(5)
def test_redis_crashes_three_times_with_jobs_in_flight(farm: Farm, figures: Figures, rng: Random) -> None:
    ids = at_work(farm, 1000, 0.02)
    in_flight = 0
    for _ in range(3):
        time.sleep(rng.uniform(0.2, 1.5))
        places = farm.places()
        in_flight += places.get(Place.RUNNING, 0) + places.get(Place.SENT, 0)
        farm.server.kill()
        time.sleep(rng.uniform(0, 1))
        farm.server.start()
    recovered(farm, ids, figures)
    assert figures.again is not None
    assert figures.again <= in_flight


@pytest.mark.fault(7)
@pytest.mark.whole
@pytest.mark.parametrize("seconds", [5, 30, 120])
def test_redis_freezes(farm: Farm, figures: Figures, seconds: int) -> None:
    ids = at_work(farm, 150, 0.5)
    with farm.server.frozen():
        time.sleep(seconds)
    recovered(farm, ids, figures)


@contextmanager
def full(farm: Farm) -> Iterator[None]:
    """No byte more, however much it holds."""
    farm.server.client.config_set("maxmemory-policy", "noeviction")
    farm.server.client.config_set("maxmemory", 1)
    try:
        yield
    finally:
        farm.server.client.config_set("maxmemory", 0)


@pytest.mark.whole
@pytest.mark.fault(8)
def test_redis_is_full(farm: Farm, figures: Figures) -> None:
    ids = at_work(farm, 150, 0.3)
    with full(farm):
        time.sleep(6)
        oracle.holds(farm, len(ids))
    recovered(farm, ids, figures)
    assert [farm.processes[name].poll() for name in ("w1", "w2", "b1", "b2")] == [None] * 4, "nobody ended"


def drop_everyone(farm: Farm) -> None:
    """End all connections but this one: who comes back has to log in again."""
    farm.server.client.client_kill_filter(skipme=True)


@pytest.mark.whole
@pytest.mark.fault(19)
def test_the_password_is_changed_and_changed_back(farm: Farm, figures: Figures) -> None:
    ids = at_work(farm, 150, 0.3)
    password = str(farm.server.client.config_get("requirepass")["requirepass"])
    farm.server.client.config_set("requirepass", "another-one")
    drop_everyone(farm)
    wait_until(lambda: "refuses user or password" in farm.log("b1") + farm.log("b2"), "a beat says what is wrong")
    farm.server.client.config_set("requirepass", password)
    recovered(farm, ids, figures)


@pytest.mark.whole
@pytest.mark.fault(19)
def test_rights_are_revoked_and_given_back(farm: Farm, figures: Figures) -> None:
    ids = at_work(farm, 150, 0.3)
    client: redis.Redis = farm.server.client
    client.execute_command("ACL", "SETUSER", "default", "-evalsha", "-eval")  # type: ignore[no-untyped-call]
    wait_until(lambda: "forbids this to the user" in farm.log("b1") + farm.log("b2"), "a beat says what is wrong")
    client.execute_command("ACL", "SETUSER", "default", "+@all")  # type: ignore[no-untyped-call]
    recovered(farm, ids, figures)
