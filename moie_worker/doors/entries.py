"""When an ordinary entry of a beat schedule is due: Celery's own schedules, asked with a time of our choosing."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from celery import Celery, Task, signals
from celery.beat import BeatLazyFunc, ScheduleEntry

from moie_worker.addresses import broker_part
from moie_worker.plan.pace import Pace
from moie_worker.plan.texts import in_a_line, one_line
from moie_worker.plan.times import Ms, moment, ms_of, to_ms

DIGEST_DIGITS = 12
KEPT = re.compile(r"([0-9]{1,15})(?:!([0-9]{1,15}))?")
OWN = ("delivery", "first", "supersede")  # options of an entry that are for us, not for the message
ENTRY_HEADER = "moie_entry"  # names the entry that a message was sent for


@dataclass(frozen=True, slots=True)
class Due:
    """What is kept of an entry: when a beat has to do something about it."""

    at: Ms
    taken: Ms | None = None  # the slot that a beat publishes just now; `at` is when another beat may do it instead

    @property
    def slot(self) -> Ms:
        """The slot to fire: after a beat that died while publishing the same one, so that the message has its id."""
        return self.at if self.taken is None else self.taken

    def text(self) -> str:
        """The form in Redis."""
        return str(self.at) if self.taken is None else f"{self.at}!{self.taken}"

    @classmethod
    def parse(cls, text: str) -> "Due | None":
        """Read what `text` wrote; None for anything else."""
        found = KEPT.fullmatch(text)
        return found and cls(int(found[1]), int(found[2]) if found[2] else None)


def key(entry: ScheduleEntry, sent_to: str) -> str:
    """What an entry is kept under: its name and a digest of its schedule, its task and where its application sends.

    A changed schedule so begins anew, and beats that disagree about it, as in a rolling upgrade, each keep their own
    instead of undoing each other's for ever. Applications of one name, many have none, each have their own, too.
    """
    return _keyed(entry, _told(entry.schedule), str(entry.task), sent_to)


def key_before(entry: ScheduleEntry) -> str:
    """What earlier releases kept an entry under: applications of one name shared their due times."""
    return _keyed(entry, _told(entry.schedule))


def _keyed(entry: ScheduleEntry, *parts: str) -> str:
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"{digest[:DIGEST_DIGITS]}:{entry.name}"


def sent_to(app: Celery) -> str:
    """Where an application sends what says nothing else.

    Of the broker only its part counts: beats of one application may reach one broker under different names.
    """
    return f"{app.conf.task_default_queue}\n{broker_part(broker_of(app))}"


def broker_of(app: Celery) -> str:
    """The address of the broker that an application sends to, with its password; of several, the first."""
    told = app.conf.broker_write_url or app.conf.broker_url or ""
    return str(told[0] if isinstance(told, list | tuple) and told else told).split(";")[0]


def _told(schedule: Any) -> str:
    """All that tells one schedule from another, the same in every process."""
    kind = type(schedule)
    every = getattr(schedule, "run_every", None)
    if isinstance(every, timedelta):  # its own text is rounded
        told = f"{every.total_seconds()} {getattr(schedule, 'relative', False)}"
    else:
        # Without a text of its own a schedule is shown with its address in memory.
        told = repr(schedule) if any("__repr__" in vars(base) for base in kind.__mro__[:-1]) else ""
    return f"{kind.__qualname__} {told} {getattr(schedule, 'tz', '')}"


def following(entry: ScheduleEntry, slot: Ms, now: Ms) -> Ms:
    """The first slot after both `slot` and `now`; slots of an interval keep their rhythm.

    After a time without any beat one message is sent, not one for each slot that was missed.
    """
    every = getattr(entry.schedule, "run_every", None)
    if isinstance(every, timedelta) and not getattr(entry.schedule, "relative", False):
        step = max(1, to_ms(every))
        return slot + (max(0, now - slot) // step + 1) * step
    return _by_calendar(entry.schedule, max(slot, now))


def first(entry: ScheduleEntry, now: Ms) -> Ms:
    """The slot of an entry that no beat knew before: the next one, or now (`options: {first: at_once}`)."""
    return now if entry.options.get("first") == "at_once" else following(entry, now, now)


def _by_calendar(schedule: Any, after: Ms) -> Ms:
    """Ask a crontab, a solar or a rounded schedule for the first time after another."""
    at = moment(after)
    before, schedule.nowfun = schedule.nowfun, lambda: at
    try:
        return ms_of(at + schedule.remaining_estimate(at))
    finally:
        schedule.nowfun = before


def options(entry: ScheduleEntry, slot: Ms) -> Mapping[str, Any]:
    """The options of one message: its id is made of entry and slot, so that a repeat is known by it."""
    chosen = {name: value for name, value in entry.options.items() if name not in OWN}
    headers = dict(chosen.pop("headers", None) or {}) | {"celery_beat_task": True, ENTRY_HEADER: entry.name}
    name = entry.name if in_a_line(entry.name) else one_line(entry.name)  # ids stand in logs as they are
    return _pending_for(entry) | chosen | {"headers": headers, "task_id": f"{name}:{slot}"}


def arguments(entry: ScheduleEntry) -> tuple[list[Any], dict[str, Any]]:
    """What one message of an entry carries: what the schedule leaves to a function is asked for now."""
    positional = [_asked(value) for value in entry.args or ()]
    return positional, {name: _asked(value) for name, value in (entry.kwargs or {}).items()}


def _asked(value: Any) -> Any:
    return value() if isinstance(value, BeatLazyFunc) else value


def is_made_unseen(app: Celery, entry: ScheduleEntry) -> bool:
    """Whether nobody can notice that a message is made, so that each beat may make one before it knows whose goes out.

    Not where code of the application runs: its own `apply_async` (one that takes a lock, say), functions that it left
    arguments to, and whoever listens to Celery's signals of a publish.
    """
    task = app.tasks.get(entry.task)
    sends = (app.send_task, Celery.send_task) if task is None else (task.apply_async, Task.apply_async)
    heard = (signals.before_task_publish, signals.after_task_publish, signals.task_sent)
    asked = (*(entry.args or ()), *(entry.kwargs or {}).values())
    return (
        getattr(sends[0], "__func__", None) is sends[1]
        and not any(signal.receivers for signal in heard)
        and not any(isinstance(value, BeatLazyFunc) for value in asked)
    )


def supersedes(entry: ScheduleEntry) -> str:
    """The name of an entry of whose messages only the newest is wanted (`options: {supersede: True}`), else nothing."""
    return str(entry.name) if entry.options.get("supersede") else ""


def _pending_for(entry: ScheduleEntry) -> dict[str, Any]:
    """How long a message that will be superseded may wait, in seconds, by the clock of RabbitMQ.

    Not Celery's `expires`, which is judged by the worker's clock: one that is two hours ahead would drop them all.
    """
    every = getattr(entry.schedule, "run_every", None)
    if not supersedes(entry) or not isinstance(every, timedelta):
        return {}
    return {"expiration": Pace(every).limit.total_seconds()}


def at_most_once(entry: ScheduleEntry) -> bool:
    """Whether an entry rather loses a message than sends it twice (`options: {delivery: at_most_once}`)."""
    return bool(entry.options.get("delivery") == "at_most_once")
