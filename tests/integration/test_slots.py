"""The slots of a pool, shared by forked processes."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event

import pytest

from moie_worker.doors import slots
from moie_worker.doors.slots import Slots

FORK = multiprocessing.get_context("fork")
PATIENCE_S = 20.0
ONE = Slots()  # lives as long as the process, as a worker's does
ONE.number = 1


def hold(shared: Slots, held: Event, leave: Event) -> None:
    with shared.take(0, lambda: False) as mine:
        assert mine
        held.set()
        leave.wait(PATIENCE_S)


@contextmanager
def holder(shared: Slots, leave: Event) -> Iterator[BaseProcess]:
    """Another process of the pool, which has the slot until it is told to leave."""
    held = FORK.Event()
    process = FORK.Process(target=hold, args=(shared, held, leave))
    process.start()
    try:
        assert held.wait(PATIENCE_S)
        yield process
    finally:
        process.kill()
        process.join()


def test_who_finds_no_slot_in_time_is_told_so() -> None:
    with holder(ONE, FORK.Event()), ONE.take(0.01, lambda: False) as mine:
        assert not mine


def test_waiting_ends_when_it_is_hopeless() -> None:
    with holder(ONE, FORK.Event()), ONE.take(PATIENCE_S, lambda: True) as mine:
        assert not mine


def test_a_slot_that_is_given_back_is_taken_without_another_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "LOOK_S", PATIENCE_S)
    leave = FORK.Event()
    asked = False

    def hopeless() -> bool:  # asked once the first look found no slot
        nonlocal asked
        again, asked = asked, True
        leave.set()
        return again

    began = time.monotonic()
    with holder(ONE, leave), ONE.take(PATIENCE_S, hopeless) as mine:
        assert mine
    assert time.monotonic() - began < PATIENCE_S / 2


def test_the_slot_of_a_process_that_dies_is_free() -> None:
    with holder(ONE, FORK.Event()) as process:
        process.kill()
        process.join()
        with ONE.take(PATIENCE_S, lambda: False) as mine:
            assert mine
