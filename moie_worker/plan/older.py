"""Version 3 back to version 2: what v2 has fields for, what was kept of an older document, and what is lost."""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from typing import Any

from moie_worker.errors import Problem
from moie_worker.plan.fields import format_time, parse_time
from moie_worker.plan.model import NEVER, Plan
from moie_worker.plan.paths import Path
from moie_worker.plan.report import Notes, shortened
from moie_worker.plan.states import JobStatus, Order, PhaseStatus

# Fields that v2 does not know and its readers keep: they mean the same in v3 and are handed on.
JOB_EXTRAS = ("priority", "estimate", "files", "risks", "depends_on")
PHASE_EXTRAS = ("depends_on",)
# What may be absent from a v2 document without a loss.
ABSENT = {"project": "", "operator": "", "description": "", "status": JobStatus.PENDING, "last_heartbeat": None}
LOST = {
    "action": "how it is done",
    "schedule": "when it runs",
    "approval": "that it waits for approval",
    "order": "that its jobs run side by side; v2 works on one after the other",
    "env": "the environment",
    "run_as": "the user that its commands run as",
    "reverify": "that it is looked at again once it is verified",
}

KNOWN_IN_JOB = {"id", "task", "description", "status", "verification_cmd", "kept", *JOB_EXTRAS}
KNOWN_IN_PHASE = {"id", "name", "order", "jobs", "kept", *PHASE_EXTRAS}

Raw = Mapping[str, Any]
Same = Callable[[str, Any, Any], bool]


@dataclass(frozen=True, slots=True)
class Exported:
    """A document and what it could not hold."""

    document: dict[str, Any]
    notes: tuple[Problem, ...]


def to_v2(plan: Plan) -> Exported:
    """The plan as a document of version 2. What came from an older document and did not change is as it was there."""
    document, notes = plan.to_document(), Notes()
    phases = document["phases"]
    known_phases = {phase["id"] for phase in phases}
    known_jobs = {job["id"] for phase in phases for job in phase["jobs"]}
    current, statuses = standing(phases)
    _say_losses(document, notes)
    meta = document.get("meta", {})
    out = {
        "meta": restored(meta_to_v2(meta, current), meta.get("kept"), same_value),
        "phases": [_phase(*pair, known_phases, known_jobs) for pair in zip(phases, statuses, strict=True)],
    }
    return Exported(restored(out, document.get("kept"), same_value), tuple(shortened(notes.notes)))


def _phase(phase: Raw, status: str, known_phases: Collection[int], known_jobs: Collection[str]) -> dict[str, Any]:
    same_job = partial(same_value, known=known_jobs)
    jobs = [restored(job_to_v2(job), job.get("kept"), same_job) for job in in_turn(phase["jobs"])]
    base = phase_to_v2(phase, status) | {"jobs": jobs}
    return restored(base, phase.get("kept"), partial(same_value, known=known_phases))


def in_turn(jobs: Sequence[Raw]) -> list[Raw]:
    """The jobs of a phase, each behind what it waits for; in their own order where that is so already.

    A v2 document works on them one after the other: a job that waited for a later one would wait for ever.
    """
    place = {job["id"]: number for number, job in enumerate(jobs)}
    waits = TopologicalSorter[int]()
    for number, job in enumerate(jobs):
        needs = (
            () if job.get("status") == JobStatus.CYCLIC else job.get("depends_on", ())
        )  # cyclic: not in the sequence
        waits.add(number, *(place[need] for need in needs if need in place))
    waits.prepare()
    ordered, ready = list[Raw](), list[int]()
    while waits.is_active():
        for number in waits.get_ready():
            heappush(ready, number)
        ordered.append(jobs[first := heappop(ready)])
        waits.done(first)
    return ordered


def standing(phases: Sequence[Raw]) -> tuple[int | None, list[str]]:
    """The current phase, and what v2 says about each: completed before it, active, locked after it.

    The current phase is the first with a job to complete, else the last of all.
    """
    open_ids = [phase["id"] for phase in phases if _is_open(phase)]
    current = min(open_ids) if open_ids else max((phase["id"] for phase in phases), default=None)
    return current, [_status(phase, current, bool(open_ids)) for phase in phases]


def _is_open(phase: Raw) -> bool:
    return any(job.get("status", JobStatus.PENDING) == JobStatus.PENDING for job in phase["jobs"])


