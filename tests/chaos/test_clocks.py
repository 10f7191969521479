"""Clocks that are wrong, jump, or come to a change of time: slots run once and go on, for Redis alone tells the time.

A C compiler makes the library that tells the wrong time. What a change of clocks does to single schedules is in
tests/unit/test_schedule_cron.py.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moie_worker.plan.states import Place
from tests.celery_kit import ROOT
from tests.chaos import oracle
from tests.clock_kit import WrongClock
from tests.farm import Farm, Server, alone, farm_in, say, wait_until
from tests.faults import Figures

pytestmark = [pytest.mark.chaos, pytest.mark.whole, pytest.mark.fault(12)]

TWO_HOURS = timedelta(hours=2)
EVERY_MS = 2000
CYCLIC, PLAIN = 20, 60


def slots_told(farm: Farm) -> dict[str, list[int]]:
    """Job -> the slots of its runs, in the order in which they began."""
    found: dict[str, list[int]] = {}
    path = farm.directory / "slots"
    for line in path.read_text().splitlines() if path.exists() else ():
        job, slot = line.split()
        found.setdefault(job, []).append(round(datetime.fromisoformat(slot).timestamp() * 1000))
    return found


def cyclic(farm: Farm, job: str, **timing: object) -> dict[str, object]:
    """A job that tells its slots apart from what others tell."""
    command = f'echo "{job} $MOIE_SLOT" >> {farm.directory}/slots'
    kind = {"status": "cyclic", "start": "at_load", "catch_up": "all", "overlap": "queue"}
    return {"id": job, "task": "tell its slot", "verification_cmd": command, **kind, **timing}


def each_slot_once(farm: Farm) -> None:
    """From the first to the last, none left out, none run twice, none out of order."""
    for job, slots in slots_told(farm).items():
        assert slots == list(range(slots[0], slots[-1] + 1, EVERY_MS)), f"slots of {job}"


def test_nodes_with_wrong_clocks_that_jump_double_and_freeze_nothing(farm: Farm, figures: Figures) -> None:
    farm.settings |= {"MOIE_LEASE": "6s", "MOIE_RENEW": "2s"}
    ahead, behind = (WrongClock(farm.directory, name, by) for name, by in (("w2", TWO_HOURS), ("b2", -TWO_HOURS)))
    farm.worker("w1")
    farm.worker("w2", env=ahead.env)
    farm.beat("b1")
    farm.beat("b2", env=behind.env)
    farm.ready("w1", "w2")
    farm.load(*[cyclic(farm, f"c{n}", schedule={"every": "2s"}) for n in range(CYCLIC)], plan="cyclic")
    ids = [f"j{number}" for number in range(PLAIN)]
    farm.load(*[{"id": job, "task": "hold a lock", "verification_cmd": alone(farm, job, 1)} for job in ids])
    wait_until(lambda: farm.places().get(Place.COMPLETED, 0) > 4, "the first jobs are verified")
    ahead.jump(-TWO_HOURS)
    behind.jump(TWO_HOURS)
    took = wait_until(lambda: farm.places() == {Place.COMPLETED: PLAIN}, "every job is verified", 120)
    figures.again = oracle.ended_well(farm, *ids)
    wait_until(lambda: min(map(len, slots_told(farm).values())) > 8, "the cyclic jobs go on")
    farm.stop("w1")
    farm.stop("w2")
    say(f"two hours ahead and behind, then the reverse: every job was verified {took:.1f} s later")
    assert len(slots_told(farm)) == CYCLIC
    each_slot_once(farm)
    assert figures.again == 0


def test_doctor_tells_a_clock_that_is_wrong(farm: Farm) -> None:
    clock = WrongClock(farm.directory, "here", TWO_HOURS)
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "moie_worker", "doctor"],
        env={**os.environ, "PYTHONPATH": str(ROOT), **farm.settings, **clock.env},
        capture_output=True,
        text=True,
        check=False,
    )
    (line,) = [line for line in found.stdout.splitlines() if "Set the clocks by NTP" in line]
    assert "7200.0 s behind this machine" in line or "7199.9 s behind this machine" in line


@pytest.fixture
def timed() -> Iterator[tuple[Farm, WrongClock]]:
    """A Redis whose time the test tells; the other processes have the true one, which nobody asks."""
    clocks: list[WrongClock] = []

    def state(directory: Path) -> Server:
        clocks.append(WrongClock(directory, "redis"))
        return Server(directory, before=clocks[0].before)

    with farm_in(state=state) as made:
        yield made, clocks[0]


def at_work(farm: Farm, clock: WrongClock, moment: str) -> None:
    """It is that moment for Redis, and somebody works."""
    farm.worker()
    farm.beat()
    farm.ready("w1")
    clock.say(datetime.fromisoformat(moment))
    farm.ready("w1")


def utc(slots: list[int]) -> list[str]:
    return [f"{datetime.fromtimestamp(slot / 1000, UTC):%Y-%m-%d %H:%M}" for slot in slots]


def test_a_time_that_is_skipped_in_spring_runs_once_at_the_jump(timed: tuple[Farm, WrongClock]) -> None:
    farm, clock = timed
    at_work(farm, clock, "2027-03-28T00:59:50+00:00")
    farm.load(cyclic(farm, "early", schedule={"cron": "30 2 * * *", "timezone": "Europe/Vienna"}))
    wait_until(lambda: slots_told(farm), "it ran at the jump")
    clock.say(datetime.fromisoformat("2027-03-29T00:29:55+00:00"))
    wait_until(lambda: len(slots_told(farm)["early"]) > 1, "it ran on the next day")
    assert utc(slots_told(farm)["early"]) == ["2027-03-28 01:00", "2027-03-29 00:30"]


def test_a_time_that_comes_twice_in_autumn_runs_once(timed: tuple[Farm, WrongClock]) -> None:
    farm, clock = timed
    at_work(farm, clock, "2027-10-30T23:59:50+00:00")
    farm.load(cyclic(farm, "early", schedule={"cron": "0 2 * * *", "timezone": "Europe/Vienna"}))
    wait_until(lambda: slots_told(farm), "it ran the first time")
    clock.say(datetime.fromisoformat("2027-10-31T00:59:57+00:00"))
    time.sleep(8)
    assert utc(slots_told(farm)["early"]) == ["2027-10-31 00:00"], "not when the same time came again"
    clock.say(datetime.fromisoformat("2027-11-01T00:59:55+00:00"))
    wait_until(lambda: len(slots_told(farm)["early"]) > 1, "it ran on the next day")
    assert utc(slots_told(farm)["early"]) == ["2027-10-31 00:00", "2027-11-01 01:00"]


def test_the_second_at_which_32_bits_are_over_is_one_like_others(timed: tuple[Farm, WrongClock]) -> None:
    farm, clock = timed
    at_work(farm, clock, "2038-01-19T03:13:58+00:00")
    farm.load(cyclic(farm, "c", schedule={"every": "2s"}))
    over = 2**31 * 1000
    wait_until(lambda: slots_told(farm).get("c", [0])[-1] > over + 10_000, "it goes on")
    assert slots_told(farm)["c"][0] < over
    each_slot_once(farm)
