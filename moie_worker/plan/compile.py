"""From the document of people to the flat definitions of the store."""

from dataclasses import replace

from moie_worker.plan.definition import Compiled, Definition, PhaseDefinition, digest
from moie_worker.plan.model import Job, Phase, Plan
from moie_worker.plan.reverify import look_at, period_of
from moie_worker.plan.schedule import Timetable, next_slot, period
from moie_worker.plan.states import JobStatus, Order, Start
from moie_worker.plan.terms import ApprovalTerms
from moie_worker.plan.times import Ms, to_ms

VERIFIED = ("verification_cmd", "action", "timeout", "env", "pass_env", "cwd")  # changed: the job is verified again
ADDED = ("evidence", "run_as")
TIMED = ("schedule", "jitter")
SLACK_MS = 60_000  # a lease may be renewed so much longer than the commands of the job may take


def compile_plan(plan: Plan, now: Ms, *, imported: bool = False) -> Compiled:
    """The plan as it is loaded. `now` only chooses which two slots of a cron expression tell its period.

    `imported`: what the document calls completed is taken over unverified; else it is verified like all else.
    """
    jobs: list[Definition] = []
    for phase in plan.phases:
        jobs += _jobs(phase, len(jobs), now, imported)
    jobs, looks = _reverified(plan, jobs)
    return Compiled(
        meta=plan.model_copy(update={"phases": ()}).to_document()
        | {"phases": [phase.model_copy(update={"jobs": ()}).model_dump(mode="json") for phase in plan.phases]},
        phases=tuple(_phase(phase) for phase in plan.phases),
        jobs=(*jobs, *looks),
    )


def decompile(compiled: Compiled) -> Plan:
    """The document back from what was loaded."""
    by_phase: dict[int, list[object]] = {}
    for job in sorted((job for job in compiled.jobs if not job.verifies), key=lambda job: job.position):
        by_phase.setdefault(job.phase, []).append(job.job)
    phases = [phase | {"jobs": by_phase.get(phase["id"], [])} for phase in compiled.meta["phases"]]
    return Plan.model_validate(dict(compiled.meta) | {"phases": phases})


def timetable(job: Job, anchor: Ms) -> Timetable:
    """The slots of a cyclic job, those of `every` counted from an anchor."""
    if job.schedule is None:
        raise ValueError(f"job {job.id} has no schedule")
    return Timetable(job.schedule.every, job.schedule.cron, job.schedule.timezone, anchor)


def _phase(phase: Phase) -> PhaseDefinition:
    terms = phase.approval if isinstance(phase.approval, ApprovalTerms) else ApprovalTerms()
    return PhaseDefinition(
        id=phase.id,
        name=phase.name,
        approval=phase.approval is not None,
        digest=digest([[job.id, verified_digest(job)] for job in phase.jobs] + ["two persons"] * terms.two_persons),
        persons=2 if terms.two_persons else 1,
        expires_ms=to_ms(terms.expires),
    )


def _jobs(phase: Phase, start: int, now: Ms, imported: bool) -> list[Definition]:
    made: list[Definition] = []
    before: str | None = None
    for number, job in enumerate(phase.jobs):
        needs = job.depends_on
        if not job.cyclic:
            if phase.order is Order.SEQUENTIAL and before is not None and before not in needs:
                needs = (before, *needs)
            before = job.id
        definition = _job(job, phase.id, start + number, needs, now)
        made.append(replace(definition, imported=imported and job.status is JobStatus.COMPLETED))
    return made


def _reverified(plan: Plan, jobs: list[Definition]) -> tuple[list[Definition], list[Definition]]:
    """The jobs, and what looks again at those that are to stay verified."""
    looks: list[Definition] = []
    for number, (_, job) in enumerate(plan.jobs()):
        if every := period_of(job, plan):
            look = look_at(job, jobs[number], every, SLACK_MS)
            jobs[number] = replace(jobs[number], reverified_by=look.id, timing=look.timing)
            looks.append(look)
    return jobs, looks


def _job(job: Job, phase: int, position: int, needs: tuple[str, ...], now: Ms) -> Definition:
    commands = 3 if job.action else 1  # check, act, check again
    return Definition(
        id=job.id,
        position=position,
        phase=phase,
        cyclic=job.cyclic,
        queue=job.queue,
        needs=needs,
        priority=job.priority,
        digest=verified_digest(job),
        timing=digest(job.model_dump(mode="json", include=set(TIMED))) if job.cyclic else "",
        idle=job.idle,
        at_load=job.cyclic and job.start is Start.AT_LOAD,
        limit_ms=commands * to_ms(job.timeout) + SLACK_MS,
        period_ms=_period_ms(job, now),
        job=job.to_document(),
    )


def _period_ms(job: Job, now: Ms) -> int:
    if job.schedule is None:
        return 0
    slots = timetable(job, now)
    return to_ms(period(slots, next_slot(slots, now)))


def verified_digest(job: Job) -> str:
    """Of all that decides what is verified: where it changes, a job is verified again, and its receipt names it.

    Jobs without a field that was added later keep the digest they had before there was one: they stay verified.
    """
    later = {name for name in ADDED if getattr(job, name) is not None}
    return digest(job.model_dump(mode="json", include={*VERIFIED, *later}))
