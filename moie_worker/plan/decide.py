"""What the system does, in one sitting.

An attempt has ended; where does its job go? A slot of a cyclic job has come; does it run? Everything here is decided
from values and a time. Nothing here acts: the store moves jobs, the worker runs commands, the beat sends hints.

| the attempt | a job without an action | a job with an action | a run of a cyclic job |
|---|---|---|---|
| passed | completed | completed | the run counts, next slot |
| failed | waits for a heartbeat | retried, then dead | retried, then a dead letter, next slot |
| broken, timed out | retried, then dead | retried, then dead | retried, then a dead letter, next slot |
| any of these past its deadline | dead | dead | has none |
| cancelled | where it belongs, uncounted | the same | the same |
| lost | offered again; three charged losses: dead | the same | the same, next slot |
| refused | dead | dead | a dead letter, next slot, a minute later at least |

A lost attempt is nobody's to settle: the store takes it back when its lease has ended (`rescue`).

A look at a job that is to stay verified goes like a run of a cyclic job, but for two: its last failed attempt leaves no
dead letter, for it opens the job again; and what passed is told by its job, not by a log of runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from moie_worker.plan.backoff import delay
from moie_worker.plan.compile import timetable
from moie_worker.plan.duration import NO_TIME
from moie_worker.plan.flow import Attempt, Settlement
from moie_worker.plan.model import Job
from moie_worker.plan.schedule import Fire, Skip, after_run, due_at, next_slot, resolve
from moie_worker.plan.states import Outcome, Overlap, Place
from moie_worker.plan.texts import json_of, whole
from moie_worker.plan.times import Ms, to_ms

ERROR_KEPT = 500  # characters of the message of a failed run
REFUSED_PAUSE_MS = 60_000  # until a refused cyclic job is looked at again: its period is nobody's word either


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended, in the words the rules need."""

    outcome: Outcome
    message: str
    evidence: Mapping[str, Any]
    duration: timedelta
    cpu_s: float = 0.0
    max_rss_bytes: int = 0
    receipt: str = ""  # of a job that is not cyclic and passed


def slot_of(job: Job, attempt: Attempt, now: Ms) -> Fire | Skip:
    """Which slot an attempt at a cyclic job runs for, or that it runs for none.

    A run before the slot is an extra one, asked for by somebody, and so is its retry: the slot stays. Any other retry
    goes on with its slot. A job that never ran starts at once when it runs `every` some time, and at its next slot
    when it follows a calendar.
    """
    times = timetable(job, attempt.slot or now)
    if attempt.slot == 0:
        following = next_slot(times, now)
        return Fire(now, following) if times.every is not None else Skip(following)
    if attempt.slot > now:
        return Fire(now, attempt.slot)
    if attempt.attempts > 1:
        return Fire(attempt.slot, next_slot(times, attempt.slot))
    return resolve(
        times,
        attempt.slot,
        now,
        job.catch_up.policy,
        job.catch_up.limit,
        job.grace,
        jitter=job.jitter,
        job_id=job.id,
        free_at=attempt.free_at if job.overlap is Overlap.QUEUE and attempt.free_at else None,
    )


def skipped(job: Job, attempt: Attempt, skip: Skip) -> Settlement:
    """The settlement of an attempt whose slot does not run."""
    return Settlement(
        token=attempt.token,
        job=job.id,
        outcome=Outcome.CANCELLED,
        place=Place.TIMED,
        due=due_at(skip.next, job.jitter, job.id),
        slot=skip.next,
        fresh=True,
        message=f"{skip.missed} missed slots are left out" if skip.missed else "its slot has not come",
    )


def settlement(job: Job, attempt: Attempt, ended: Ended, now: Ms, dice: float, fire: Fire | None = None) -> Settlement:
    """Where a job goes after an attempt. `dice` (0 to 1) draws the back-off; `fire` is the slot of a cyclic job."""
    plain = Settlement(
        token=attempt.token,
        job=job.id,
        outcome=ended.outcome,
        place=Place.COMPLETED,
        message=whole(ended.message),
        evidence=json_of(dict(ended.evidence)),
        receipt=ended.receipt,
        duration_ms=max(1, to_ms(ended.duration)),
    )
    if ended.outcome is Outcome.CANCELLED:
        return _with(plain, place=Place.READY)
    if fire is not None:
        return _after_run(job, attempt, ended, plain, now, dice, fire)
    match ended.outcome:
        case Outcome.PASSED:
            return plain
        case Outcome.FAILED if job.action is None:
            return _wait(job, attempt, plain, now)
        case _ if _is_late(job, attempt, now):
            return _with(plain, place=Place.DEAD, reason=f"its deadline is over: {_exhausted(attempt, ended)}")
        case _:
            return _retry(job, attempt, plain, now, dice) or _with(
                plain, place=Place.DEAD, reason=_exhausted(attempt, ended)
            )