def _status(phase: Raw, current: int | None, work_left: bool) -> str:
    if current is not None and phase["id"] > current:
        return PhaseStatus.LOCKED.value
    runs_on = any(job.get("status") == JobStatus.CYCLIC for job in phase["jobs"])
    if phase["id"] == current and (work_left or runs_on):
        return PhaseStatus.ACTIVE.value
    return PhaseStatus.COMPLETED.value


def meta_to_v2(meta: Raw, current: int | None) -> dict[str, Any]:
    """The fields of v2, in its order."""
    return {
        "project": meta.get("project", ""),
        "operator": meta.get("operator", ""),
        "boot_time": _utc(meta.get("boot_time")),
        "mode": "daemon",
        "current_phase": current,
        "last_heartbeat": _utc(meta.get("last_heartbeat")),
    }


def phase_to_v2(phase: Raw, status: str) -> dict[str, Any]:
    """The fields of v2, in its order; the jobs are put in by the caller."""
    out = {"id": phase.get("id"), "name": phase.get("name"), "status": status}
    return out | {name: phase[name] for name in PHASE_EXTRAS if phase.get(name)} | {"jobs": []}


def job_to_v2(job: Raw) -> dict[str, Any]:
    """The fields of v2, in its order."""
    out = {
        "id": job.get("id"),
        "task": job.get("task"),
        "description": job.get("description", ""),
        "status": job.get("status", JobStatus.PENDING.value),
        "verification_cmd": _shell(job.get("verification_cmd", NEVER[0])),
    }
    return out | {name: job[name] for name in JOB_EXTRAS if job.get(name)}


def restored(base: dict[str, Any], kept: Raw | None, same: Same) -> dict[str, Any]:
    """`base` with what an older document said besides, in the order it said it.

    A kept value stands for one of `base` for as long as it means the same.
    """
    fields: Raw = kept.get("fields", {}) if kept else {}
    order = (kept.get("order") if kept else None) or list(base)
    out: dict[str, Any] = {}
    for name in dict.fromkeys([*order, *base, *fields]):
        if name in fields and (name not in base or same(name, fields[name], base[name])):
            out[name] = fields[name]
        elif name in base and (name in order or name not in ABSENT or base[name] != ABSENT[name]):
            out[name] = base[name]
    return out


def same_value(name: str, original: Any, current: Any, known: Collection[Any] = ()) -> bool:
    """True when an import of the original value gives the current one."""
    if name == "mode":
        return True
    if name in ("boot_time", "last_heartbeat"):
        return bool(_utc(original) == current)
    if name == "verification_cmd":
        return bool(_shell(original) == current or (original in NEVER and current in NEVER))
    if name == "depends_on" and isinstance(original, list):
        return bool([one for one in original if one in known] == current)
    return bool(original == current)


def _utc(value: Any) -> Any:
    try:
        return format_time(parse_time(value))
    except ValueError:
        return value


def _shell(command: Any) -> Any:
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        return shlex.join(command)
    return command


def _say_losses(document: Raw, notes: Notes) -> None:
    if document.get("reserved"):
        notes.say(("reserved",), "is left out: v2 cannot say why phase ids are missing")
    if document.get("reverify"):
        notes.say(("reverify",), f"is left out: v2 cannot say {LOST['reverify']}")
    for index, phase in enumerate(document["phases"]):
        path = ("phases", index)
        if phase.get("order") != Order.SEQUENTIAL and len(phase["jobs"]) > 1:
            notes.say((*path, "order"), f"is left out: v2 cannot say {LOST['order']}")
        if in_turn(phase["jobs"]) != phase["jobs"]:
            notes.say((*path, "jobs"), "are put into an order in which each stands behind what it waits for")
        for name in sorted(phase.keys() - KNOWN_IN_PHASE):
            notes.say((*path, name), f"is left out: v2 cannot say {LOST[name]}")
        for number, job in enumerate(phase["jobs"]):
            _say_losses_of(job, (*path, "jobs", number), notes)


def _say_losses_of(job: Raw, path: Path, notes: Notes) -> None:
    for name in sorted(job.keys() - KNOWN_IN_JOB):
        notes.say((*path, name), f"is left out: v2 cannot say {LOST.get(name, 'this')}")
    if isinstance(job.get("verification_cmd"), list):
        notes.say((*path, "verification_cmd"), "is written as one text for the shell")
