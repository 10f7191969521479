"""The health of a cyclic job and of the heartbeat. Every screen asks here, so that no two disagree."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from moie_worker.plan.letters import RunHistory
from moie_worker.plan.states import Health
from moie_worker.plan.times import MILLISECOND, Ms, ms_of

STALE_AFTER = timedelta(minutes=30)
STALE_INTERVALS = 3
FAILURES_TOLERATED = (1, 10)  # one in ten is healthy, more is not
MEAN_OF = 10


@dataclass(frozen=True, slots=True)
class History:
    """What is known of the runs of a cyclic job, retries not counted."""

    runs: int = 0  # in its whole life
    failures: int = 0
    kept: int = 0  # of the last RUNS_KEPT
    kept_failures: int = 0
    last_run: Ms | None = None  # when the last one ended
    durations_s: Sequence[float] = ()  # of the last runs, newest first


def history_of(runs: RunHistory) -> History:
    """The run log in the words of the rules of health."""
    return History(
        runs=runs.runs,
        failures=runs.failures,
        kept=runs.kept,
        kept_failures=runs.kept_failures,
        last_run=None if runs.last_at is None else ms_of(runs.last_at),
        durations_s=[run.measured.duration_s for run in runs.recent],
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers beside the mark; None where there is no run to take them from."""

    runs: int
    minutes_since: int | None  # since the last run, whole minutes
    success_percent: float | None  # of the kept runs, one decimal
    lifetime_percent: float | None
    mean_duration_s: float | None  # of the last MEAN_OF runs


def job_health(history: History, interval: timedelta, now: Ms) -> tuple[Health, str]:
    """The health of a cyclic job and why, in one line.

    Stale: the last run is older than 30 min or three intervals, whichever is longer (exactly that old is not stale).
    Unhealthy: more than a tenth of the kept runs failed (exactly a tenth is healthy). Staleness is told first.
    """
    if history.last_run is None or history.kept == 0:
        return Health.UNKNOWN, "has not run yet"
    age = _age(history.last_run, now)
    allowed = stale_after(interval)
    if age > allowed:
        return Health.STALE, f"last run {_words(age)} ago, allowed are {_words(allowed)}; {_failed(history)}"
    tolerated, of = FAILURES_TOLERATED
    bad = history.kept_failures * of > history.kept * tolerated
    return Health.UNHEALTHY if bad else Health.HEALTHY, f"{_failed(history)}; last run {_words(age)} ago"


def stale_after(interval: timedelta) -> timedelta:
    """How old the last run of a job of this interval may be."""
    return max(STALE_AFTER, interval * STALE_INTERVALS)


def heartbeat_health(last: Ms | None, now: Ms, stale_after: timedelta) -> tuple[Health, str]:
    """Unknown without a beat, stale when it is older than `stale_after` (exactly that old is not), else healthy."""
    if last is None:
        return Health.UNKNOWN, "no heartbeat yet"
    age = _age(last, now)
    if age > stale_after:
        return Health.STALE, f"last heartbeat {_words(age)} ago, allowed are {_words(stale_after)}: is beat running?"
    return Health.HEALTHY, f"last heartbeat {_words(age)} ago"


def figures(history: History, now: Ms) -> Figures:
    """The numbers that a screen shows of a cyclic job."""
    last = list(history.durations_s[:MEAN_OF])
    return Figures(
        runs=history.runs,
        minutes_since=None if history.last_run is None else _age(history.last_run, now) // timedelta(minutes=1),
        success_percent=percent(history.kept - history.kept_failures, history.kept),
        lifetime_percent=percent(history.runs - history.failures, history.runs),
        mean_duration_s=sum(last) / len(last) if last else None,
    )


def status_line(job: str, health: Health, message: str) -> str:
    """`<job>: <status> - <message>`"""
    return f"{job}: {health} - {message}"


def percent(part: int, whole: int) -> float | None:
    """A share with one decimal, None of nothing; 100.0 and 0.0 are said only where they are exact."""
    if whole == 0:
        return None
    if part in (0, whole):
        return 100.0 * part / whole
    return min(max(round(100 * part / whole, 1), 0.1), 99.9)


def _age(then: Ms, now: Ms) -> timedelta:
    return max(now - then, 0) * MILLISECOND


def _failed(history: History) -> str:
    lifetime = percent(history.failures, history.runs)
    share = percent(history.kept_failures, history.kept)
    return f"{history.kept_failures} of {history.kept} runs failed ({share} %, lifetime {lifetime} %)"


def _words(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h" if hours % 24 else f"{hours // 24} d"
