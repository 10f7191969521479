"""The ordinary entries of a beat schedule: what is due is sent, by whichever beat looks first."""

import logging
from collections.abc import Mapping
from typing import Any

from celery import Celery
from celery.beat import ScheduleEntry

from moie_worker.adapters.redis.entries import RedisEntries
from moie_worker.addresses import redact
from moie_worker.doors import entries as slots
from moie_worker.doors.envelope import record
from moie_worker.doors.hints import CONFIRM_S, HEARTBEAT, broker_errors
from moie_worker.doors.other_beats import OtherBeats
from moie_worker.doors.state import same_redis
from moie_worker.errors import MoieError
from moie_worker.heart.quietly import Complaints
from moie_worker.plan.chain import DEFAULT_QUEUE, Pulse, Station
from moie_worker.plan.times import Ms
from moie_worker.wiring import System

BROKER = "broker of entries"  # what is complained about
RESERVED_MS = 1_000  # elsewhere than on our Redis: how long one beat has for publishing

log = logging.getLogger(__name__)


class Firing:
    """The entries of one beat; what is known of them stands in Redis, where every beat sees it."""

    def __init__(
        self, app: Celery, system: System, schedule: Mapping[str, ScheduleEntry], complaints: Complaints
    ) -> None:
        self.app = app
        self.kept = RedisEntries(system.client, str(app.main or "app"))
        self.others = OtherBeats()
        self._schedule = schedule
        self._complaints = complaints
        self._chain = system.chain
        self._sent_to = slots.sent_to(app)
        self._atomic = same_redis(app, system)  # messages can be pushed by the script that advances an entry
        self._skipped: set[str] = set()  # entries whose schedule failed when it was asked last

    def fire(self) -> Ms | None:
        """Fire every entry that is due; returns when the next one is. What is wrong with one keeps no other."""
        known = self.keyed()
        now, kept = self.kept.peek(known)
        dues: list[Ms] = []
        for key, entry in known.items():
            try:
                dues.append(self._fire(key, entry, kept.get(key, ""), now))
                self._skipped.discard(entry.name)
            except MoieError:
                raise
            except broker_errors(self.app) as error:
                if self._complaints.due(str(error), BROKER):
                    log.error("beat: the broker does not take %s: %s", entry.name, error)
                return now + RESERVED_MS
            except Exception as error:  # noqa: BLE001 - schedules are the application's own code
                self._skip(entry, error)
        return min(dues, default=None)

    def keyed(self) -> dict[str, ScheduleEntry]:
        """The heartbeat first: a broker that refuses is then seen by the entry that is traced."""
        keyed: dict[str, ScheduleEntry] = {}
        for entry in sorted(self._schedule.values(), key=lambda entry: entry.task != HEARTBEAT):
            try:
                keyed[slots.key(entry, self._sent_to)] = entry
            except Exception as error:  # noqa: BLE001 - as above: the text of a schedule
                self._skip(entry, error)
        return keyed

    def forget(self) -> None:
        """Drop what is kept of entries that no living beat declares."""
        self.kept.drop(name for name in self.kept.names() if name not in self.others.wanted)

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
                self._complaints.over(BROKER)
                queue = str(entry.options.get("queue") or self.app.conf.task_default_queue or DEFAULT_QUEUE)
                self._trace(entry, due.slot, Station.SENT, queue)
        except MoieError:
            raise
        except broker_errors(self.app) as error:
            self._trace(entry, due.slot, Station.REFUSED, redact(str(error)))
            raise
        except Exception:
            log.exception("beat: %s cannot be sent; its next slot will be tried", entry.name)
            self.kept.advance(key, kept, following.text())
        return following.at

    def _begin(self, key: str, entry: ScheduleEntry, kept: str, now: Ms) -> Ms:
        """Begin with an entry, or go on with it where an earlier release kept it under another key."""
        if self.others.fire(entry):
            return now + RESERVED_MS
        before = slots.key_before(entry)
        _, found = self.kept.peek([before])
        first = slots.Due.parse(found.get(before, "")) or slots.Due(slots.first(entry, now))
        self.kept.advance(key, kept, first.text())
        return first.at

    def _trace(self, entry: ScheduleEntry, slot: Ms, station: Station, note: str) -> None:
        """Write down how far a heartbeat came; what cannot be written down is seen by what follows from that."""
        if entry.task != HEARTBEAT:
            return
        try:
            self._chain.mark(station, Pulse(f"{entry.name}:{slot}", slot), note)
        except MoieError as error:
            log.warning("beat: %s is not traced: %s", entry.name, error)

    def _fire_slot(self, key: str, entry: ScheduleEntry, slot: Ms, kept: str, following: str, now: Ms) -> bool:
        """Send the message of a slot; False when another beat was faster."""
        if slots.at_most_once(entry):
            mine = self.kept.advance(key, kept, following)
            if mine:
                self._send(entry, slot)
            return mine
        if self._atomic and (recorded := record(self.app, lambda producer: self._send(entry, slot, producer))):
            return self.kept.fire(key, kept, following, *recorded, supersedes=slots.supersedes(entry))
        taken = slots.Due(now + RESERVED_MS, taken=slot).text()
        if not self.kept.advance(key, kept, taken):
            return False
        try:
            self._send(entry, slot)
        except broker_errors(self.app):
            raise  # whoever looks when the reservation is over tries again
        except Exception:
            self.kept.advance(key, taken, following)
            raise
        self.kept.advance(key, taken, following)
        return True

    def _send(self, entry: ScheduleEntry, slot: Ms, producer: Any = None) -> None:
        args, kwargs = slots.arguments(entry)
        options: Mapping[str, Any] = {"retry": False, "confirm_timeout": CONFIRM_S, **slots.options(entry, slot)}
        task = self.app.tasks.get(entry.task)
        if task is not None:
            task.apply_async(args, kwargs, producer=producer, **options)
        else:
            self.app.send_task(entry.task, args, kwargs, producer=producer, **options)
