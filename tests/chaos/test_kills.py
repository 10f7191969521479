"""Two hundred jobs while workers are killed, Redis crashes, and messages are lost and doubled: every one ends once."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
import redis

from moie_worker.plan.states import Place
from moie_worker.settings import Settings
from tests.chaos import oracle
from tests.farm import Farm, alone, say, wait_until
from tests.faults import Figures

pytestmark = pytest.mark.chaos

JOBS = 200
WORKERS = ("w1", "w2", "w3")
LEASE_S = Settings.model_fields["lease"].default.total_seconds()
STOLEN = 60  # messages that the thief takes at most


@contextmanager
def thief(farm: Farm) -> Iterator[Counter[str]]:
    """Stands in line with the workers for messages; loses one, puts the next back twice, and so on."""
    ended = threading.Event()
    deeds: Counter[str] = Counter()
    client = redis.Redis.from_url(farm.server.url, decode_responses=True)

    def steal() -> None:
        while not ended.is_set() and deeds.total() < STOLEN:
            try:
                found = client.brpop(["default"], timeout=0.2)
                if found is not None:
                    deeds["lost" if deeds.total() % 2 == 0 else "doubled"] += 1
                    if deeds.total() % 2 == 0:
                        client.lpush("default", found[1], found[1])
            except redis.ConnectionError:
                ended.wait(0.1)

    thread = threading.Thread(target=steal)
    thread.start()
    try:
        yield deeds
    finally:
        ended.set()
        thread.join()
        client.close()


def held(farm: Farm) -> str:
    """The attempts that live, with the names of their workers."""
    return " ".join(map(str, farm.server.client.hvals("moie:{test}:attempts")))


def busy(farm: Farm) -> list[str]:
    """All workers, first those that hold an attempt."""
    attempts = held(farm)
    return sorted(WORKERS, key=lambda name: f"{name}@test" not in attempts)


def faults(farm: Farm) -> None:
    """Ten seconds: each second one worker is killed with all of its pool and started again; once Redis crashes."""
    wait_until(lambda: held(farm), "somebody holds an attempt")  # so that the first kill hits one
    for second in range(10):
        name = busy(farm)[0]
        farm.kill(name)
        farm.worker(name, concurrency=2)
        time.sleep(1)
        if second == 4:
            farm.server.kill()
            time.sleep(0.5)
            farm.server.start()


@pytest.mark.fault(1)
@pytest.mark.parametrize("messages", [pytest.param("delivered", marks=pytest.mark.whole), "stolen"])
def test_every_job_is_verified_once_whatever_is_killed(farm: Farm, messages: str, figures: Figures) -> None:
    farm.settings |= {"MOIE_LEASE": "6s", "MOIE_RENEW": "2s"}  # so that the test need not wait for 30 s
    farm.staff(WORKERS, concurrency=2)
    ids = [f"j{number}" for number in range(JOBS)]
    with thief(farm) if messages == "stolen" else nullcontext(Counter[str]()) as deeds:
        farm.load(*[{"id": job, "task": "hold a lock", "verification_cmd": alone(farm, job, 0.2)} for job in ids])
        wait_until(lambda: farm.places().get(Place.COMPLETED, 0) > 5, "the first jobs are verified")
        faults(farm)
        took = wait_until(lambda: farm.places() == {Place.COMPLETED: JOBS}, "every job is verified", 60)
    events = Counter(entry.event for entry in farm.store.read_journal(10_000))
    say(f"{JOBS} jobs, {messages}: {dict(events)}, {dict(deeds)}; ended {took:.1f} s after the last fault")
    figures.again = oracle.ended_well(farm, *ids)
    assert events["job.lost"] > 0, "the faults hit nothing"
    if messages == "stolen":
        assert min(deeds["lost"], deeds["doubled"]) > 5


@pytest.mark.fault(1)
@pytest.mark.whole
def test_what_a_killed_worker_held_begins_elsewhere_five_seconds_after_its_lease_at_the_latest(
    farm: Farm, figures: Figures
) -> None:
    farm.staff(("w1",), concurrency=2)  # with the lease that everybody has unless he says otherwise
    farm.load({"id": "long", "task": "hold a lock", "verification_cmd": alone(farm, "long", 20), "timeout": "1m"})
    wait_until(lambda: "w1@test" in held(farm), "it runs")
    farm.worker("w2", concurrency=2)
    farm.ready("w2")
    begun = len(farm.told())
    farm.kill("w1")
    figures.recovery_s = wait_until(lambda: len(farm.told()) > begun, "it begins again", LEASE_S + 5)
    wait_until(lambda: farm.places() == {Place.COMPLETED: 1}, "it is verified", 60)
    say(f"a lease of {LEASE_S:g} s: begun again {figures.recovery_s:.1f} s after the worker was killed")
    figures.again = oracle.ended_well(farm, "long")
    assert figures.again == 1
