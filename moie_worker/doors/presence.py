"""A worker says that it lives, and watches those that cannot say it of themselves."""

import logging
import os
import socket
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

from moie_worker.alerts.watch import watch
from moie_worker.errors import MoieError
from moie_worker.plan.presence import Worker
from moie_worker.wiring import System

TTL = timedelta(seconds=20)
EVERY_S = 5.0

log = logging.getLogger(__name__)


class Presence(threading.Thread):
    """A timer of the worker's own, which beat does not schedule."""

    current: ClassVar["Presence | None"] = None

    def __init__(self, system: System, worker: Worker) -> None:
        super().__init__(name="moie-presence", daemon=True)
        self._system = system
        self._worker = worker
        self._ended = threading.Event()

    @classmethod
    def start_for(cls, system: System, consumer: Any) -> None:
        """Begin for the worker whose consumer is ready."""
        cls.current = cls(system, describe(consumer, system.fleet.now()))
        cls.current.start()

    @classmethod
    def leave(cls) -> None:
        """End: the worker takes nothing more."""
        if cls.current is not None:
            cls.current._ended.set()

    def run(self) -> None:
        """Say it every few seconds until the worker ends; now and then look after the others."""
        said = looked = float("-inf")
        pause = min(EVERY_S, self._check_s)
        while not self._ended.is_set():
            now = self._system.clock.monotonic()
            if now - said >= EVERY_S:
                said = now
                self._try(lambda: self._system.fleet.worker_here(self._worker, TTL))
            if now - looked >= self._check_s:
                looked = now
                self._try(self._look)
            self._ended.wait(pause)
        self._try(lambda: self._system.fleet.worker_left(self._worker.name))

    @property
    def _check_s(self) -> float:
        return self._system.settings.stale_check.total_seconds()

    def _look(self) -> None:
        system = self._system
        watch(system.fleet, system.store, system.dead_letters, system.alerts, system.settings.pace)

    def _try(self, act: Callable[[], None]) -> None:
        """Redis may be away; the thread must outlive that, and errors of ours too."""
        try:
            act()
        except MoieError as error:
            log.warning("%s: %s", self._worker.name, error)
        except Exception:
            log.exception("the timer of %s met an error", self._worker.name)


def describe(consumer: Any, now: int) -> Worker:
    """What a worker is, from its consumer."""
    return Worker(
        name=str(consumer.hostname),
        host=socket.gethostname(),
        pid=os.getpid(),
        queues=tuple(consumer.app.amqp.queues.consume_from),
        slots=slots_of(int(consumer.controller.concurrency)),
        started_at=now,
    )


def slots_of(concurrency: int) -> int:
    """How many hints a pool works on at once: one process of several is kept for heartbeats."""
    return max(1, concurrency - 1)
