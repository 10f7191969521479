"""The truth of a plan, and what all plans share."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from moie_worker.plan.flow import (
    Answer,
    Attempt,
    Hint,
    JobView,
    JournalEntry,
    Overview,
    Regression,
    Reserved,
    Settlement,
)
from moie_worker.plan.presence import Beat, Worker
from moie_worker.plan.states import Place
from moie_worker.plan.times import Ms
from moie_worker.ports.receipts import Receipts


class Store(Receipts, Protocol):
    """The truth of one plan. PROTOCOL of the heart: every method is one atomic step; times are Redis' own."""

    @property
    def plan(self) -> str:
        """The name of the plan."""
        ...

    def reserve(self, queue: str, window: int, name: str) -> Reserved:
        """Offer due jobs of a queue until its window is full; `name` makes the ids of the hints unique."""
        ...

    def sent(self, hint: Hint) -> None:
        """The hint was published."""
        ...

    def begin(self, hint: Hint, nonce: str, worker: str, lease: timedelta) -> list[Attempt]:
        """Take what a hint names and may run now; the same nonce again gets the same answer."""
        ...

    def renew(self, tokens: Sequence[str], lease: timedelta, hint: Hint) -> list[str]:
        """For each token: `ok`, a reason of `Stopped`, or `gone` (not held, or past its time limit)."""
        ...

    def arm(self, token: str, slot: Ms, due: Ms) -> bool:
        """Arm the next slot of an overlapping job while its attempt runs; False when the token holds nothing."""
        ...

    def settle(self, settlements: Sequence[Settlement], hint: Hint, done: bool) -> list[Answer]:
        """End attempts. `done` says that this was the last of the hint, which frees its slot."""
        ...

    def release(self, tokens: Sequence[str], hint: Hint, done: bool) -> None:
        """Give back what was begun and not started; it counts as never begun."""
        ...

    def rescue(self) -> int:
        """Take back attempts whose lease ended; returns how many."""
        ...

    def audit(self, count: int) -> list[str]:
        """Look at about so many jobs again, going round; returns those that had to be put right."""
        ...

    def gap(self) -> None:
        """Redis was away: what was running then is not charged, and nobody is rescued for one renewal."""
        ...

    def apply(self) -> int | None:
        """Bring the next jobs to a loaded revision; returns how many are left, None when nothing loads."""
        ...

    def beat(self, report: str, who: str, pulse: str = "") -> None:
        """Record a heartbeat; waiting jobs that were looked at before it may be looked at again.

        `pulse` is the id under which a beat sent it; empty for one that somebody asked for.
        """
        ...

    def expire(self, phase: int) -> bool:
        """Write down, once, that a phase was not approved in time. False: it was, it may be yet, or it is known."""
        ...

    def queues(self) -> Sequence[str]:
        """The queues that the jobs of the plan are in."""
        ...

    def overview(self) -> Overview:
        """Flags, phases and counts."""
        ...

    def in_places(self, places: Sequence[Place], limit: int) -> list[JobView]:
        """At most so many jobs of some places that keep an order: timed, ready, waiting, sent, running."""
        ...

    def regressions(self, limit: int) -> list[Regression]:
        """At most so many jobs that held and hold no more, the oldest first."""
        ...

    def cyclic(self) -> list[str]:
        """Ids of the cyclic jobs of the document."""
        ...

    def read_journal(self, limit: int) -> list[JournalEntry]:
        """The newest entries, oldest first."""
        ...

    def read_acts(self, limit: int) -> list[JournalEntry]:
        """The newest entries of what people and the plan did, oldest first: they outlast the journal."""
        ...


class Fleet(Protocol):
    """What all plans share."""

    def plans(self) -> list[str]:
        """Names of all plans."""
        ...

    def workers(self) -> tuple[list[Worker], list[str]]:
        """Living workers, and names of those that went without a word."""
        ...

    def beats(self) -> tuple[list[Beat], list[str]]:
        """Living beats, and names of those that went without a word."""
        ...

    def now(self) -> Ms:
        """The time of Redis."""
        ...

    def swept(self) -> None:
        """Say that a beat looked at all plans just now. Raises MoieError where Redis is full."""
        ...

    def was_swept(self) -> bool:
        """Whether any beat looked at all plans within the last two seconds."""
        ...

    def ring(self, plan: str) -> None:
        """Wake a beat to look at a plan."""
        ...

    def listen(self, patience: timedelta) -> frozenset[str]:
        """Wait for a ring; the plans to look at, none when nobody rang."""
        ...
