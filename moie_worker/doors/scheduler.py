"""`PlanScheduler`: a scheduler for `celery beat` without a local file and without a leader.

Any number of beats run side by side. The jobs of plans and the ordinary entries of `beat_schedule` are due entries
alike, kept in Redis; whoever looks first, fires. For any Celery application:

    app.conf.beat_scheduler = "plan"        # or: celery -A app beat -S plan
    app.conf.moie_redis_url = "redis://…"   # where due times are kept; default: MOIE_REDIS_URL, else the broker
"""

import atexit
import logging
import os
import secrets
import socket
import sys
from datetime import timedelta
from functools import cached_property
from typing import Any

from celery.backends.base import DisabledBackend
from celery.beat import Scheduler

from moie_worker.adapters.processes import identity
from moie_worker.addresses import place_of
from moie_worker.doors import entries as slots
from moie_worker.doors.firing import Firing
from moie_worker.doors.hints import HEARTBEAT, WORK, publisher
from moie_worker.doors.lookout import LookoutThread
from moie_worker.doors.periodic import longest_gap
from moie_worker.doors.state import system_of
from moie_worker.errors import InputError, MoieError, UnreachableError
from moie_worker.heart.dispatch import Dispatcher
from moie_worker.heart.quietly import Complaints
from moie_worker.plan.presence import Beat
from moie_worker.plan.times import Ms
from moie_worker.wiring import System

PRESENCE = timedelta(seconds=15)
PRESENCE_EVERY_S = 5.0
ERROR_PAUSE_S = 1.0
EAGER = (
    "task_always_eager is set, so that beat would run the tasks itself and look at nothing meanwhile. "
    "Set it to False in the configuration of the application that beats and workers load"
)

log = logging.getLogger(__name__)


class PlanScheduler(Scheduler):  # type: ignore[misc]
    """Fires what is due; knows nothing that another beat does not know too."""

    _said_at: float | None = None
    _sweep_at = 0.0  # monotonic
    _rung: frozenset[str] = frozenset()

    def setup_schedule(self) -> None:
        """Take the entries of the configuration; no file, no network. Ends the process where tasks would run here."""
        if self.app.conf.task_always_eager:
            sys.stderr.write(f"moie-worker: {EAGER}\n")
            raise SystemExit(InputError.exit_code)
        self.merge_inplace(self.app.conf.beat_schedule)
        if not isinstance(self.app.backend, DisabledBackend):
            self.install_default_entries(self.data)  # last: a merge takes away all that it does not name

    @cached_property
    def _system(self) -> System:
        return system_of(self.app)

    @cached_property
    def _firing(self) -> Firing:
        return Firing(self.app, self._system, self.schedule, self._complaints)

    @cached_property
    def _dispatcher(self) -> Dispatcher | None:
        """Offers the jobs of plans; None in an application whose workers do not know how to work on them."""
        if WORK not in self.app.tasks:
            return None
        return Dispatcher(self._system.fleet, self._system.store, publisher(self.app), self._complaints)

    @cached_property
    def _complaints(self) -> Complaints:
        return Complaints()

    @cached_property
    def name(self) -> str:
        """Of this beat, among the others."""
        return f"beat@{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"

    @cached_property
    def _presence(self) -> Beat:
        """What this beat says of itself, from its first tick on."""
        heartbeats = [entry for entry in self.schedule.values() if entry.task == HEARTBEAT]
        periods = [gap for entry in heartbeats if (gap := longest_gap(entry.schedule, self.app)) is not None]
        return Beat(
            name=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=self._system.fleet.now(),
            entries=tuple(self._firing.keyed()),
            heartbeat=min(periods, default=None),
            process=identity(os.getpid()) or "",
            broker=place_of(slots.broker_of(self.app)),
        )

    def tick(self, *_: Any, **__: Any) -> float:
        """Fire what is due, then wait for a ring or the next due time. Never raises; returns the pause in seconds."""
        try:
            pause = self._tick()
        except MoieError as error:
            if self._complaints.due(str(error)):
                log.error("beat: %s; it tries again every %g s", error, ERROR_PAUSE_S)
            if isinstance(error, UnreachableError) and self._dispatcher is not None:
                self._dispatcher.away()
        except Exception:
            log.exception("beat: a tick met an error and is tried again")
        else:
            self._complaints.over()
            return pause
        return ERROR_PAUSE_S

    def _tick(self) -> float:
        self._say_here()
        entry_due = self._firing.fire()
        plan_due = self._look(self._dispatcher) if self._dispatcher is not None else None
        dues = [due for due in (entry_due, plan_due) if due is not None]
        patience = self._system.settings.sweep
        if dues:
            patience = min(patience, timedelta(milliseconds=max(0, min(dues) - self._system.fleet.now())))
        if self._dispatcher is None:
            return patience.total_seconds()  # a ring is told to one listener only: to one that can look at the plan
        self._rung = self._system.fleet.listen(patience)
        return 0.0

    def _look(self, dispatcher: Dispatcher) -> Ms | None:
        """Look at all plans every now and then; in between at those that rang or have something due."""
        now = self._system.clock.monotonic()
        if now < self._sweep_at:
            return dispatcher.look(self._rung)
        due = dispatcher.sweep()
        self._sweep_at = now + self._system.settings.sweep.total_seconds()
        return due

    def _say_here(self) -> None:
        """Say every few seconds that this beat lives; forget entries that no living beat declares."""
        clock = self._system.clock
        if self._said_at is not None and clock.monotonic() - self._said_at < PRESENCE_EVERY_S:
            return
        fleet = self._system.fleet
        fleet.beat_here(self._presence, PRESENCE)
        living, gone = fleet.beats()
        self._firing.others.seen(self._presence, living)
        if self._said_at is None:
            atexit.register(self._say_gone)
            if self._presence.heartbeat is not None:
                LookoutThread(self._system).start()
        else:  # not in the first tick: beats that start together must hear of each other
            self._firing.forget()
            for name in gone:
                log.warning("beat: %s is gone; this beat goes on", name)
                fleet.beat_left(name)
        self._said_at = clock.monotonic()

    def _say_gone(self) -> None:
        """An ordinary end is not missed by anybody."""
        try:
            self._system.fleet.beat_left(self.name)
        except MoieError as error:
            log.warning("beat: %s", error)

    def close(self) -> None:
        """Called inside a signal handler and again at the end: does nothing that could wait."""

    @property
    def info(self) -> str:
        """For the banner."""
        entries = len(self.app.conf.beat_schedule or ())
        return f"    . entries -> {entries}, due times in Redis, any number of beats"
