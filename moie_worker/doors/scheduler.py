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
import time
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any

from celery.beat import ScheduleEntry, Scheduler

from moie_worker.adapters.processes import identity
from moie_worker.adapters.redis.entries import RedisEntries
from moie_worker.addresses import place_of, redact
from moie_worker.doors import entries as slots
from moie_worker.doors.envelope import record
from moie_worker.doors.hints import CONFIRM_S, HEARTBEAT, WORK, broker_errors, publisher
from moie_worker.doors.lookout import LookoutThread
from moie_worker.doors.other_beats import OtherBeats
from moie_worker.doors.periodic import longest_gap
from moie_worker.doors.state import same_redis, system_of
from moie_worker.errors import MoieError, UnreachableError
from moie_worker.heart.dispatch import Dispatcher
from moie_worker.heart.quietly import Complaints
from moie_worker.plan.chain import DEFAULT_QUEUE, Pulse, Station
from moie_worker.plan.presence import Beat
from moie_worker.plan.times import Ms
from moie_worker.wiring import System

PRESENCE = timedelta(seconds=15)
PRESENCE_EVERY_S = 5.0
RESERVED_MS = 1_000  # elsewhere than on our Redis: how long one beat has for publishing
ERROR_PAUSE_S = 1.0

log = logging.getLogger(__name__)


