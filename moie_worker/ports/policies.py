"""What is kept of policies: whose turn it is, and what was decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from moie_worker.plan.times import Ms


class Effect(StrEnum):
    """What followed from a decision."""

    RUNS = "runs"
    WAITS = "waits"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision about one attempt."""

    job: str
    policy: str
    decision: str
    effect: Effect
    message: str
    worker: str
    at: Ms = 0  # Redis' time; set by whoever keeps it


class Rulings(Protocol):
    """The rulings of one plan."""

    def turn(self, policy: str, job: str, at_most: int, per: timedelta) -> timedelta:
        """Ask for a start under a throttle: no time at all when the job may start now, which counts as its start.

        Else how long it waits before it asks again. Never more than `at_most` start in any time of length `per`; who
        asked first starts first, as long as it comes back within a minute of its time.
        """
        ...

    def note(self, decisions: Sequence[Decided]) -> None:
        """Keep them, the last 1,000 of a plan."""
        ...

    def decisions(self, number: int) -> list[Decided]:
        """The newest first, at most so many."""
        ...
