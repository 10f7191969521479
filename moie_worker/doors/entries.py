"""When an ordinary entry of a beat schedule is due: Celery's own schedules, asked with a time of our choosing."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from celery.beat import ScheduleEntry

from moie_worker.plan.times import Ms, moment, ms_of, to_ms

FIRST_SLOT_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Due:
    """What is kept of an entry: its next slot, and which definition computed it."""

    slot: Ms
    definition: str

    def text(self) -> str:
        """The form in Redis."""
        return f"{self.slot}|{self.definition}"

    @classmethod
    def parse(cls, text: str) -> "Due":
        """Read what `text` wrote."""
        slot, _, definition = text.partition("|")
        return cls(int(slot), definition)


def definition(entry: ScheduleEntry) -> str:
    """A short digest of an entry's schedule: another schedule computes other slots."""
    return hashlib.sha256(repr(entry.schedule).encode()).hexdigest()[:FIRST_SLOT_DIGITS]


def following(entry: ScheduleEntry, slot: Ms, now: Ms) -> Ms:
    """The first slot after both `slot` and `now`; slots of an interval keep their rhythm.

    After a time without any beat one message is sent, not one for each slot that was missed.
    """
    every = getattr(entry.schedule, "run_every", None)
    if isinstance(every, timedelta):
        step = max(1, to_ms(every))
        return slot + (max(0, now - slot) // step + 1) * step
    return _by_calendar(entry.schedule, max(slot, now))


def first(entry: ScheduleEntry, now: Ms) -> Ms:
    """The slot of an entry that no beat knew before."""
    return following(entry, now, now)


def _by_calendar(schedule: Any, after: Ms) -> Ms:
    """Ask a crontab or solar schedule for the first time after another."""
    at = moment(after)
    before, schedule.nowfun = schedule.nowfun, lambda: at
    try:
        return ms_of(at + schedule.remaining_estimate(at))
    finally:
        schedule.nowfun = before


def options(entry: ScheduleEntry, slot: Ms) -> Mapping[str, Any]:
    """The options of one message: its id is made of entry and slot, so that a repeat is known by it."""
    chosen = {name: value for name, value in entry.options.items() if name != "delivery"}
    headers = dict(chosen.pop("headers", None) or {}) | {"celery_beat_task": True, "moie_entry": entry.name}
    return chosen | {"headers": headers, "task_id": f"{entry.name}:{slot}"}


def at_most_once(entry: ScheduleEntry) -> bool:
    """Whether an entry rather loses a message than sends it twice (`options: {delivery: at_most_once}`)."""
    return bool(entry.options.get("delivery") == "at_most_once")
