"""Deliveries that must neither be lost lightly nor hold up whoever makes them.

While Redis answers, a delivery is made at once. From the first failure on deliveries wait in memory, and a thread
tries again with growing pauses, so that a task waits for a dead Redis once and not at every failure.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from moie_worker.errors import MoieError

log = logging.getLogger(__name__)

Delivery = Callable[[timedelta], object]  # given how long it waited; raises MoieError where it should be tried again

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
REMIND_EVERY_S = 300.0


class Outbox:
    """Safe to use from several threads and after a fork; a child starts with an empty one."""

    def __init__(self, capacity: int = 1000, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._capacity = capacity
        self._first_pause_s = first_pause_s
        self._start_empty()

    def _start_empty(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()  # of what waits
        self._turn = threading.Lock()  # of who delivers it
        self._waiting: deque[tuple[float, Delivery]] = deque()
        self._thread: threading.Thread | None = None
        self._reminded = 0.0
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Deliveries that could not be made yet."""
        return len(self._waiting)

    def send(self, deliver: Delivery) -> None:
        """Deliver now or later. Never raises, and waits at most for one attempt."""
        if self._pid != os.getpid():
            self._start_empty()  # what the parent waits to deliver is the parent's; its thread is not here
        if self._waiting or not self._made(time.monotonic(), deliver):
            self._keep(deliver)

    def flush(self) -> bool:
        """Deliver what waits, the oldest first, until one fails. True when nothing is left."""
        with self._turn:  # not the lock of what waits: whoever has one more to keep must not wait for Redis
            while self._waiting:
                first = self._waiting[0]
                if not self._made(*first):
                    return False
                with self._lock:
                    if self._waiting[0] is first:  # else it was dropped for a newer one
                        self._waiting.popleft()
        return True

    def close(self) -> None:
        """A last attempt, and a word about what is lost with this process."""
        if self._pid == os.getpid() and not self.flush():
            log.error("%d dead letters or runs were not delivered and are lost with this process", self.waiting)

    def _made(self, at: float, deliver: Delivery) -> bool:
        """Whether it needs no other attempt."""
        try:
            deliver(timedelta(seconds=time.monotonic() - at))
        except MoieError as error:
            self._remind(error)
            return False
        except Exception:
            log.exception("a dead letter or run could not be delivered and is dropped")
        return True

    def _keep(self, deliver: Delivery) -> None:
        with self._lock:
            if len(self._waiting) >= self._capacity:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append((time.monotonic(), deliver))
            if self._thread is None:
                self._thread = threading.Thread(target=self._try_again, name="moie-outbox", daemon=True)
                self._thread.start()

    def _try_again(self) -> None:
        pause = self._first_pause_s
        while True:
            time.sleep(pause)
            if self.flush() and self._rest():
                return
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _rest(self) -> bool:
        with self._lock:
            if self._waiting:
                return False
            self._thread = None
            dropped, self.dropped, self._reminded = self.dropped, 0, 0.0
        log.warning("dead letters and runs are delivered again; %d were dropped meanwhile", dropped)
        return True

    def _remind(self, error: MoieError) -> None:
        now = time.monotonic()
        if not self._reminded or now - self._reminded >= REMIND_EVERY_S:
            self._reminded = now
            log.error(
                "dead letters and runs are kept in memory (at most %d; %d wait, %d dropped) until this heals: %s",
                self._capacity, self.waiting, self.dropped, error,
            )  # fmt: skip
