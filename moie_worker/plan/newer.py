"""Version 2 in the words of version 3, part by part. Misshapen parts are passed on: the models say what is wrong."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from moie_worker.plan.definition import canonical
from moie_worker.plan.fields import Files, JobIds, PhaseIds, Priority, Risks, Title
from moie_worker.plan.model import NEVER, Job, Phase
from moie_worker.plan.older import job_to_v2, meta_to_v2, phase_to_v2, standing
from moie_worker.plan.paths import Path, show_value
from moie_worker.plan.report import Notes
from moie_worker.plan.states import JobStatus, Order

EVERY = "10m"  # the beat of the older versions, at which they looked at every cyclic job
META_FIELDS = ("project", "operator", "boot_time", "last_heartbeat")
PHASE_FIELDS = ("id", "name")
JOB_FIELDS = ("id", "task", "description", "status", "verification_cmd")
HANDED_ON: dict[str, TypeAdapter[Any]] = {
    "priority": TypeAdapter(Priority),
    "estimate": TypeAdapter(Title),
    "files": TypeAdapter(Files),
    "risks": TypeAdapter(Risks),
}
PHASE_NEEDS: TypeAdapter[Any] = TypeAdapter(PhaseIds)
JOB_NEEDS: TypeAdapter[Any] = TypeAdapter(JobIds)
UNUSED_IN_PHASE = frozenset(Phase.model_fields) - {*PHASE_FIELDS, "depends_on", "jobs"}
UNUSED_IN_JOB = frozenset(Job.model_fields) - {*JOB_FIELDS, *HANDED_ON, "depends_on"}


@dataclass(frozen=True, slots=True)
class Known:
    """The ids that a document has, for dependencies on what is not in it."""

    phases: frozenset[int]
    jobs: frozenset[str]

    @classmethod
    def of(cls, phases: Any) -> "Known":
        """The ids of whatever is shaped like a phase or a job."""
        shaped = _mappings(phases)
        jobs = [job for phase in shaped for job in _mappings(phase.get("jobs"))]
        return cls(
            frozenset(phase["id"] for phase in shaped if isinstance(phase.get("id"), int)),
            frozenset(job["id"] for job in jobs if isinstance(job.get("id"), str)),
        )


def standing_of(phases: Any) -> tuple[int | None, dict[int, str]]:
    """The current phase, and what v2 should say about each phase by its index; nothing of misshapen documents."""
    shaped = _mappings(phases)
    whole = isinstance(phases, list) and len(shaped) == len(phases)
    if not whole or not all(isinstance(phase.get("id"), int) for phase in shaped):
        return None, {}
    current, statuses = standing([phase | {"jobs": _mappings(phase.get("jobs"))} for phase in shaped])
    return current, dict(enumerate(statuses))


def meta_to_v3(meta: Any, current: int | None, notes: Notes) -> Any:
    """`meta` in the words of v3."""
    if not isinstance(meta, dict):
        return meta
    if current is not None and (said := meta.get("current_phase")) != current:
        notes.say(("meta", "current_phase"), f"was {show_value(said)}; by its jobs the plan is in phase {current}")
    if (mode := meta.get("mode")) != "daemon":
        notes.say(("meta", "mode"), f"{show_value(mode)} is kept and not used: a plan is always worked on as daemon")
    out = {name: meta[name] for name in META_FIELDS if name in meta}
    for name in ("boot_time", "last_heartbeat"):
        if isinstance(text := out.get(name), str) and _is_naive(text):
            notes.say(("meta", name), f"{text} has no time zone; it is taken as UTC")
    return _with_kept(out, kept_of(meta, meta_to_v2(out, current), ("current_phase",)))


def phase_to_v3(raw: Any, path: Path, status: str | None, known: Known, notes: Notes) -> Any:
    """A phase and its jobs in the words of v3."""
    if not isinstance(raw, dict):
        return raw
    if status is not None and raw.get("status") != status:
        notes.say((*path, "status"), f"was {show_value(raw.get('status'))}; by its jobs the phase is {status}")
    out = {name: raw[name] for name in PHASE_FIELDS if name in raw} | {"order": Order.SEQUENTIAL.value}
    if needs := _needs(raw, PHASE_NEEDS, known.phases, "phases", path, notes):
        out["depends_on"] = needs
    _say_unused(raw, UNUSED_IN_PHASE - {"status"}, path, notes)
    kept = kept_of(raw, phase_to_v2(out, ""), ("status", "jobs"))
    if isinstance(jobs := raw.get("jobs"), list):
        jobs = [job_to_v3(job, (*path, "jobs", index), known, notes) for index, job in enumerate(jobs)]
    return _with_kept(out | ({"jobs": jobs} if "jobs" in raw else {}), kept)


def job_to_v3(raw: Any, path: Path, known: Known, notes: Notes) -> Any:
    """A job in the words of v3."""
    if not isinstance(raw, dict):
        return raw
    out = {name: raw[name] for name in JOB_FIELDS if name in raw}
    out |= {name: raw[name] for name, kind in HANDED_ON.items() if raw.get(name) and _is_valid(kind, raw[name])}
    if needs := _needs(raw, JOB_NEEDS, known.jobs, "jobs", path, notes):
        out["depends_on"] = needs
    _say_unused(raw, UNUSED_IN_JOB, path, notes)
    kept = kept_of(raw, job_to_v2(out), ())
    if raw.get("status") != JobStatus.CYCLIC:
        return _with_kept(out, kept)
    return _cyclic(out, kept, path, notes)


def kept_of(raw: dict[str, Any], base: dict[str, Any], skipped: tuple[str, ...]) -> dict[str, Any]:
    """What an export must know besides `base` to say again what `raw` said."""
    fields = {
        name: value
        for name, value in raw.items()
        if name not in skipped and (name not in base or canonical(base[name]) != canonical(value))
    }
    kept: dict[str, Any] = {"fields": fields} if fields else {}
    if list(raw) != list(dict.fromkeys([*base, *fields])):
        kept["order"] = list(raw)
    return kept


def _cyclic(out: dict[str, Any], kept: dict[str, Any], path: Path, notes: Notes) -> dict[str, Any]:
    """A command that can never succeed says only that the job never completes: then there is nothing to run."""
    command = out.get("verification_cmd")
    if command and command not in NEVER:
        notes.say((*path, "schedule"), f"was missing; the job runs every {EVERY}")
        return _with_kept(out | {"schedule": {"every": EVERY}}, kept)
    if not command:
        notes.say((*path, "verification_cmd"), f"was missing; is {NEVER[0]!r}, which never completes a cyclic job")
    notes.say(path, "never completes and has nothing to run until it is given an action and a schedule")
    marker = {"verification_cmd": command or NEVER[0]}
    out = {name: value for name, value in out.items() if name != "verification_cmd"}
    return _with_kept(out, kept | {"fields": kept.get("fields", {}) | marker})


def _needs(
    raw: dict[str, Any], kind: TypeAdapter[Any], known: frozenset[Any], what: str, path: Path, notes: Notes
) -> list[Any]:
    """The dependencies on what is in the document; others cannot be waited for."""
    needs = raw.get("depends_on")
    if not needs or not _is_valid(kind, needs):
        return []
    if absent := [one for one in needs if one not in known]:
        names = ", ".join(str(one) for one in absent[:10])
        notes.warn((*path, "depends_on"), f"{what} {names} are not in this document; they are taken as done")
    return [one for one in needs if one in known]


def _say_unused(raw: dict[str, Any], names: frozenset[str], path: Path, notes: Notes) -> None:
    for name in sorted(raw.keys() & names):
        notes.say((*path, name), "is kept and not used: only version 3 has this field; write `version: 3` to use it")


def _with_kept(out: dict[str, Any], kept: dict[str, Any]) -> dict[str, Any]:
    return out | {"kept": kept} if kept else out


def _is_valid(kind: TypeAdapter[Any], value: Any) -> bool:
    try:
        kind.validate_python(value)
    except ValidationError:
        return False
    return True


def _is_naive(text: str) -> bool:
    return "T" in text and not text.endswith(("Z", "z")) and not {"+", "-"} & set(text.partition("T")[2])


def _mappings(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