def crashed(attempt: Attempt, why: str) -> Settlement:
    """The settlement of an attempt that this software could not carry out: a dead letter, never a silent loop."""
    return _given_up(attempt, Outcome.BROKEN, why, attempt.definition.period_ms)


def refused(attempt: Attempt, why: str) -> Settlement:
    """The settlement of an attempt at what may not be executed: nothing was run, a dead letter says so."""
    return _given_up(attempt, Outcome.REFUSED, why, max(attempt.definition.period_ms, REFUSED_PAUSE_MS))


def postponed(attempt: Attempt, why: str, wait: Ms) -> Settlement:
    """The settlement of an attempt that may not run yet: it comes again later, uncounted, for the slot it has."""
    return Settlement(
        token=attempt.token,
        job=attempt.definition.id,
        outcome=Outcome.CANCELLED,
        place=Place.TIMED,
        due=attempt.started_at + wait,
        slot=attempt.slot,
        message=why,
    )


def _given_up(attempt: Attempt, outcome: Outcome, why: str, pause: Ms) -> Settlement:
    cyclic, why = attempt.definition.cyclic, whole(why)
    return Settlement(
        token=attempt.token,
        job=attempt.definition.id,
        outcome=outcome,
        place=Place.TIMED if cyclic else Place.DEAD,
        due=attempt.started_at + pause,
        run=False if cyclic else None,
        fresh=cyclic,
        message=why,
        reason=why,
        evidence=json_of({"outcome": outcome, "message": why}),
        measured=_measured(NO_TIME, error=why),
    )


def _wait(job: Job, attempt: Attempt, plain: Settlement, now: Ms) -> Settlement:
    """A check that says no is waiting, not failing: it uses up no retries, but it may have a deadline."""
    if _is_late(job, attempt, now):
        return _with(plain, place=Place.DEAD, reason=f"its deadline is over and its check says no: {plain.message}")
    return _with(plain, place=Place.WAITING, fresh=True)


def _is_late(job: Job, attempt: Attempt, now: Ms) -> bool:
    return job.deadline is not None and now - attempt.first_at >= to_ms(job.deadline)


def _retry(job: Job, attempt: Attempt, plain: Settlement, now: Ms, dice: float) -> Settlement | None:
    if attempt.attempts > job.retry.max:
        return None
    wait = delay(attempt.attempts, job.retry.base, job.retry.factor, job.retry.cap, dice)
    return _with(plain, place=Place.TIMED, due=now + to_ms(wait))


def _after_run(
    job: Job, attempt: Attempt, ended: Ended, plain: Settlement, now: Ms, dice: float, fire: Fire
) -> Settlement:
    """A run of a cyclic job never completes the job: it is retried, or the next slot is armed."""
    passed = ended.outcome is Outcome.PASSED
    if not passed and job.overlap is not Overlap.ALLOW and (again := _retry(job, attempt, plain, now, dice)):
        return again if _is_extra(attempt, fire) else _with(again, slot=fire.slot)
    slot = _slot_after(job, attempt, now, fire)
    ending = _with(plain, place=Place.TIMED, slot=slot, due=due_at(slot, job.jitter, job.id), fresh=True)
    look = bool(attempt.definition.verifies)
    told = passed or (look and ended.outcome is Outcome.FAILED)
    reason = "" if told else _exhausted(attempt, ended)
    if look:
        return _with(ending, reason=reason)
    return _with(
        ending,
        run=passed,
        reason=reason,
        measured=_measured(ended.duration, ended.cpu_s, ended.max_rss_bytes, "" if passed else ended.message),
    )


def _slot_after(job: Job, attempt: Attempt, now: Ms, fire: Fire) -> Ms:
    if _is_extra(attempt, fire):
        return attempt.slot
    return after_run(
        timetable(job, fire.slot), fire.slot, now, job.overlap, job.catch_up.policy, began=attempt.started_at
    )


def _is_extra(attempt: Attempt, fire: Fire) -> bool:
    """Whether a run came before its job's slot; such a run leaves the slots alone."""
    return fire.slot < attempt.slot


def _measured(duration: timedelta, cpu_s: float = 0.0, max_rss_bytes: int = 0, error: str = "") -> str:
    """What the run log keeps, as JSON."""
    return json_of(
        {
            "duration_s": round(duration.total_seconds(), 6),
            "cpu_s": round(cpu_s, 6),
            "max_rss_bytes": max_rss_bytes,
            "error": error[:ERROR_KEPT],
        }
    )


def _exhausted(attempt: Attempt, ended: Ended) -> str:
    tries = f"after {attempt.attempts} attempts: " if attempt.attempts > 1 else ""
    return f"{tries}{ended.outcome.replace('_', ' ')}: {whole(ended.message)}"


def _with(plain: Settlement, **changes: Any) -> Settlement:
    values = {name: getattr(plain, name) for name in Settlement.__slots__}
    return Settlement(**values | changes)
