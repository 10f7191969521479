"""What an import or an export has to tell people."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from moie_worker.errors import Problem
from moie_worker.plan.paths import Path, problem

MAX_LINES = 50


def shortened(lines: Sequence[Problem], count: int | None = None) -> list[Problem]:
    """At most 50 lines, then how many more of `count` there are."""
    rest = (len(lines) if count is None else count) - MAX_LINES
    return [*lines[:MAX_LINES], Problem(f"… and {rest} more")] if rest > 0 else list(lines)


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How a document was understood. Every line names its place."""

    version: int  # of the document
    reason: str  # why it was taken for that version
    notes: tuple[Problem, ...]  # what was repaired, filled in or left unused
    warnings: tuple[Problem, ...]  # what is accepted and probably not meant


@dataclass(slots=True)
class Notes:
    """Collects the lines of a report."""

    notes: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def say(self, path: Path, message: str) -> None:
        """Something was repaired, filled in or left out."""
        self.notes.append(problem(path, message))

    def warn(self, path: Path, message: str) -> None:
        """Something is accepted and probably not meant."""
        self.warnings.append(problem(path, message))
