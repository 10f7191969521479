"""Jobs that name a user, on real workers: who is allowed, and what becomes of who is not."""

import pytest

from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.adapters.shell_user import can_become_others
from moie_worker.plan.letters import LetterFilter
from moie_worker.plan.states import Place
from tests.farm import Farm, wait_until

USERS = pytest.mark.integration if can_become_others() else pytest.mark.whole
pytestmark = pytest.mark.integration


@USERS
def test_a_job_runs_as_its_user_and_its_action_too(farm: Farm) -> None:
    farm.settings["MOIE_RUN_AS_USERS"] = "daemon nobody"
    farm.load(
        {"id": "plain", "task": "t", "verification_cmd": "test $(id -u) = 0"},
        {"id": "user", "task": "t", "verification_cmd": 'test "$(id -un)" = nobody', "run_as": "nobody"},
        {"id": "acts", "task": "t", "verification_cmd": "exit 1", "run_as": "nobody", "retry": {"max": 0},
         "action": {"use": "shell", "with": {"cmd": "id -un; exit 1"}}},
    )  # fmt: skip
    farm.worker()
    farm.beat()
    wait_until(lambda: farm.place("user") is Place.COMPLETED, "it ran as its user")
    wait_until(lambda: farm.place("plain") is Place.COMPLETED, "others as the worker")
    wait_until(lambda: farm.place("acts") is Place.DEAD, "its action was tried")
    assert farm.store.job("acts").evidence["head"] == "nobody\n"


def test_a_user_that_the_machine_does_not_name_is_refused_with_one_alert(farm: Farm) -> None:
    farm.load(
        {"id": "a", "task": "t", "verification_cmd": farm.sh("a"), "run_as": "root"},
        {"id": "b", "task": "t", "verification_cmd": farm.sh("b")},
    )
    farm.worker()
    farm.beat()
    wait_until(lambda: farm.place("a") is Place.DEAD, "it is refused")
    wait_until(lambda: farm.place("b") is Place.COMPLETED, "the rest goes on")
    assert farm.told() == [["b"]]
    (letter,) = RedisDeadLetters(farm.server.client, "test").page(LetterFilter()).heads
    assert letter.reason.startswith("refused: nobody may run as root on this machine")
    wait_until(lambda: farm.server.client.hgetall("moie:alerts"), "an alert stands")
    assert list(farm.server.client.hgetall("moie:alerts")) == ["refused:test"]


def test_a_worker_that_does_not_know_how_to_hold_its_commands_does_not_start(farm: Farm) -> None:
    farm.settings["MOIE_CONTAINMENT"] = "cage"
    assert farm.worker().wait(30) == 2
    assert "MOIE_CONTAINMENT" in farm.log("w1")
