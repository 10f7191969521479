"""RabbitMQ carries the messages, Redis keeps the truth: what a broker loses, doubles or refuses costs time only."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moie_worker.plan.states import Place
from tests.chaos import oracle
from tests.farm import Farm, alone, farm_in, say, wait_until
from tests.faults import Figures
from tests.rabbit_kit import Rabbit

pytestmark = [pytest.mark.chaos, pytest.mark.whole]

JOBS = 60
FROZEN_S = 12


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Rabbit]:
    rabbit = Rabbit(tmp_path)
    yield rabbit
    rabbit.close()


@pytest.fixture
def farm(broker: Rabbit) -> Iterator[Farm]:
    with farm_in() as made:
        made.settings["MOIE_BROKER_URL"] = broker.url
        yield made


@pytest.mark.fault(11)
@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_work_on_quorum_queues_goes_on_after_a_fault_of_the_broker(
    broker: Rabbit, farm: Farm, fault: str, figures: Figures
) -> None:
    for name in ("w1", "w2"):
        farm.worker(name)
    for name in ("b1", "b2"):
        farm.celery(name, "beat", "--pidfile=", "-n", f"{name}@test", "-l", "INFO")
    farm.ready("w1", "w2")
    ids = [f"j{number}" for number in range(JOBS)]
    farm.load(*[{"id": job, "task": "hold a lock", "verification_cmd": alone(farm, job, 0.5)} for job in ids])
    wait_until(lambda: farm.places().get(Place.COMPLETED, 0) > 4, "the first jobs are verified")
    broker.declare("default")
    began = time.monotonic()
    if fault == "killed":
        broker.kill()
        broker.start()
    else:
        with broker.frozen():
            time.sleep(FROZEN_S)
    up = time.monotonic()
    before = len(farm.told())
    wait_until(lambda: len(farm.told()) > before + 10, "jobs begin again", 40)
    again = time.monotonic() - up
    say(f"{fault}: RabbitMQ was away for {up - began:.1f} s; jobs began again {again:.1f} s after it came back")
    wait_until(lambda: farm.places() == {Place.COMPLETED: JOBS}, "every job is verified", 60)
    figures.recovery_s, figures.again = again, oracle.ended_well(farm, *ids)
    assert farm.journal("job.dead") == []
