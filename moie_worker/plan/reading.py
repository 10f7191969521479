"""The way in: the bytes of a document become a plan and a report, or an error that says all that is wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from moie_worker.errors import DocumentError, Problem
from moie_worker.plan.documents import MAX_JOBS, Document, parse
from moie_worker.plan.model import Plan
from moie_worker.plan.paths import problem
from moie_worker.plan.report import ImportReport, Notes, shortened
from moie_worker.plan.structure import build
from moie_worker.plan.validate import Checker, Finding, find_problems, find_warnings
from moie_worker.plan.versions import resolve, v1_to_v2, v2_to_v3


@dataclass(frozen=True, slots=True)
class Imported:
    """A plan, its phases in the order of their ids, and how its document was understood."""

    plan: Plan
    report: ImportReport


def read_plan(data: bytes, *, name: str, now: datetime, actions: Mapping[str, Checker]) -> Imported:
    """Read a document of any version. `name` is its file, for messages; `now` fills in what older ones lack.

    Raises DocumentError with every problem that was found.
    """
    document = parse(data, name)
    resolved = resolve(document.data)
    _check_size(document.data)
    notes = Notes()
    raw = document.data
    if resolved.version == 1:
        raw = v1_to_v2(raw, now, notes)
    if resolved.version <= 2:
        raw = v2_to_v3(raw, now, notes)
    plan = build(raw, document)
    if problems := _said(find_problems(plan, actions), document):
        raise DocumentError(shortened(problems))
    warnings = [*notes.warnings, *_said(find_warnings(plan), document)]
    plan = _in_order(plan, notes)
    report = ImportReport(resolved.version, resolved.reason, tuple(shortened(notes.notes)), tuple(shortened(warnings)))
    return Imported(plan, report)


def _check_size(data: Mapping[str, Any]) -> None:
    """Counted before the models are built: that takes longer the more there are."""
    phases = data.get("phases")
    jobs = [phase.get("jobs") for phase in phases if isinstance(phase, dict)] if isinstance(phases, list) else []
    count = sum(len(some) for some in jobs if isinstance(some, list))
    if count > MAX_JOBS:
        message = f"there are {count} jobs; at most {MAX_JOBS} are read from one document: load the plan in parts"
        raise DocumentError([problem(("phases",), message)])


def _said(findings: Iterable[Finding], document: Document) -> list[Problem]:
    return [problem(path, message, document.line(path)) for path, message in findings]


def _in_order(plan: Plan, notes: Notes) -> Plan:
    ordered = tuple(sorted(plan.phases, key=lambda phase: phase.id))
    if ordered == plan.phases:
        return plan
    notes.say(("phases",), "are put into the order of their ids")
    return plan.model_copy(update={"phases": ordered})
