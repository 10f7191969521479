"""What was verified and holds no more: real workers, two beats, a file that somebody changes and mends."""

from pathlib import Path

import pytest

from moie_worker.adapters.redis.alerts import RedisAlerts
from moie_worker.plan.flow import SOVEREIGN
from moie_worker.plan.states import Place
from tests.cli_kit import Cli
from tests.farm import Farm, wait_until

pytestmark = pytest.mark.integration

ALERT = "regressed:test:1.1"


@pytest.fixture
def cli(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line on the Redis of the farm."""
    for name, value in (farm.settings | {"MOIE_PLAN": "test"}).items():
        monkeypatch.setenv(name, value)
    return Cli(farm.directory)


def load(farm: Farm, config: Path, go: Path, slots: Path) -> None:
    """A file that must stay as it is, a job that is done behind it, and one that waits for somebody."""
    check = f'grep -q right {config} && echo "at $MOIE_SLOT" >> {slots}'
    farm.load_phases(
        {"id": 1, "name": "CONFIG", "jobs": [
            {"id": "1.1", "task": "It says right", "verification_cmd": check, "reverify": "1s",
             "retry": {"max": 1, "base": "100ms"}}]},
        {"id": 2, "name": "DONE", "jobs": [{"id": "2.1", "task": "Nothing", "verification_cmd": "true"}]},
        {"id": 3, "name": "LATER", "jobs": [{"id": "3.1", "task": "Go", "verification_cmd": f"test -e {go}"}]},
    )  # fmt: skip


def test_a_file_that_is_changed_freezes_what_is_later_until_it_is_mended(farm: Farm, cli: Cli) -> None:
    config, go, slots = (farm.directory / name for name in ("config", "go", "slots"))
    config.write_text("right\n")
    alerts = RedisAlerts(farm.server.client)
    farm.worker()
    farm.beat("b1")
    farm.beat("b2")
    load(farm, config, go, slots)
    wait_until(lambda: farm.store.job("1.1").evidence.get("held", 0) >= 2, "it is looked at again, and holds")
    wait_until(lambda: farm.place("3.1") is Place.WAITING, "the last phase is reached")
    assert alerts.standing() == {}

    config.write_text("wrong\n")
    wait_until(lambda: ALERT in alerts.standing(), "somebody is told")
    assert farm.store.overview().flags.frontier == 1
    said = alerts.standing()[ALERT]
    assert "plan test: 1.1 It says right REGRESSED " in said
    assert "exit code 0 -> 1" in said
    go.touch()
    beats = farm.store.overview().flags.beats
    wait_until(lambda: farm.store.overview().flags.beats >= beats + 3, "heartbeats go on")
    assert (farm.place("2.1"), farm.place("3.1") in {Place.WAITING, Place.PARKED}) == (Place.COMPLETED, True)
    status = cli.json("status")
    assert (status["current_phase"], status["sovereign"], status["regressed"]) == (1, False, 1)
    (regression,) = status["regressions"]
    assert (regression["job"], regression["changed"]["exit code"]) == ("1.1", {"before": 0, "after": 1})
    assert "exit code 0 -> 1" in cli.says("job", "1.1")
    assert cli.run("health").exit_code == 1

    config.write_text("right\n")
    wait_until(lambda: farm.store.overview().flags.frontier == SOVEREIGN, "it holds again, and the plan goes on")
    wait_until(lambda: alerts.standing() == {}, "that it is over is told")
    assert [farm.store.job(job).place for job in ("1.1", "2.1", "3.1")] == [Place.COMPLETED] * 3
    assert len(farm.journal("job.regressed")) == len(farm.journal("job.recovered")) == 1
    ran = [line for line in slots.read_text().splitlines() if line != "at "]
    assert len(ran) == len(set(ran)) >= 2  # two beats, and each due time is looked at once
