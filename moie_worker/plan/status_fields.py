"""Where a plan stands, as `--json` says it: names that scripts rely on."""

from dataclasses import asdict
from typing import Any

from moie_worker.plan.breaker import stopped_fields
from moie_worker.plan.fields import format_time
from moie_worker.plan.flow import JobView, Vote
from moie_worker.plan.regression import regression_fields
from moie_worker.plan.states import Place
from moie_worker.plan.status import DUE, Asks, CyclicStanding, PhaseStanding, Status, last_message
from moie_worker.plan.times import Ms, moment


def time_or_none(at: Ms | None) -> str | None:
    """ISO 8601 in UTC; None for None and for 0, which stands for no time."""
    return format_time(moment(at)) if at else None


def status_document(status: Status) -> dict[str, Any]:
    """The stable fields of `moie status --json`, and some more."""
    overview, flags, current = status.overview, status.overview.flags, status.current
    age = status.heartbeat_age
    return {
        "plan": flags.name,
        "project": status.meta.get("meta", {}).get("project", ""),
        "sovereign": status.sovereign,
        "sovereign_at": time_or_none(flags.sovereign_at) if status.sovereign else None,
        "current_phase": current.id if current else None,
        "last_heartbeat": time_or_none(flags.last_heartbeat),
        "heartbeat_age_s": None if age is None else age.total_seconds(),
        "heartbeats": flags.beats,
        "revision": flags.revision,
        "paused": flags.paused,
        "cancelled": flags.cancelled,
        "loading": flags.loading,
        "due": status.count(*DUE),
        "running": status.count(Place.RUNNING),
        "waiting": status.count(Place.WAITING),
        "later": status.count(Place.TIMED),
        "blocked": status.count(Place.PARKED),
        "dead_letters": overview.dead_letters,
        "workers": [worker.name for worker in status.crew.workers],
        "workers_gone": list(status.crew.workers_gone),
        "beats": [beat.name for beat in status.crew.beats],
        "beats_gone": list(status.crew.beats_gone),
        "queues_without_worker": status.idle_queues,
        "stopped_queues": stopped_fields(overview),
        "refused": status.refused or None,
        "unreadable": [asdict(one) for one in overview.unreadable],
        "phases": [phase_fields(phase) for phase in status.phases],
        "receipts": None if status.receipts is None else status.receipts.fields(),
        "reverified": sum(overview.looks.values()),
        "regressed": overview.regressed,
        "imported": overview.imported,
        "regressions": [regression_fields(regression) for regression in status.regressed],
        "action_required": list(map(_asked_for, status.waiting)),
        "cyclic": [cyclic_fields(standing) for standing in status.cyclic],
    }


def _asked_for(view: JobView) -> dict[str, Any]:
    return {"id": view.definition.id, "task": view.definition.job["task"], "message": last_message(view)}


def phase_fields(phase: PhaseStanding) -> dict[str, Any]:
    """A phase as `moie status --json` says it."""
    return {
        "id": phase.id,
        "name": phase.name,
        "status": str(phase.status),
        "completed": phase.completed,
        "total": phase.total,
        "cyclic": phase.cyclic,
        "approval": None if phase.asks is None else approval_fields(phase.asks),
    }


def approval_fields(asks: Asks) -> dict[str, Any]:
    """What a phase asks, as `moie status --json` says it."""
    return {
        "persons": asks.persons,
        "loaded_by": asks.approval.author or None,
        "asked_at": time_or_none(asks.approval.asked),
        "expires_at": time_or_none(asks.expires_at),
        "approved": [_vote_fields(vote) for vote in asks.approval.yes],
        "rejected": None if asks.approval.no is None else _vote_fields(asks.approval.no),
    }


def _vote_fields(vote: Vote) -> dict[str, Any]:
    return {"who": vote.who, "why": vote.why, "at": time_or_none(vote.at)}


def cyclic_fields(standing: CyclicStanding) -> dict[str, Any]:
    """A cyclic job as `moie health --json` says it."""
    runs = standing.runs
    return {
        "id": standing.view.definition.id,
        "status": str(standing.health),
        "message": standing.message,
        "runs": runs.runs,
        "failures": runs.failures,
        "failure_share": runs.kept_failures / runs.kept if runs.kept else None,
    }


def job_fields(view: JobView) -> dict[str, Any]:
    """A job as `moie jobs --json` says it."""
    outcome = view.evidence.get("outcome")
    return {
        "id": view.definition.id,
        "phase": view.definition.phase,
        "task": view.definition.job["task"],
        "status": str(view.place),
        "cyclic": view.definition.cyclic,
        "outcome": outcome,
        "attempts": view.attempts,
        "due_at": time_or_none(view.due),
        "last_error": last_message(view) if outcome not in (None, "passed") else None,
    }
