"""Which entry of a beat schedule a run belongs to, and how long it may be between two runs."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from celery import Celery
from celery.beat import BeatLazyFunc
from celery.schedules import maybe_schedule

from moie_worker.plan.letters import Watched

STEPS = 16  # due times that are looked at for the longest gap of a schedule


class Periodic:
    """Finds entries by their names, else by task and arguments; an application's schedule is read once for each."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._known: dict[tuple[str, str, str], Watched] = {}

    def watched(self, task: str, args: Any, kwargs: Any, entry: object = None) -> Watched:
        """What a run of this task is recorded under; `entry` is the name that its message brought, if any.

        Our beats name the entry. Celery's own do not: there the arguments tell.
        """
        declared = self._entry(entry)
        named = str(entry) if declared.get("task") == task else ""
        key = (task, named, "" if named else repr((args, kwargs)))
        if key not in self._known:
            if len(self._known) >= 1000:
                self._known.clear()  # arguments that are never the same twice
            found = named or self._find(task, list(args or ()), dict(kwargs or {}))
            self._known[key] = self._as(task, found) if found else Watched(f"task:{task}")
        return self._known[key]

    @property
    def _schedule(self) -> Mapping[str, Any]:
        return cast(Mapping[str, Any], self._app.conf.beat_schedule or {})

    def _entry(self, name: object) -> Mapping[str, Any]:
        return cast(Mapping[str, Any], self._schedule.get(name, {})) if isinstance(name, str) else {}

    def _as(self, task: str, name: str) -> Watched:
        return Watched(f"task:{task}:{name}", longest_gap(self._entry(name)["schedule"], self._app), name)

    def _find(self, task: str, args: list[Any], kwargs: dict[str, Any]) -> str:
        """The first entry that sends this task with such arguments; empty where none does."""
        for name, entry in self._schedule.items():
            if entry.get("task") == task and _fits(entry.get("args"), entry.get("kwargs"), args, kwargs):
                return name
        return ""


def _fits(declared: Any, named: Any, args: list[Any], kwargs: dict[str, Any]) -> bool:
    """Whether an entry sends these arguments. What it leaves to a function may be anything."""
    positional, by_name = list(declared or ()), dict(named or {})
    if len(positional) != len(args) or by_name.keys() != kwargs.keys():
        return False
    pairs = [*zip(positional, args, strict=True), *((by_name[name], given) for name, given in kwargs.items())]
    return all(isinstance(one, BeatLazyFunc) or one == given for one, given in pairs)


def longest_gap(given: Any, app: Celery) -> timedelta | None:
    """The longest time between the next due times of a schedule; None where it cannot say."""
    try:
        schedule = maybe_schedule(given, app=app)
        return cast(timedelta, getattr(schedule, "run_every", None) or _gap(schedule))
    except Exception:  # noqa: BLE001 - schedules are the application's own code
        return None


def _gap(schedule: Any) -> timedelta:
    at, longest = _due(schedule, schedule.now()), timedelta()
    for _ in range(STEPS):
        following = _due(schedule, at)
        longest = max(longest, following - at)
        at = following
    return longest


def _due(schedule: Any, after: datetime) -> datetime:
    # `remaining_estimate` counts from the present, not from the time it is given; the present moves on meanwhile.
    due: datetime = schedule.now() + schedule.remaining_estimate(after)
    return (due + timedelta(milliseconds=500)).replace(microsecond=0)
