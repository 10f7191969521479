"""A worker says that it lives, and watches those that cannot say it of themselves."""

import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from celery.utils.sysinfo import cpu_budget, is_auto_concurrency

from moie_worker.adapters.processes import identity
from moie_worker.alerts.unwritten import Unwritten
from moie_worker.doors.lookout import TICK_S, Lookout
from moie_worker.errors import MoieError
from moie_worker.plan.chain import Pulse, Station
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
        self._lookout = Lookout(system)
        self._unwritten = Unwritten()
        self._ended = threading.Event()
        self._woken = threading.Event()
        self._received: Pulse | None = None
        self._turned = system.clock.monotonic()

    @classmethod
    def start_for(cls, system: System, consumer: Any) -> None:
        """Begin for the worker whose consumer is ready."""
        cls.current = cls(system, describe(consumer, system.fleet.now(), _authors(system)))
        cls.current.start()

    @classmethod
    def turned(cls) -> None:
        """The loop that takes messages has turned to its timers."""
        if cls.current is not None:
            cls.current._turned = cls.current._system.clock.monotonic()

    @classmethod
    def leave(cls) -> None:
        """End: the worker takes nothing more."""
        if cls.current is not None:
            cls.current._ended.set()
            cls.current._woken.set()

    @classmethod
    def received(cls, pulse: Pulse) -> None:
        """The worker got a heartbeat from its broker. Written down by the timer: whoever consumes must not wait."""
        if cls.current is not None:
            cls.current._received = pulse
            cls.current._woken.set()

    def run(self) -> None:
        """Say it every few seconds until the worker ends; now and then look after the others."""
        said = float("-inf")
        while not self._ended.is_set():
            now = self._system.clock.monotonic()
            if now - said >= EVERY_S:
                said = now
                self._try(self._say_here)
            if pulse := self._received:
                self._received = None
                self._try(lambda: self._system.chain.mark(Station.RECEIVED, pulse))
            self._lookout.look()
            self._woken.wait(TICK_S)
            self._woken.clear()
        self._try(lambda: self._system.fleet.worker_left(self._worker.name))

    def _say_here(self) -> None:
        clock = self._system.clock
        still_s = round(clock.monotonic() - self._turned, 1)
        try:
            self._system.fleet.worker_here(replace(self._worker, still_s=still_s), TTL)
        except MoieError as error:
            self._unwritten.failed(clock.monotonic(), str(error))
            self._lookout.forget()
            raise
        self._unwritten.worked(clock.monotonic())

    def _try(self, act: Callable[[], None]) -> None:
        """Redis may be away; the thread must outlive that, and errors of ours too."""
        try:
            act()
        except MoieError as error:
            log.warning("%s: %s", self._worker.name, error)
        except Exception:
            log.exception("the timer of %s met an error", self._worker.name)


def describe(consumer: Any, now: int, authors: tuple[str, ...] | None) -> Worker:
    """What a worker is, from its consumer."""
    return Worker(
        name=str(consumer.hostname),
        host=socket.gethostname(),
        pid=os.getpid(),
        queues=tuple(consumer.app.amqp.queues.consume_from),
        slots=slots_of(consumer.controller.concurrency),
        started_at=now,
        process=identity(os.getpid()) or "",
        authors=authors,
    )


def _authors(system: System) -> tuple[str, ...] | None:
    return tuple(sorted(key.id for key in system.trusted_authors)) if system.signatures_required else None


def slots_of(concurrency: int | str) -> int:
    """How many hints a pool works on at once: one process of several is kept for heartbeats.

    `auto` is what Celery makes of it, a moment after it tells of the worker.
    """
    processes = cpu_budget().count if is_auto_concurrency(concurrency) else int(concurrency)
    return max(1, processes - 1)
