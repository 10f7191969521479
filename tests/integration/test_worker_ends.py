"""How a worker ends while a long command runs: given back or finished, and nothing of it left behind."""

import signal
import time

import pytest

from moie_worker.plan.states import Place
from tests.chaos import oracle
from tests.farm import Farm, wait_until
from tests.shell_kit import alive

pytestmark = pytest.mark.integration

PATIENCE_S = 2.0  # how long a command may go on
SLACK_S = 20.0  # what Celery takes to end besides, on a busy machine; the command takes far longer


def running(farm: Farm, seconds: str) -> str:
    """A worker runs a command for so long; returns its token."""
    farm.settings["MOIE_PATIENCE"] = f"{PATIENCE_S}s"
    farm.worker()
    farm.beat()
    farm.ready("w1")
    farm.load({"id": "long", "task": "take its time", "verification_cmd": f"{farm.sh('$MOIE_TOKEN')}; sleep {seconds}"})
    wait_until(farm.told, "the command runs")
    return farm.told()[0][0]


def taken_over(farm: Farm, token: str) -> None:
    """The command is dead, and another worker begins the job at once, charged with nothing."""
    wait_until(lambda: not alive(token), "the command is dead", 10)
    farm.worker("w2")
    wait_until(lambda: len(farm.told()) == 2, "another worker began the job", 20)
    job = farm.store.job("long")
    assert (job.place, job.attempts, job.losses) == (Place.RUNNING, 1, 0)
    oracle.holds(farm, 1)


@pytest.mark.fault(3)
def test_a_command_that_goes_on_is_given_back_when_its_worker_is_asked_to_end(farm: Farm) -> None:
    token = running(farm, "60")
    assert farm.stop("w1") < PATIENCE_S + SLACK_S
    assert farm.fleet.workers() == ([], [])
    taken_over(farm, token)


@pytest.mark.fault(3)
@pytest.mark.whole
def test_a_command_that_ends_in_time_is_settled_though_its_worker_is_asked_twice(farm: Farm) -> None:
    token = running(farm, f"{PATIENCE_S + 1.5}")
    time.sleep(PATIENCE_S + 0.2)  # patience counts from the asking, however long the command ran before
    farm.processes["w1"].send_signal(signal.SIGTERM)
    wait_until(lambda: "shutdown" in farm.log("w1"), "the worker heard it")
    assert farm.stop("w1") < PATIENCE_S + SLACK_S
    assert not alive(token)
    assert farm.place("long") == Place.COMPLETED
    assert len(farm.told()) == 1
    oracle.holds(farm, 1)


@pytest.mark.fault(3)
def test_a_worker_that_ends_at_once_leaves_no_command(farm: Farm) -> None:
    farm.settings |= {"MOIE_LEASE": "3s", "MOIE_RENEW": "1s"}
    token = running(farm, "60")
    assert farm.stop("w1", signal.SIGQUIT) < SLACK_S
    wait_until(lambda: not alive(token), "the command is dead", 10)
    farm.worker("w2")
    wait_until(lambda: len(farm.told()) == 2, "another worker began the job", 20)
