"""Old workers beside new beats and the reverse, as while a release is rolled out: nothing is lost or doubled."""

import pytest

from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.plan.letters import LetterFilter, LetterKind
from moie_worker.plan.states import Place
from tests.chaos import oracle
from tests.farm import Farm, alone, say, wait_until
from tests.faults import Figures

pytestmark = [pytest.mark.chaos, pytest.mark.fault(20)]

JOBS = 24
NEWER = "tests.newer_app"


def worker(farm: Farm, name: str, app: str = "moie_worker") -> None:
    farm.celery(name, "worker", "-n", f"{name}@test", "-c", "3", "-l", "INFO", app=app)


def beat(farm: Farm, name: str, app: str = "moie_worker") -> None:
    farm.celery(name, "beat", "--pidfile=", "-l", "INFO", app=app)


def load(farm: Farm) -> list[str]:
    ids = [f"j{number}" for number in range(JOBS)]
    farm.load(*[{"id": job, "task": "hold a lock", "verification_cmd": alone(farm, job, 0.5)} for job in ids])
    return ids


def parked(farm: Farm) -> list[str]:
    """Why messages could not be read."""
    box = RedisDeadLetters(farm.server.client, "default")
    return [head.reason for head in box.page(LetterFilter(kind=LetterKind.MESSAGE)).heads]


@pytest.mark.whole
def test_an_old_worker_parks_what_a_new_beat_says_and_a_new_worker_does_the_work(farm: Farm, figures: Figures) -> None:
    worker(farm, "old")
    beat(farm, "old-beat")
    farm.ready("old")
    ids = load(farm)
    wait_until(lambda: farm.places().get(Place.COMPLETED, 0) > 2, "the old ones work")
    farm.store.pause("ops", "so that work is left for the new ones")
    beat(farm, "new-beat", NEWER)
    wait_until(lambda: len(farm.fleet.beats()[0]) == 2, "the new beat is there")
    farm.stop("old-beat")
    farm.store.resume("ops", "")
    wait_until(lambda: parked(farm), "what the old worker cannot read is parked")
    worker(farm, "new", NEWER)
    farm.ready("new")
    farm.stop("old")
    figures.recovery_s = wait_until(lambda: farm.places() == {Place.COMPLETED: JOBS}, "every job is verified", 120)
    figures.again = oracle.ended_well(farm, *ids)
    say(f"{len(parked(farm))} messages parked, {figures.again} attempts more than jobs: {parked(farm)[0]}")
    assert figures.again == 0
    assert all("sent by a newer release" in reason for reason in parked(farm))
    assert farm.journal("job.dead") == []


@pytest.mark.whole
def test_a_new_worker_does_what_an_old_beat_says(farm: Farm, figures: Figures) -> None:
    worker(farm, "new", NEWER)
    beat(farm, "old-beat")
    farm.ready("new")
    ids = load(farm)
    wait_until(lambda: farm.places() == {Place.COMPLETED: JOBS}, "every job is verified", 60)
    figures.again = oracle.ended_well(farm, *ids)
    assert parked(farm) == []
    assert figures.again == 0
