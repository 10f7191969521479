"""Any number of beats over a thousand due times of cyclic jobs: each slot begins once and in time, whoever dies."""

import signal
import time
from collections import Counter
from datetime import datetime, timedelta

import pytest

from moie_worker.plan.schedule import due_at
from tests.farm import Farm, say, wait_until
from tests.faults import Figures

pytestmark = pytest.mark.chaos

JOBS = 150
SLOTS = 7
JITTER = timedelta(seconds=1.5)  # spreads the jobs over the period; due times stay exact


def load_cyclic_jobs(farm: Farm) -> None:
    farm.load(
        *[
            {
                "id": f"c{number}",
                "task": "tell its slot",
                "status": "cyclic",
                "schedule": {"every": "2s"},
                "jitter": "1.5s",
                "start": "at_load",
                "catch_up": "all",  # a slot that nobody fired would be seen, late
                "overlap": "queue",  # on a slow machine a run may last into the next slot, which is not lost by that
                "verification_cmd": farm.sh(f"c{number} $MOIE_SLOT $MOIE_TOKEN"),
            }
            for number in range(JOBS)
        ]
    )


def runs(farm: Farm) -> dict[str, dict[int, list[int]]]:
    """Job -> slot -> when attempts at it began, in Redis' own time: a token begins with it."""
    found: dict[str, dict[int, list[int]]] = {}
    for job, slot, token in farm.told():
        at = round(datetime.fromisoformat(slot).timestamp() * 1000)
        found.setdefault(job, {}).setdefault(at, []).append(int(token.partition("-")[0]))
    return found


def lateness_ms(found: dict[str, dict[int, list[int]]]) -> list[int]:
    """How late each slot began, in order. The first of a job starts the count and is due at once."""
    return sorted(
        began[0] - due_at(slot, JITTER, job)
        for job, by_slot in found.items()
        for slot, began in list(by_slot.items())[1:]
    )


@pytest.mark.fault(11)
@pytest.mark.parametrize("beats", [2, pytest.param(5, marks=pytest.mark.whole)])
def test_a_thousand_due_times_begin_once_and_in_time_while_beats_die(farm: Farm, beats: int) -> None:
    farm.worker()
    for number in range(beats):
        farm.beat(f"b{number}")
    farm.ready("w1")
    wait_until(lambda: len(farm.fleet.beats()[0]) == beats, "all beats are there")
    load_cyclic_jobs(farm)
    wait_until(lambda: len(farm.told()) >= JOBS * SLOTS / 2, "half of the slots were run")
    farm.kill("b0")
    wait_until(lambda: len(farm.told()) >= JOBS * (SLOTS + 1), "the other half was run")
    farm.stop("w1")
    found = runs(farm)
    assert Counter(len(began) for by_slot in found.values() for began in by_slot.values()).keys() == {1}
    for by_slot in found.values():
        slots = list(by_slot)
        assert slots == list(range(slots[0], slots[-1] + 1, 2000)), "every slot from the first to the last was run"
    late = lateness_ms(found)
    assert len(late) >= 1000
    middle, most = late[len(late) // 2], late[len(late) * 99 // 100]
    say(f"{beats} beats, one killed: {len(late)} slots begun, p50 {middle} ms, p99 {most} ms, max {late[-1]} ms late")
    assert late[0] >= 0
    assert late[-1] <= 1000


FROZEN_S = 6
HELD_MS = 1000  # what the frozen one had reserved, and the ring that it took, come to the other by time alone


@pytest.mark.whole
@pytest.mark.fault(11)
def test_a_frozen_beat_delays_nothing_and_fires_no_burst_when_it_wakes(farm: Farm, figures: Figures) -> None:
    farm.worker()
    for name in ("b0", "b1"):
        farm.beat(name)
    farm.ready("w1")
    wait_until(lambda: len(farm.fleet.beats()[0]) == 2, "both beats are there")
    load_cyclic_jobs(farm)
    wait_until(lambda: len(farm.told()) >= JOBS * 2, "the first slots were run")
    frozen = farm.processes["b0"]
    frozen.send_signal(signal.SIGSTOP)
    time.sleep(FROZEN_S)
    frozen.send_signal(signal.SIGCONT)
    before = len(farm.told())
    wait_until(lambda: len(farm.told()) >= before + JOBS * 2, "two more rounds were run")
    farm.stop("w1")
    found = runs(farm)
    assert Counter(len(began) for by_slot in found.values() for began in by_slot.values()).keys() == {1}
    late = lateness_ms(found)
    figures.recovery_s = late[-1] / 1000
    say(f"a beat frozen for {FROZEN_S} s beside another: {len(late)} slots begun, at most {late[-1]} ms late")
    assert late[-1] <= HELD_MS
