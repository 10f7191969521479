"""Heartbeats of real beats and workers: when the first one comes, and what others know of their period."""

from datetime import timedelta

import pytest

from tests.farm import Farm, wait_until

pytestmark = pytest.mark.integration


def test_the_first_heartbeat_comes_at_once_and_once_however_many_beats_start(farm: Farm) -> None:
    farm.settings |= {"MOIE_HEARTBEAT": "10m", "MOIE_HEARTBEAT_STALE": ""}
    farm.load({"id": "1", "task": "nothing", "verification_cmd": "true"})
    for name in ("b1", "b2", "b3"):
        farm.beat(name)
    farm.worker()
    wait_until(lambda: farm.journal("heartbeat"), "the first heartbeat")
    wait_until(lambda: len(farm.fleet.beats()[0]) == 3, "all beats are there")
    announced = {beat.heartbeat for beat in farm.fleet.beats()[0]}
    farm.stop("w1")
    assert announced == {timedelta(minutes=10)}
    assert len(farm.journal("heartbeat")) == 1
    assert farm.queue() == []


def test_heartbeats_that_nobody_takes_do_not_pile_up(farm: Farm) -> None:
    farm.settings |= {"MOIE_HEARTBEAT": "500ms", "MOIE_HEARTBEAT_STALE": ""}
    farm.load({"id": "1", "task": "nothing", "verification_cmd": "true"})
    for name in ("b1", "b2"):
        farm.beat(name)
    wait_until(lambda: (farm.log("b1") + farm.log("b2")).count("sent heartbeat") >= 4, "four heartbeats were sent")
    assert len(farm.queue()) == 1
    farm.worker()
    wait_until(lambda: farm.journal("heartbeat"), "a heartbeat is recorded")
