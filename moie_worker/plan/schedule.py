"""When a cyclic job is due, and what becomes of the times that were missed. Pure: times come in as arguments.

A *slot* is a time at which a job is to run. It is *due* a little later where jitter is asked for. It is *missed*
when the next slot is due already, or when it is later than `grace` (default: half the period, at most 1 h).

What `resolve` does with a slot that is due:

| the slot is | catch_up | answer |
|---|---|---|
| not missed | any | run it; next is the following slot |
| missed | none | run nothing now; next is the first slot that is not due yet |
| missed | once | run the latest slot that is due; next is the following one |
| missed | all | run the oldest of the `limit` newest slots that are due; next is the following, perhaps due too |

`missed` in an answer counts the slots that are passed over by it and will never run.
"""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import assert_never

from moie_worker.plan.cron import parse_cron, zone_of
from moie_worker.plan.states import CatchUp, Overlap
from moie_worker.plan.times import Ms, to_ms

MAX_GRACE = timedelta(hours=1)
DEFAULT_LIMIT = 10
COUNTED = 1000  # cron slots passed over are counted up to here: a year of minutes would take seconds
MINUTE_MS = 60_000
NO_TIME = timedelta(0)


@dataclass(frozen=True, slots=True)
class Timetable:
    """The slots of a job: either `every` some time from `anchor` on, or by a `cron` expression in a time zone.

    Raises ValueError for both, neither, less than a millisecond, a bad expression and an unknown zone.
    """

    every: timedelta | None = None
    cron: str | None = None
    timezone: str = "UTC"
    anchor: Ms = 0  # the first slot; for `every` only

    def __post_init__(self) -> None:
        if (self.every is None) == (self.cron is None):
            raise ValueError("a schedule needs either `every` or `cron`, and not both")
        if self.every is not None and to_ms(self.every) < 1:
            raise ValueError(f"every: {self.every} is too short: at least one millisecond")
        if self.cron is not None:
            parse_cron(self.cron)
        zone_of(self.timezone)


@dataclass(frozen=True, slots=True)
class Fire:
    """Run `slot`; the job's next slot is `next`, which may be due already; `missed` slots are passed over."""

    slot: Ms
    next: Ms
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Skip:
    """Run nothing; wait for `next`, which is not due yet; `missed` slots are passed over."""

    next: Ms
    missed: int = 0


