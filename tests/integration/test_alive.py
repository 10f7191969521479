"""`moie alive`: what a health check is told of the worker and the beat of its host."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from moie_worker.doors.cli.main import moie
from tests.farm import Farm, wait_until

pytestmark = pytest.mark.integration

HEAVY = ("celery", "kombu", "rich", "httpx", "moie_worker.wiring")


def alive(farm: Farm, *args: str) -> tuple[int, str]:
    done = CliRunner(env=farm.settings).invoke(moie, ["alive", *args])
    return done.exit_code, done.output.strip()


def test_nobody_lives_where_nobody_was_started(farm: Farm) -> None:
    assert alive(farm, "worker") == (1, "no worker of this host says that it lives")
    assert alive(farm, "beat", "--json") == (
        1,
        '{"alive": false, "message": "no beat of this host says that it lives"}',
    )


def test_who_was_killed_does_not_live_though_its_sign_of_life_is_still_there(farm: Farm) -> None:
    farm.worker()
    farm.beat()
    farm.ready("w1")
    wait_until(lambda: farm.fleet.beats()[0], "the beat is there")
    assert alive(farm, "worker") == (0, "w1@test lives")
    assert alive(farm, "beat")[0] == 0
    farm.kill("w1")
    farm.kill("b1")
    assert [len(farm.fleet.workers()[0]), len(farm.fleet.beats()[0])] == [1, 1]
    assert [alive(farm, "worker")[0], alive(farm, "beat")[0]] == [1, 1]


def test_a_worker_whose_broker_is_away_lives_and_takes_no_messages(farm: Farm) -> None:
    broker = farm.another_redis("broker")
    farm.settings["MOIE_BROKER_URL"] = broker.url
    farm.worker()
    farm.ready("w1")
    assert alive(farm, "worker", "--still", "2s")[0] == 0
    broker.kill()
    wait_until(
        lambda: "w1@test lives, and took no messages for" in alive(farm, "worker", "--still", "2s")[1], "it is seen"
    )
    assert alive(farm, "worker", "--still", "1h")[0] == 0
    broker.start()
    wait_until(lambda: alive(farm, "worker", "--still", "2s")[0] == 0, "it takes messages again")


def test_what_is_asked_often_imports_little() -> None:
    loaded = f"[name for name in {HEAVY} if name in sys.modules]"
    code = f"import sys, moie_worker.doors.cli.main, moie_worker.doors.cli.alive; print({loaded})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
