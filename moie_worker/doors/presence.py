"""A worker says that it lives, and watches those that cannot say it of themselves."""

import logging
import os
import socket
import threading
from datetime import timedelta
from typing import Any, ClassVar

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
        """Say it every few seconds until the worker ends."""
        while not self._ended.is_set():
            try:
                self._system.fleet.worker_here(self._worker, TTL)
            except MoieError as error:
                log.warning("cannot say that this worker lives: %s", error)
            self._ended.wait(EVERY_S)
        try:
            self._system.fleet.worker_left(self._worker.name)
        except MoieError as error:
            log.warning("cannot say that this worker ends: %s", error)


def describe(consumer: Any, now: int) -> Worker:
    """What a worker is, from its consumer: one process of a pool of several is kept for heartbeats."""
    concurrency = int(consumer.controller.concurrency)
    return Worker(
        name=str(consumer.hostname),
        host=socket.gethostname(),
        pid=os.getpid(),
        queues=tuple(consumer.app.amqp.queues.consume_from),
        slots=max(1, concurrency - 1),
        started_at=now,
    )