def next_slot(timetable: Timetable, after: Ms) -> Ms:
    """The first slot strictly after a time."""
    if timetable.cron is not None:
        return parse_cron(timetable.cron).next_after(after, zone_of(timetable.timezone))
    if after < timetable.anchor:
        return timetable.anchor
    every = _every_ms(timetable)
    return timetable.anchor + ((after - timetable.anchor) // every + 1) * every


def latest_slot(timetable: Timetable, slot: Ms, now: Ms) -> Ms:
    """The latest slot that has come by now, at least `slot`. Its cost grows with the logarithm of the time away."""
    if next_slot(timetable, slot) > now:
        return slot
    if timetable.cron is None:
        every = _every_ms(timetable)
        return timetable.anchor + (now - timetable.anchor) // every * every
    low, high = slot, now  # a slot lies in (low, now], none in (high, now]
    while high - low > MINUTE_MS:
        middle = (low + high) // 2
        if next_slot(timetable, middle) <= now:
            low = middle
        else:
            high = middle
    return next_slot(timetable, low)


def period(timetable: Timetable, slot: Ms) -> timedelta:
    """From a slot to the following one; what health and grace take for the interval of the job."""
    return timedelta(milliseconds=next_slot(timetable, slot) - slot)


def due_at(slot: Ms, jitter: timedelta, job_id: str) -> Ms:
    """When a slot is due: up to, but not including, `jitter` later; the same for this job and slot everywhere."""
    spread = to_ms(jitter)
    if spread < 1:
        return slot
    digest = blake2b(f"{job_id}\0{slot}".encode(), digest_size=8).digest()
    return slot + int.from_bytes(digest, "big") % spread


def grace_of(timetable: Timetable, slot: Ms, grace: timedelta | None = None) -> timedelta:
    """How late a slot may run before it is missed."""
    return min(period(timetable, slot) / 2, MAX_GRACE) if grace is None else grace


def is_missed(
    timetable: Timetable,
    slot: Ms,
    now: Ms,
    grace: timedelta | None = None,
    *,
    jitter: timedelta = NO_TIME,
    job_id: str = "",
    free_at: Ms | None = None,
) -> bool:
    """Whether the next slot is due already or this one is later than its grace.

    `free_at` is when the job's last run ended: a slot that `overlap: queue` held until then is late only from then on.
    """
    if due_at(next_slot(timetable, slot), jitter, job_id) <= now:
        return True
    could_run = due_at(slot, jitter, job_id)
    if free_at is not None:
        could_run = max(could_run, free_at)
    return now - could_run > to_ms(grace_of(timetable, slot, grace))


def resolve(
    timetable: Timetable,
    slot: Ms,
    now: Ms,
    catch_up: CatchUp,
    limit: int = DEFAULT_LIMIT,
    grace: timedelta | None = None,
    *,
    jitter: timedelta = NO_TIME,
    job_id: str = "",
    free_at: Ms | None = None,
) -> Fire | Skip:
    """What to do about a slot at a time; the table at the head of this module says it exactly.

    A slot that is not due yet is waited for. `limit` is at least 1.
    """
    if now < due_at(slot, jitter, job_id):
        return Skip(slot)
    if not is_missed(timetable, slot, now, grace, jitter=jitter, job_id=job_id, free_at=free_at):
        return Fire(slot, next_slot(timetable, slot))
    latest = _latest_due(timetable, slot, now, jitter, job_id)
    match catch_up:
        case CatchUp.NONE:
            following = next_slot(timetable, latest)
            return Skip(following, _count(timetable, slot, following))
        case CatchUp.ONCE:
            return _fire(timetable, slot, latest)
        case CatchUp.ALL:
            return _fire(timetable, slot, _back(timetable, slot, latest, limit - 1))
    assert_never(catch_up)


def after_run(
    timetable: Timetable, slot: Ms, now: Ms, overlap: Overlap, catch_up: CatchUp, *, began: Ms | None = None
) -> Ms:
    """The slot to wait for after a run of `slot` has ended.

    - skip: the first one to come; what came meanwhile is left out.
    - queue: one is held: the latest that came meanwhile is due at once, else the first one to come.
    - allow: the first one to come; where the next slot was set when the run began, that one stands.
    - `catch_up: all` has all that waits: the following slot, which may lie in the past. Where `began` is given and
      overlap is not queue, only what had come when the run began waits; what came during the run is overlap's to judge.
    """
    following = next_slot(timetable, slot)
    to_come = next_slot(timetable, max(slot, now))
    if catch_up is CatchUp.ALL and (overlap is Overlap.QUEUE or began is None or following <= began):
        return following
    match overlap:
        case Overlap.SKIP | Overlap.ALLOW:
            return to_come
        case Overlap.QUEUE:
            return latest_slot(timetable, slot, now) if following <= now else to_come
    assert_never(overlap)


def _every_ms(timetable: Timetable) -> int:
    assert timetable.every is not None  # noqa: S101 - the constructor saw to it
    return to_ms(timetable.every)


def _fire(timetable: Timetable, slot: Ms, chosen: Ms) -> Fire:
    return Fire(chosen, next_slot(timetable, chosen), _count(timetable, slot, chosen))


def _latest_due(timetable: Timetable, slot: Ms, now: Ms, jitter: timedelta, job_id: str) -> Ms:
    latest = latest_slot(timetable, slot, now)
    while latest > slot and due_at(latest, jitter, job_id) > now:
        latest = latest_slot(timetable, slot, latest - 1)
    return latest


def _back(timetable: Timetable, slot: Ms, latest: Ms, steps: int) -> Ms:
    """So many slots before the latest, at least `slot`."""
    if timetable.every is not None:
        return max(slot, latest - steps * _every_ms(timetable))
    for _ in range(steps):
        if latest <= slot:
            break
        latest = latest_slot(timetable, slot, latest - 1)
    return latest


def _count(timetable: Timetable, first: Ms, end: Ms) -> int:
    """Slots from `first` on and before `end`; of cron slots at most COUNTED."""
    if timetable.every is not None:
        return max(0, -((first - end) // _every_ms(timetable)))
    count = 0
    while first < end and count < COUNTED:
        first, count = next_slot(timetable, first), count + 1
    return count
