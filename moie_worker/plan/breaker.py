"""When a queue is stopped because nearly everything in it fails, and how it finds out that it may go on.

| an attempt | says of its queue |
|---|---|
| passed, or its check ran and said no | well |
| could not be run; died of a failing action or a time limit; killed its worker for the last time | bad |
| anything else: it is tried again, it was cancelled or refused, its worker went away | nothing |

A check that says no is news about the world, not about the machinery: a plan that is red all over stops no queue.
"""

from dataclasses import replace
from typing import Any

from moie_worker.plan.fields import format_time
from moie_worker.plan.flow import Breaker, Overview, Settlement
from moie_worker.plan.limits import BREAKER_CAP_MS, BREAKER_JOBS, BREAKER_LEAST, BREAKER_PAUSE_MS, BREAKER_WINDOW
from moie_worker.plan.states import Outcome
from moie_worker.plan.times import Ms, moment

NOT_TRIED = (Outcome.CANCELLED, Outcome.REFUSED)


def is_bad(this: Settlement, *, acts: bool) -> bool | None:
    """Whether an attempt ended badly; None where that says nothing. `acts`: the job has an action."""
    if this.outcome is Outcome.BROKEN:
        return True
    if this.outcome is Outcome.PASSED or (this.outcome is Outcome.FAILED and not acts):
        return False
    return True if this.reason and this.outcome is not Outcome.REFUSED else None


def noted(breaker: Breaker | None, job: str, *, bad: bool, reason: str, now: Ms) -> Breaker | None:
    """A breaker that is not open after one more ending; None when all of the last ones were well."""
    if breaker is None and not bad:
        return None
    recent = (*(breaker.recent if breaker else ()), (job, bad))[-BREAKER_WINDOW:]
    if not any(failed for _, failed in recent):
        return None
    if not is_mass_failure(recent):
        return Breaker(recent)
    return Breaker(recent, now, BREAKER_PAUSE_MS, now + BREAKER_PAUSE_MS, "", reason)


def is_mass_failure(recent: tuple[tuple[str, bool], ...]) -> bool:
    """More than half of enough endings are bad, and of enough different jobs."""
    failed = [job for job, bad in recent if bad]
    return len(recent) >= BREAKER_LEAST and 2 * len(failed) > len(recent) and len(set(failed)) >= BREAKER_JOBS


def tried(breaker: Breaker, hint: str, now: Ms) -> Breaker:
    """One job is on its way; should nothing be heard of it, another one is tried after the pause."""
    return replace(breaker, canary=hint, retry_at=now + breaker.pause_ms)


def failed_again(breaker: Breaker, now: Ms) -> Breaker:
    """The one job did not end well: wait twice as long."""
    pause = min(2 * breaker.pause_ms, BREAKER_CAP_MS)
    return replace(breaker, pause_ms=pause, retry_at=now + pause)


def stopped_line(queue: str, breaker: Breaker) -> str:
    """What people are told of a queue that is stopped, in one line."""
    failed = sum(bad for _, bad in breaker.recent)
    return (
        f"queue {queue} is stopped: {failed} of its last {len(breaker.recent)} attempts could not be done, the last "
        f"of them says: {breaker.reason}; one job is tried at {moment(breaker.retry_at):%H:%M:%S} UTC, "
        f"`moie resume --queue {queue}` goes on at once"
    )


def stopped_fields(overview: Overview) -> list[dict[str, Any]]:
    """The queues that are stopped, as `moie status --json` says them."""
    return [
        {
            "queue": queue,
            "since": format_time(moment(breaker.opened)),
            "retry_at": format_time(moment(breaker.retry_at)),
            "failed": sum(bad for _, bad in breaker.recent),
            "of": len(breaker.recent),
            "reason": breaker.reason,
        }
        for queue, breaker in overview.stopped.items()
    ]
