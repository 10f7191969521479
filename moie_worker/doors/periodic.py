"""Which entry of a beat schedule a run belongs to, and how long it may be between two runs."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from celery import Celery
from celery.schedules import maybe_schedule

from moie_worker.plan.letters import Watched

STEPS = 16  # due times that are looked at for the longest gap of a schedule


class Periodic:
    """Finds entries by task and arguments; an application's schedule is read once a name."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._known: dict[tuple[str, str], Watched] = {}

    def watched(self, task: str, args: Any, kwargs: Any) -> Watched:
        """What a run of this task with these arguments is recorded under."""
        key = (task, repr((args, kwargs)))
        if key not in self._known:
            if len(self._known) >= 1000:
                self._known.clear()  # arguments that are never the same twice
            self._known[key] = self._find(task, list(args or ()), dict(kwargs or {}))
        return self._known[key]

    def _find(self, task: str, args: list[Any], kwargs: dict[str, Any]) -> Watched:
        schedule = cast(Mapping[str, Any], self._app.conf.beat_schedule or {})
        for name, entry in schedule.items():
            of_task = entry.get("task") == task
            if of_task and list(entry.get("args") or ()) == args and dict(entry.get("kwargs") or {}) == kwargs:
                return Watched(f"task:{task}:{name}", longest_gap(entry["schedule"], self._app), name)
        return Watched(f"task:{task}")


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
