"""An outbox delivers at once, or later, and never raises."""

import os
import threading
from datetime import timedelta

import pytest

from moie_worker.adapters.outbox import Outbox
from moie_worker.errors import UnreachableError


class Target:
    """Takes deliveries when it is up."""

    def __init__(self) -> None:
        self.up = True
        self.got: list[int] = []

    def send(self, outbox: Outbox, number: int) -> None:
        def deliver(ago: timedelta) -> None:
            assert ago >= timedelta()
            if not self.up:
                raise UnreachableError("Redis is away")
            self.got.append(number)

        outbox.send(deliver)


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(capacity=3, first_pause_s=3600)


def test_what_can_be_delivered_is_delivered_at_once(outbox: Outbox) -> None:
    target = Target()
    target.send(outbox, 1)
    assert (target.got, outbox.waiting) == ([1], 0)


def test_what_waits_is_delivered_in_order_and_before_what_comes_later(outbox: Outbox) -> None:
    target = Target()
    target.up = False
    target.send(outbox, 1)
    target.up = True
    target.send(outbox, 2)
    assert (target.got, outbox.waiting) == ([], 2)
    assert outbox.flush()
    assert target.got == [1, 2]


def test_a_full_outbox_drops_the_oldest_and_counts(outbox: Outbox, caplog: pytest.LogCaptureFixture) -> None:
    target = Target()
    target.up = False
    for number in range(5):
        target.send(outbox, number)
    assert (outbox.waiting, outbox.dropped) == (3, 2)
    assert len(caplog.records) == 1
    outbox.close()
    assert "3 dead letters or runs were not delivered" in caplog.text


def test_nobody_waits_while_another_one_is_tried_again(outbox: Outbox) -> None:
    trying, answered = threading.Event(), threading.Event()
    target = Target()
    target.up = False

    waits: list[timedelta] = []

    def slow(ago: timedelta) -> None:
        waits.append(ago)
        if len(waits) == 1:
            raise UnreachableError("Redis is away")
        trying.set()
        answered.wait(30)

    outbox.send(slow)
    thread = threading.Thread(target=outbox.flush)
    thread.start()
    assert trying.wait(30)
    target.send(outbox, 1)  # would stand still here
    assert outbox.waiting == 2
    answered.set()
    thread.join()
    assert outbox.waiting == 1


def test_an_error_of_the_delivery_itself_reaches_nobody_and_is_not_tried_again(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    outbox.send(lambda ago: 1 // 0)
    assert outbox.waiting == 0
    assert "ZeroDivisionError" in caplog.text


def test_the_thread_delivers_when_the_target_is_back() -> None:
    outbox = Outbox(first_pause_s=0.001)
    target = Target()
    target.up = False
    target.send(outbox, 1)
    thread = outbox._thread
    assert thread is not None
    target.up = True
    thread.join(timeout=10)
    assert (target.got, outbox.waiting) == ([1], 0)


def test_a_child_process_does_not_deliver_what_its_parent_waits_to_deliver(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Target()
    target.up = False
    target.send(outbox, 1)
    target.up = True
    pid = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    target.send(outbox, 2)
    assert (target.got, outbox.waiting) == ([2], 0)