class PlanScheduler(Scheduler):  # type: ignore[misc]
    """Fires what is due; knows nothing that another beat does not know too."""

    _said_at: float | None = None
    _sweep_at = 0.0  # monotonic
    _rung: frozenset[str] = frozenset()

    def setup_schedule(self) -> None:
        """Take the entries of the configuration; no file, no network."""
        self.install_default_entries(self.data)
        self.merge_inplace(self.app.conf.beat_schedule)

    @cached_property
    def _system(self) -> System:
        return system_of(self.app)

    @cached_property
    def _entries(self) -> RedisEntries:
        return RedisEntries(self._system.client, str(self.app.main or "app"))

    @cached_property
    def _atomic(self) -> bool:
        """Whether messages can be pushed by the same script that advances an entry."""
        return same_redis(self.app, self._system)

    @cached_property
    def _dispatcher(self) -> Dispatcher | None:
        """Offers the jobs of plans; None in an application whose workers do not know how to work on them."""
        if WORK not in self.app.tasks:
            return None
        return Dispatcher(self._system.fleet, self._system.store, publisher(self.app))

    @cached_property
    def _skipped(self) -> set[str]:
        """Entries whose schedule failed when it was asked last."""
        return set()

    @cached_property
    def _sent_to(self) -> str:
        return slots.sent_to(self.app)

    @cached_property
    def _complaints(self) -> Complaints:
        return Complaints(time.monotonic)

    @cached_property
    def _others(self) -> OtherBeats:
        return OtherBeats()

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
            entries=tuple(self._keyed()),
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
        entry_due = self._fire_entries()
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

    # -- ordinary entries -------------------------------------------------------------------------

    def _fire_entries(self) -> Ms | None:
        """Fire every entry that is due; returns when the next one is. What is wrong with one keeps no other."""
        known = self._keyed()
        now, kept = self._entries.peek(known)
        dues: list[Ms] = []
        for key, entry in known.items():
            try:
                dues.append(self._fire(key, entry, kept.get(key, ""), now))
                self._skipped.discard(entry.name)
            except MoieError:
                raise
            except broker_errors(self.app) as error:
                log.error("beat: the broker does not take %s: %s", entry.name, error)
                return now + RESERVED_MS
            except Exception as error:  # noqa: BLE001 - schedules are the application's own code
                self._skip(entry, error)
        return min(dues, default=None)

    def _keyed(self) -> dict[str, ScheduleEntry]:
        """The heartbeat first: a broker that refuses is then seen by the entry that is traced."""
        keyed: dict[str, ScheduleEntry] = {}
        for entry in sorted(self.schedule.values(), key=lambda entry: entry.task != HEARTBEAT):
            try:
                keyed[slots.key(entry, self._sent_to)] = entry
            except Exception as error:  # noqa: BLE001 - as above: the text of a schedule
                self._skip(entry, error)
        return keyed

    def _skip(self, entry: ScheduleEntry, error: Exception) -> None:
        """An entry that cannot say when it is due is asked again at every tick, and complained of once."""
        if entry.name not in self._skipped:
            self._skipped.add(entry.name)
            log.error("beat: %s does not fire, its schedule fails; all else goes on", entry.name, exc_info=error)

    def _fire(self, key: str, entry: ScheduleEntry, kept: str, now: Ms) -> Ms:
        """Do what is to be done about an entry; returns when to look at it again."""
        due = slots.Due.parse(kept)
        if due is None:
            if kept:
                log.error("beat: %s begins anew: %r is no due time", entry.name, kept[:40])
            return self._begin(key, entry, kept, now)
        if due.at > now:
            return due.at
        following = slots.Due(slots.following(entry, due.slot, now))
        try:
            if self._fire_slot(key, entry, due.slot, kept, following.text(), now):
                log.info("beat: sent %s (%s)", entry.name, entry.task)
                queue = str(entry.options.get("queue") or self.app.conf.task_default_queue or DEFAULT_QUEUE)
                self._trace(entry, due.slot, Station.SENT, queue)
        except MoieError:
            raise
        except broker_errors(self.app) as error:
            self._trace(entry, due.slot, Station.REFUSED, redact(str(error)))
            raise
        except Exception:
            log.exception("beat: %s cannot be sent; its next slot will be tried", entry.name)
            self._entries.advance(key, kept, following.text())
        return following.at

    def _begin(self, key: str, entry: ScheduleEntry, kept: str, now: Ms) -> Ms:
        """Begin with an entry, or go on with it where an earlier release kept it under another key."""
        if self._others.fire(entry):
            return now + RESERVED_MS
        before = slots.key_before(entry)
        _, found = self._entries.peek([before])
        first = slots.Due.parse(found.get(before, "")) or slots.Due(slots.first(entry, now))
        self._entries.advance(key, kept, first.text())
        return first.at

    def _trace(self, entry: ScheduleEntry, slot: Ms, station: Station, note: str) -> None:
        """Write down how far a heartbeat came; what cannot be written down is seen by what follows from that."""
        if entry.task != HEARTBEAT:
            return
        try:
            self._system.chain.mark(station, Pulse(f"{entry.name}:{slot}", slot), note)
        except MoieError as error:
            log.warning("beat: %s is not traced: %s", entry.name, error)

    def _fire_slot(self, key: str, entry: ScheduleEntry, slot: Ms, kept: str, following: str, now: Ms) -> bool:
        """Send the message of a slot; False when another beat was faster."""
        if slots.at_most_once(entry):
            mine = self._entries.advance(key, kept, following)
            if mine:
                self._send(entry, slot)
            return mine
        if self._atomic and (recorded := record(self.app, lambda producer: self._send(entry, slot, producer))):
            return self._entries.fire(key, kept, following, *recorded, supersedes=slots.supersedes(entry))
        taken = slots.Due(now + RESERVED_MS, taken=slot).text()
        if not self._entries.advance(key, kept, taken):
            return False
        try:
            self._send(entry, slot)
        except broker_errors(self.app):
            raise  # whoever looks when the reservation is over tries again
        except Exception:
            self._entries.advance(key, taken, following)
            raise
        self._entries.advance(key, taken, following)
        return True

    def _send(self, entry: ScheduleEntry, slot: Ms, producer: Any = None) -> None:
        args, kwargs = list(entry.args or ()), dict(entry.kwargs or {})
        options: Mapping[str, Any] = {"retry": False, "confirm_timeout": CONFIRM_S, **slots.options(entry, slot)}
        task = self.app.tasks.get(entry.task)
        if task is not None:
            task.apply_async(args, kwargs, producer=producer, **options)
        else:
            self.app.send_task(entry.task, args, kwargs, producer=producer, **options)

    # -- presence ---------------------------------------------------------------------------------

    def _say_here(self) -> None:
        """Say every few seconds that this beat lives; forget entries that no living beat declares."""
        clock = self._system.clock
        if self._said_at is not None and clock.monotonic() - self._said_at < PRESENCE_EVERY_S:
            return
        fleet = self._system.fleet
        fleet.beat_here(self._presence, PRESENCE)
        living, gone = fleet.beats()
        self._others.seen(self._presence, living)
        if self._said_at is None:
            atexit.register(self._say_gone)
            if self._presence.heartbeat is not None:
                LookoutThread(self._system).start()
        else:  # not in the first tick: beats that start together must hear of each other
            self._entries.drop(name for name in self._entries.names() if name not in self._others.wanted)
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
