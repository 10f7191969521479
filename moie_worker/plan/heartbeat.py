"""What a heartbeat says: a short report made from a snapshot of the plan and what happened since the last one."""

from collections.abc import Sequence
from dataclasses import dataclass

from moie_worker.plan.breaker import stopped_line
from moie_worker.plan.flow import SOVEREIGN, JobView, JournalEntry, Overview, Regression
from moie_worker.plan.regression import line
from moie_worker.plan.states import PhaseStatus
from moie_worker.plan.status import all_verified, phase_status
from moie_worker.plan.times import moment

SHOWN = 5  # waiting jobs and events that a report names
_STANDS = dict.fromkeys(PhaseStatus, "active") | {
    PhaseStatus.AWAITING_APPROVAL: "AWAITING APPROVAL",
    PhaseStatus.REJECTED: "REJECTED",
    PhaseStatus.EXPIRED: "not approved in time, which means no",
}
TOLD = {
    "job.passed": "verified",
    "job.regressed": "regressed",
    "job.recovered": "holds again",
    "job.dead": "dead",
    "job.lost": "lost",
    "job.timed_out": "timed out",
    "job.broken": "broken",
    "phase.reached": "reached",
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a heartbeat looks at; its size does not depend on the size of the plan."""

    overview: Overview
    waiting: Sequence[JobView]
    cyclic: Sequence[str]
    journal: Sequence[JournalEntry]  # the newest entries, oldest first
    regressed: Sequence[Regression] = ()  # some of those that hold no more


def report(snapshot: Snapshot) -> str:
    """The report, a few lines: when, where the plan stands, what happened, what somebody has to do."""
    overview = snapshot.overview
    lines = [f"HEARTBEAT {moment(overview.now):%Y-%m-%d %H:%M:%S} UTC – {_standing(overview)}"]
    lines += [f"STOPPED: {stopped_line(queue, breaker)}" for queue, breaker in overview.stopped.items()]
    lines += [line(regression) for regression in snapshot.regressed[:SHOWN]]
    if overview.regressed > SHOWN:
        lines.append(f"REGRESSED: {overview.regressed} jobs in all, see `moie status`")
    lines += _happened(snapshot)
    lines += [_action_required(view) for view in snapshot.waiting[:SHOWN]]
    if len(snapshot.waiting) > SHOWN:
        lines.append("ACTION REQUIRED: more jobs wait, see `moie jobs`")
    if overview.flags.frontier == SOVEREIGN and snapshot.cyclic:
        lines.append(f"CYCLIC OPERATION MODE: {', '.join(snapshot.cyclic)}")
    return "\n".join(lines)


def _standing(overview: Overview) -> str:
    flags = overview.flags
    if flags.cancelled:
        return "the plan is CANCELLED"
    paused = "PAUSED, " if flags.paused else ""
    if flags.revision == 0:
        return "no plan is loaded"
    if flags.loading:
        return f"{paused}revision {flags.revision} is being loaded"
    if flags.frontier == SOVEREIGN:
        return f"{paused}SOVEREIGN: {all_verified(overview.imported)}"
    phase = next((phase for phase in overview.phases if phase.id == flags.frontier), None)
    name = phase.name if phase is not None else "?"
    return f"{paused}phase {flags.frontier} ({name}) is {_STANDS[phase_status(overview, flags.frontier)]}"


def _happened(snapshot: Snapshot) -> list[str]:
    since = snapshot.overview.flags.last_heartbeat or 0
    lines: list[str] = []
    for event, words in TOLD.items():
        found = [entry for entry in snapshot.journal if entry.event == event and entry.at > since]
        if found:
            names = [entry.job or f"phase {entry.data.get('phase')}" for entry in found[:SHOWN]]
            more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            lines.append(f"{words}: {', '.join(names)}{more}")
    return lines


def _action_required(view: JobView) -> str:
    job = view.definition.job
    description = f" – {job['description']}" if job.get("description") else ""
    message = view.evidence.get("message", "")
    return f"ACTION REQUIRED: {view.definition.id} {job['task']}{description} (check says no: {message})"
