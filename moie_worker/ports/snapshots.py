"""Snapshots: what a plan gives and takes, and where they are kept."""

from collections.abc import Callable
from typing import Protocol

from moie_worker.plan.flow import JournalEntry, Overview
from moie_worker.plan.snapshot import Manifest, Saved


class Photographed(Protocol):
    """A plan that can be saved and restored."""

    @property
    def plan(self) -> str:
        """The name of the plan."""
        ...

    def overview(self) -> Overview:
        """Flags, phases and counts."""
        ...

    def read_journal(self, limit: int) -> list[JournalEntry]:
        """The newest entries, oldest first."""
        ...

    def capture(self) -> str:
        """Hold fast where every job stands now, in one step; returns the name of the capture. It goes by itself."""
        ...

    def captures(self) -> list[str]:
        """Captures that promotions left, the oldest first."""
        ...

    def saved(self, capture: str) -> Saved | None:
        """Read a capture in pieces; None when it is gone, or when another revision was loaded meanwhile."""
        ...

    def drop(self, capture: str) -> None:
        """The capture was saved."""
        ...

    def restore(
        self, saved: Saved, base: int, who: str, why: str, progress: Callable[[int], None] = lambda _: None
    ) -> int:
        """Stage and commit what was saved over revision `base`; returns the new revision. `apply` does the rest.

        Raises RefusedError when somebody else changed the plan.
        """
        ...


class Shelf(Protocol):
    """A place that keeps snapshots of one plan, the newest of each kind."""

    @property
    def where(self) -> str:
        """In words of people."""
        ...

    def put(self, manifest: Manifest, data: bytes) -> None:
        """Keep a snapshot as a whole, and remove what is too many. Raises MoieError; then nothing is changed."""
        ...

    def index(self) -> list[Manifest]:
        """What it keeps, the oldest first; what cannot be read is left out."""
        ...

    def get(self, name: str) -> bytes | None:
        """The file of a snapshot; None when it is not here."""
        ...
