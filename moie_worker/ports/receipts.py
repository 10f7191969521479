"""Where the receipts of a plan are kept until somebody takes them elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Waiting:
    """A signed receipt as Redis took it; `id` orders them."""

    id: str
    packed: str


class Receipts(Protocol):
    """The receipts of one plan, in the order in which they were settled, and the seals of their chain."""

    def last_seal(self) -> str:
        """The line of the newest seal; empty before the first one."""
        ...

    def seals(self, start: int, limit: int) -> list[str]:
        """At most so many seals, from a place in their list on, oldest first."""
        ...

    def receipts_after(self, after: str, limit: int, until: str = "+") -> list[Waiting]:
        """At most so many receipts behind an id (empty: from the first on) up to another one, oldest first."""
        ...

    def newest_receipts(self, limit: int) -> list[Waiting]:
        """At most so many, newest first."""
        ...

    def receipts_kept(self) -> int:
        """How many there are, sealed or not."""
        ...

    def seal(self, expected: str, line: str, foreign: Sequence[str], drop: "Drop | None") -> bool:
        """Add a seal, take out what is no receipt, drop what is too old.

        False when the newest seal is not the expected one: somebody sealed in between, and nothing was changed.
        """
        ...


@dataclass(frozen=True, slots=True)
class Drop:
    """What goes when a seal is added: so many of the oldest seals, and all receipts up to an id."""

    seals: int
    up_to: str


class Witness(Protocol):
    """What this machine remembers of the chains of receipts, where no writer of Redis reaches it."""

    def last(self, plan: str) -> tuple[int, str] | None:
        """Number and digest of the newest receipt that it knew to be sealed; None when it knows of none."""
        ...

    def note(self, plan: str, count: int, head: str) -> None:
        """Remember these instead. Raises MoieError when they cannot be kept."""
        ...
