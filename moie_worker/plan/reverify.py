"""Staying verified: what looks at a verified job again, and how often.

A look is a job of its own, beside the one that it looks at: it keeps slots, retries and a lease as every periodic job
does, and while it runs its job stays verified. It is in no document, and no list of the jobs of a plan names it.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from moie_worker.plan.definition import Definition, digest
from moie_worker.plan.model import Job, Plan, Schedule
from moie_worker.plan.schedule import due_at
from moie_worker.plan.states import JobStatus
from moie_worker.plan.times import to_ms

SUFFIX = "@reverify"
SPREAD = 10  # a first look is late by up to a tenth of its period: what was verified together is not looked at together
LEAST_RETRIES = 1  # one no may be an accident: it is looked at twice before anything is reopened
NOT_ASKED: dict[str, Any] = {  # of its job; all else, as the command and where it runs, is alike
    "action": None, "evidence": None, "expect_fail": None, "deadline": None, "depends_on": (), "reverify": None,
    "description": "", "estimate": "", "files": (), "risks": (), "kept": None,
}  # fmt: skip


def look_id(job: str) -> str:
    """The id of what looks at a job again."""
    return job + SUFFIX


def is_look(job: str, definition: str) -> bool:
    """Whether a packed definition is of what looks at a job again, without unpacking it."""
    return job.endswith(SUFFIX) and '"verifies":"' in definition


def period_of(job: Job, plan: Plan) -> timedelta | None:
    """How often a job is looked at once it is verified; None: never again."""
    wanted = plan.reverify if job.reverify is None else job.reverify
    return wanted if isinstance(wanted, timedelta) and not job.cyclic else None


def look_at(job: Job, definition: Definition, every: timedelta, slack_ms: int) -> Definition:
    """What looks at a job again: its check and nothing else. It asks for no fresh evidence and does no action."""
    name, period_ms = look_id(job.id), to_ms(every)
    retry = job.retry if job.retry.max >= LEAST_RETRIES else job.retry.model_copy(update={"max": LEAST_RETRIES})
    timing = {"schedule": Schedule(every=every), "retry": retry}
    again = job.model_copy(update={"id": name, "status": JobStatus.CYCLIC, **timing, **NOT_ASKED})
    return replace(
        definition,
        id=name,
        cyclic=True,
        needs=(job.id,),
        timing=digest(period_ms),
        imported=False,
        at_load=True,  # it waits for its job, and for nothing else
        limit_ms=to_ms(job.timeout) + slack_ms,
        period_ms=period_ms,
        job=again.to_document(),
        reverified_by="",
        verifies=job.id,
        delay_ms=due_at(period_ms, every / SPREAD, name),
    )
