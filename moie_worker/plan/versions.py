"""Which version a document has, and the way from each to the next: v1 → v2 → v3, one step at a time.

The steps work on plain values and let pass what is not shaped as it should be: the models say what is wrong with it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moie_worker.errors import DocumentError
from moie_worker.plan.fields import format_time
from moie_worker.plan.newer import Known, kept_of, meta_to_v3, phase_to_v3, standing_of
from moie_worker.plan.paths import kind_of, problem, show_value
from moie_worker.plan.report import Notes

STATED = {1: 1, 2: 2, 3: 3, "1": 1, "2": 2, "1.0": 1, "2.0": 2, "1.0.0": 1, "2.0.0": 2}
META_ORDER = ("project", "operator", "boot_time", "mode", "current_phase", "last_heartbeat")


@dataclass(frozen=True, slots=True)
class Resolved:
    """The version of a document, and why."""

    version: int
    reason: str


def resolve(data: Any) -> Resolved:
    """What version a document has, by its content. Raises DocumentError."""
    if not isinstance(data, dict):
        message = f"a plan is a mapping with `version` and `phases`, not {kind_of(data)}"
        raise DocumentError([problem((), message)])
    if "version" in data:
        return _stated(data["version"])
    meta = data.get("meta")
    if isinstance(meta, dict) and (marks := [name for name in ("boot_time", "mode") if name in meta]):
        return Resolved(2, f"it has no version and meta says {' and '.join(marks)}")
    phases = data.get("phases")
    told = isinstance(phases, list) and any(isinstance(phase, dict) and "status" in phase for phase in phases)
    if told or (isinstance(meta, dict) and "current_phase" in meta):
        return Resolved(1, "it has no version, no boot_time and no mode, but says where the plan stands")
    raise DocumentError([problem(("version",), "is missing; write `version: 3`")])


def _stated(stated: Any) -> Resolved:
    known = isinstance(stated, str | int | float) and not isinstance(stated, bool)
    if known and stated in STATED:
        return Resolved(STATED[stated], f"it says version {stated}")
    hint = "; write 3 without quotes" if isinstance(stated, str) and stated.strip("v").startswith("3") else ""
    raise DocumentError(
        [problem(("version",), f"{show_value(stated)} is not known; this release reads 1, 2 and 3{hint}")]
    )


def v1_to_v2(data: dict[str, Any], now: datetime, notes: Notes) -> dict[str, Any]:
    """Fill in what v2 asks for: boot time, mode and last heartbeat."""
    meta = filled(data.get("meta", {}), now, notes)
    if isinstance(meta, dict):
        if meta.get("last_heartbeat") is None:
            meta["last_heartbeat"] = format_time(now)
            notes.say(("meta", "last_heartbeat"), f"was missing; is now {meta['last_heartbeat']}")
        meta = {name: meta[name] for name in META_ORDER if name in meta} | meta
    return data | {"meta": meta} | ({"version": 2} if "version" in data else {})


def v2_to_v3(data: dict[str, Any], now: datetime, notes: Notes) -> dict[str, Any]:
    """What v2 says in the words of v3. What v3 has no words for is kept, and every repair is said."""
    phases = data.get("phases")
    current, statuses = standing_of(phases)
    known = Known.of(phases)
    out: dict[str, Any] = {"version": 3, "meta": meta_to_v3(filled(data.get("meta", {}), now, notes), current, notes)}
    if isinstance(phases, list):
        out["phases"] = [
            phase_to_v3(phase, ("phases", index), statuses.get(index), known, notes)
            for index, phase in enumerate(phases)
        ]
    elif "phases" in data:
        out["phases"] = phases
    kept = kept_of(data, {"meta": data.get("meta"), "phases": phases}, ())
    return out | ({"kept": kept} if kept else {})


def filled(meta: Any, now: datetime, notes: Notes) -> Any:
    """`meta` with a boot time and a mode."""
    if not isinstance(meta, dict):
        return meta
    added = {"boot_time": format_time(now), "mode": "daemon"}
    missing = {name: value for name, value in added.items() if meta.get(name) is None}
    for name, value in missing.items():
        notes.say(("meta", name), f"was missing; is now {value}")
    return meta | missing
