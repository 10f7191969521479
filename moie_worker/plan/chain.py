"""The chain that a heartbeat goes through, beat → broker → worker → state → outside, and which link of it is missing.

Each heartbeat carries one id, made of its entry and its due time. Every station writes down the newest id that it saw,
so what the last station lacks was lost between the last one that has it and the next.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from moie_worker.plan.presence import Beat, Worker
from moie_worker.plan.times import MILLISECOND, Ms, moment

DEFAULT_QUEUE = "default"


class Link(StrEnum):
    """What may be missing, in the order of the chain."""

    BEAT = "beat"
    BROKER = "broker"
    WORKER = "worker"
    STATE = "state"
    OUTSIDE = "outside"


class Station(StrEnum):
    """Where a heartbeat is seen; three of them say that it went no further."""

    SENT = "sent"  # a beat gave it to the broker
    REFUSED = "refused"  # the broker did not take it
    RECEIVED = "received"  # a worker got it from the broker
    BEGUN = "begun"  # a process of its pool took it up
    RECORDED = "recorded"  # every plan has its record
    UNRECORDED = "unrecorded"  # some plan has none
    ANSWERED = "answered"  # the outside took the ping
    UNANSWERED = "unanswered"  # it did not


@dataclass(frozen=True, slots=True)
class Pulse:
    """One heartbeat on its way."""

    id: str  # of its message: entry and slot
    slot: Ms  # when it was due

    @classmethod
    def of(cls, message_id: str) -> "Pulse | None":
        """From the id of a message; None of one that no beat made."""
        slot = message_id.rpartition(":")[2]
        return cls(message_id, int(slot)) if ":" in message_id and slot.isdecimal() else None


@dataclass(frozen=True, slots=True)
class Mark:
    """The newest heartbeat that a station saw."""

    pulse: Pulse
    at: Ms
    note: str = ""  # SENT: the queue; of what went no further: why


Trace = Mapping[Station, Mark]


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that is known of the chain at one moment."""

    now: Ms
    limit: timedelta  # how old a heartbeat may be
    trace: Trace
    beats: Sequence[Beat]
    workers: Sequence[Worker]
    gone: Sequence[str] = ()  # workers that went without a word
    plans: int = 1

    def fresh(self, station: Station) -> bool:
        """Whether a station saw a heartbeat that is not too old."""
        mark = self.trace.get(station)
        return mark is not None and not self.past(mark.pulse.slot)

    def past(self, at: Ms) -> bool:
        """Whether a time is longer ago than a heartbeat may be."""
        return (self.now - at) * MILLISECOND > self.limit

    def stopped(self, bad: Station, good: Station) -> Mark | None:
        """Where the newest heartbeat went no further than `bad`, instead of to `good`."""
        mark, passed = self.trace.get(bad), self.trace.get(good)
        return mark if mark is not None and (passed is None or mark.pulse.slot > passed.pulse.slot) else None

    def last(self, station: Station) -> str:
        """When a station saw its newest heartbeat, in words."""
        mark = self.trace.get(station)
        return f"the last one was {mark.pulse.id} at {moment(mark.at):%H:%M:%S} UTC" if mark else "there was none yet"


@dataclass(frozen=True, slots=True)
class Missing:
    """The first link that does not hold."""

    link: Link
    message: str


def missing_link(sight: Sight) -> Missing | None:
    """Walk along the chain; the first link that does not hold hides what is behind it. None: all hold, or too early.

    Who has been there for less than the limit is given time.
    """
    if not sight.plans:
        return None
    steps = (_beat, _broker_refuses, _worker_gone, _received, _begun, _recorded, _answered)
    return next((found for step in steps if (found := step(sight))), None)


def _beat(sight: Sight) -> Missing | None:
    if not sight.beats:
        return Missing(Link.BEAT, "no beat is there: nothing becomes due. Start one: celery -A moie_worker beat")
    firing = [beat for beat in sight.beats if beat.heartbeat is not None]
    due = any(sight.past(beat.started_at) for beat in firing)
    if not due or sight.fresh(Station.SENT) or sight.stopped(Station.REFUSED, Station.SENT):
        return None
    names = ", ".join(beat.name for beat in firing)
    return Missing(Link.BEAT, f"{names} lives and sends no heartbeat; {sight.last(Station.SENT)}")


def _broker_refuses(sight: Sight) -> Missing | None:
    if mark := sight.stopped(Station.REFUSED, Station.SENT):
        return Missing(Link.BROKER, f"the broker does not take {mark.pulse.id}: {mark.note}")
    return None


def _worker_gone(sight: Sight) -> Missing | None:
    unheard = _overdue(sight, Station.SENT, Station.RECEIVED) and any(sight.past(one.started_at) for one in sight.beats)
    if _takers(sight) or not (sight.gone or unheard):
        return None
    gone = f"; gone without a word: {', '.join(sight.gone)}" if sight.gone else ""
    return Missing(
        Link.WORKER,
        f"no worker takes the queue {_queue(sight)}{gone}. Start one: celery -A moie_worker worker -Q {_queue(sight)}",
    )


def _received(sight: Sight) -> Missing | None:
    if not _overdue(sight, Station.SENT, Station.RECEIVED):
        return None
    takers = _takers(sight)
    if not any(sight.past(worker.started_at) for worker in takers):
        return None
    names = ", ".join(worker.name for worker in takers)
    return Missing(
        Link.BROKER,
        f"what beat sends to the queue {_queue(sight)} does not reach {names}: is it the same broker? "
        f"Of those received {sight.last(Station.RECEIVED)}",
    )


def _begun(sight: Sight) -> Missing | None:
    if not _overdue(sight, Station.RECEIVED, Station.BEGUN):
        return None
    told = sight.last(Station.BEGUN)
    return Missing(Link.WORKER, f"a worker received a heartbeat and none of its processes takes it up; {told}")


def _recorded(sight: Sight) -> Missing | None:
    if mark := sight.stopped(Station.UNRECORDED, Station.RECORDED):
        return Missing(Link.STATE, f"{mark.pulse.id} could not be recorded: {mark.note}")
    if not _overdue(sight, Station.BEGUN, Station.RECORDED):
        return None
    return Missing(Link.STATE, f"heartbeats are begun and not recorded; {sight.last(Station.RECORDED)}")


def _answered(sight: Sight) -> Missing | None:
    mark = sight.stopped(Station.UNANSWERED, Station.ANSWERED)
    if mark is None or sight.fresh(Station.ANSWERED):
        return None
    told = sight.last(Station.ANSWERED)
    return Missing(Link.OUTSIDE, f"nobody outside hears of the heartbeat ({mark.note}); {told}")


def _overdue(sight: Sight, before: Station, after: Station) -> bool:
    """Whether heartbeats pass one station and not the next. The first one may be under way: ask twice."""
    return sight.fresh(before) and not sight.fresh(after)


def _takers(sight: Sight) -> list[Worker]:
    return [worker for worker in sight.workers if _queue(sight) in worker.queues]


def _queue(sight: Sight) -> str:
    mark = sight.trace.get(Station.SENT)
    return mark.note if mark is not None and mark.note else DEFAULT_QUEUE
