"""What loading a plan over another one would do, job by job."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from moie_worker.plan.definition import Compiled, Definition
from moie_worker.plan.flow import JobView


@dataclass(frozen=True, slots=True)
class Diff:
    """Ids of jobs, in the order of the new plan; removed ones by name."""

    added: tuple[str, ...]
    changed: tuple[str, ...]  # command, action, time limit or environment: verified again
    removed: tuple[str, ...]
    rearmed: tuple[str, ...]  # their schedule changed: the next slot is set anew
    edited: tuple[str, ...]  # anything else: their state is kept
    unchanged: int

    @property
    def empty(self) -> bool:
        """Loading would change no job."""
        return not (self.added or self.changed or self.removed or self.rearmed or self.edited)

    def lists(self) -> dict[str, tuple[str, ...]]:
        """What happens to jobs, but for the unchanged ones."""
        return {
            "added": self.added,
            "changed": self.changed,
            "removed": self.removed,
            "re-armed": self.rearmed,
            "edited": self.edited,
        }


def diff(old: Mapping[str, Definition], new: Compiled) -> Diff:
    """Compare what is loaded with what would be."""
    kinds: dict[str, list[str]] = {}
    kept = {job.id for job in new.jobs}
    for job in new.jobs:
        if not job.verifies:  # what looks at a job again comes and goes with it
            kinds.setdefault(_kind(old.get(job.id), job), []).append(job.id)
    return Diff(
        added=tuple(kinds.get("added", ())),
        changed=tuple(kinds.get("changed", ())),
        removed=tuple(sorted(old.keys() - kept)),
        rearmed=tuple(kinds.get("rearmed", ())),
        edited=tuple(kinds.get("edited", ())),
        unchanged=len(kinds.get("unchanged", ())),
    )


def diff_document(result: Diff) -> dict[str, Any]:
    """As `moie load --json` says it."""
    return {name: list(jobs) for name, jobs in result.lists().items()} | {"unchanged": result.unchanged}


def _kind(old: Definition | None, new: Definition) -> str:
    if old is None:
        return "added"
    if (old.digest, old.phase, old.cyclic) != (new.digest, new.phase, new.cyclic):
        return "changed"
    if old.timing != new.timing:
        return "rearmed"
    return "unchanged" if _same(old, new) else "edited"


def _same(old: Definition, new: Definition) -> bool:
    """Apart from where the job stands in the document, and from the period, which is measured when it is loaded."""
    moving = ("position", "period_ms")
    return all(getattr(old, name) == getattr(new, name) for name in Definition.__slots__ if name not in moving)


def definitions(views: Iterable[JobView]) -> dict[str, Definition]:
    """The definitions of loaded jobs by id."""
    return {view.definition.id: view.definition for view in views}
