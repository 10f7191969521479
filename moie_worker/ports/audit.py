"""What an audit reads of a plan. Nothing here changes anything, and no call costs more than its page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from moie_worker.plan.flow import Overview
from moie_worker.plan.invariants import Held, Standing
from moie_worker.plan.times import Ms
from moie_worker.ports.receipts import Waiting


@dataclass(frozen=True, slots=True)
class Sum:
    """What is counted of the whole plan, in one look."""

    overview: Overview
    jobs: int  # that have a state
    definitions: int  # that were loaded
    journal: str  # its newest entry


@dataclass(frozen=True, slots=True)
class Look:
    """One job in one look."""

    job: str
    standing: Standing
    kind: str = ""  # its class: job, cyclic or look
    phase: int = 0  # of a look 0: it is counted apart
    verified: str = ""  # the token of the attempt that completed it; empty: it was not, or was so in the document
    at: Ms = 0  # when that was settled


@dataclass(frozen=True, slots=True)
class AttemptLook:
    """Some attempts in one look."""

    now: Ms
    gap_at: Ms  # when Redis was away last
    held: dict[str, Held]  # by token


class Audited(Protocol):
    """A plan that can be looked through, in pages."""

    def sum(self) -> Sum:
        """What is counted of the whole plan."""
        ...

    def job_pages(self) -> Iterator[list[str]]:
        """Ids of all jobs that have a state; some perhaps twice."""
        ...

    def look(self, jobs: Sequence[str]) -> list[Look]:
        """Where some jobs stand."""
        ...

    def attempt_pages(self) -> Iterator[list[str]]:
        """Tokens of all attempts and leases; some twice."""
        ...

    def look_at_attempts(self, tokens: Sequence[str]) -> AttemptLook:
        """What attempts hold."""
        ...

    def strangers(self) -> Iterator[str]:
        """Members of orders that have no state."""
        ...

    def last_seal(self) -> str:
        """The line of the newest seal; empty before the first one."""
        ...

    def receipts_after(self, after: str, limit: int, until: str = "+") -> list[Waiting]:
        """At most so many receipts behind an id (empty: from the first on) up to another one, oldest first."""
        ...
