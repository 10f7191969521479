"""What restoring a snapshot would do, job by job."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moie_worker.plan.definition import Definition
from moie_worker.plan.flow import JobView
from moie_worker.plan.reverify import is_look
from moie_worker.plan.snapshot import KEPT, OPEN, Saved


@dataclass(frozen=True, slots=True)
class Change:
    """Jobs that go the same way."""

    what: str  # `completed -> open`, `added (completed)`, `removed`, `defined as before`
    jobs: tuple[str, ...]


def restored_diff(views: Iterable[JobView], saved: Saved) -> list[Change]:
    """What is loaded against what would be; empty when they are alike."""
    live = {view.definition.id: view for view in views}
    found: dict[str, list[str]] = {}
    for job in saved.jobs:
        if is_look(job.id, job.definition):
            continue
        view = live.pop(job.id, None)
        if view is None:
            found.setdefault(f"added ({job.place})", []).append(job.id)
            continue
        now = view.place if view.place in KEPT else OPEN
        if now != job.place:
            found.setdefault(f"{now} -> {job.place}", []).append(job.id)
        if view.definition != Definition.from_json(job.definition):
            found.setdefault("defined as before", []).append(job.id)
    if live:
        found["removed"] = sorted(live)
    return [Change(what, tuple(jobs)) for what, jobs in sorted(found.items())]


def changes_document(changes: Iterable[Change]) -> Mapping[str, Any]:
    """As `--json` says it."""
    return {change.what: list(change.jobs) for change in changes}
