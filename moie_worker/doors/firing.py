"""The ordinary entries of a beat schedule: what is due is sent, by whichever beat looks first."""

import logging
from collections.abc import Mapping

from celery import Celery
from celery.beat import ScheduleEntry

from moie_worker.adapters.redis.entries import RedisEntries
from moie_worker.addresses import redact
from moie_worker.doors import entries as slots
from moie_worker.doors.delivery import RESERVED_MS, Delivery, Slot
from moie_worker.doors.hints import HEARTBEAT, broker_errors
from moie_worker.doors.other_beats import OtherBeats
from moie_worker.doors.state import same_redis
from moie_worker.errors import MoieError
from moie_worker.heart.quietly import Complaints
from moie_worker.plan.chain import DEFAULT_QUEUE, Pulse, Station
from moie_worker.plan.times import Ms
from moie_worker.wiring import System

BROKER = "broker of entries"  # what is complained about

log = logging.getLogger(__name__)


class Firing:
    """The entries of one beat; what is known of them stands in Redis, where every beat sees it."""

    _delivers = Delivery

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
        self._delivery = self._delivers(app, self.kept, atomic=same_redis(app, system))
        self._unsent: dict[str, tuple[Ms, Ms]] = {}  # key -> a slot that this beat cannot send, left to others until
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
        slot = Slot(key, entry, due.slot, kept, following.text(), now)
        left_until = self._left_until(slot)
        if left_until is not None and left_until > now:
            return left_until
        if left_until is not None:
            self.kept.advance(key, kept, slot.following)  # nobody could send it
        return following.at

    def _left_until(self, slot: Slot) -> Ms | None:
        """None when the slot is sent; otherwise how long it is left to other beats, for this one cannot send it."""
        failed, until = self._unsent.get(slot.key, (None, 0))
        if failed == slot.at:
            return until
        try:
            self._deliver(slot)
        except MoieError:
            raise
        except broker_errors(self.app) as error:
            self._trace(slot, Station.REFUSED, redact(str(error)))
            raise
        except Exception as error:  # noqa: BLE001 - tasks are the application's own code
            return self._cannot(slot, error)
        return None

    def _deliver(self, slot: Slot) -> None:
        if not self._delivery.deliver(slot):
            return
        log.info("beat: sent %s (%s)", slot.entry.name, slot.entry.task)
        self._complaints.over(BROKER)
        self._complaints.over(slot.key)
        queue = str(slot.entry.options.get("queue") or self.app.conf.task_default_queue or DEFAULT_QUEUE)
        self._trace(slot, Station.SENT, queue)

    def _cannot(self, slot: Slot, error: Exception) -> Ms:
        """Other beats may be of another release of the application: what they can send is not taken from them."""
        if self._complaints.due(repr(error), slot.key):
            log.error("beat: %s cannot be sent; its next slot will be tried", slot.entry.name, exc_info=error)
        alone = slot.key not in self.others.elsewhere or slots.at_most_once(slot.entry)
        until = slot.now + (0 if alone else RESERVED_MS)
        self._unsent[slot.key] = (slot.at, until)
        return until

    def _begin(self, key: str, entry: ScheduleEntry, kept: str, now: Ms) -> Ms:
        """Begin with an entry, or go on with it where an earlier release kept it under another key."""
        if self.others.fire(entry):
            return now + RESERVED_MS
        before = slots.key_before(entry)
        _, found = self.kept.peek([before])
        first = slots.Due.parse(found.get(before, "")) or slots.Due(slots.first(entry, now))
        self.kept.advance(key, kept, first.text())
        return first.at

    def _trace(self, slot: Slot, station: Station, note: str) -> None:
        """Write down how far a heartbeat came; what cannot be written down is seen by what follows from that."""
        if slot.entry.task != HEARTBEAT:
            return
        try:
            self._chain.mark(station, Pulse(f"{slot.entry.name}:{slot.at}", slot.at), note)
        except MoieError as error:
            log.warning("beat: %s is not traced: %s", slot.entry.name, error)
