"""Dead letters, runs and alerts: what is remembered for people."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

from moie_worker.plan.chain import Pulse, Station, Trace
from moie_worker.plan.letters import Claim, Death, Letter, LetterFilter, LetterPage, Measured, RunHistory, Watched


class DeadLetterBox(Protocol):
    """Where everything that was given up is kept until somebody replays or discards it. Nothing is ever trimmed."""

    def put(self, death: Death) -> bool:
        """Keep it. False: this very death is known already, nothing changed."""
        ...

    def count(self) -> int:
        """All letters, replayed ones included."""
        ...

    def page(self, wanted: LetterFilter, cursor: str = "", limit: int = 100) -> LetterPage:
        """The next letters after a cursor. What changes meanwhile may come twice, what stays is never left out."""
        ...

    def get(self, letter_id: str) -> Letter:
        """One letter. Raises NotFoundError."""
        ...

    def claim(self, letter_id: str, hold: timedelta, *, again: bool = False) -> Claim:
        """Take the right to replay. Raises NotFoundError, or RefusedError while another holds it.

        A letter replayed since its last death is refused too, unless `again`.
        """
        ...

    def release(self, claim: Claim) -> None:
        """Give the right back unused."""
        ...

    def mark_replayed(self, claim: Claim, replayed_as: str, who: str, why: str) -> None:
        """The replay is on its way under this id; the journal says so. A discarded letter stays discarded."""
        ...

    def discard(self, letter_id: str, who: str, why: str) -> None:
        """Remove for good; the journal keeps what it was. Raises NotFoundError."""
        ...


class RunLog(Protocol):
    """The last runs of everything periodic; costs the same whatever it holds."""

    def record(self, run_of: Watched, measured: Measured, ago: timedelta = timedelta()) -> None:
        """Add a run that ended so long ago."""
        ...

    def history(self, name: str) -> RunHistory:
        """All that is known of a name; without runs where it never ran."""
        ...

    def watched(self) -> list[Watched]:
        """Every name recorded outside of the plan, in order."""
        ...

    def forget(self, name: str) -> None:
        """Drop a name that runs no more, with its log."""
        ...


class Meter(Protocol):
    """Measures the calling thread from now on; called, it says what was used since."""

    def __call__(self) -> Measured:
        """What was used since the meter was made."""
        ...


class Chain(Protocol):
    """How far heartbeats come on their way through beat, broker, worker and state to the outside."""

    def mark(self, station: Station, pulse: Pulse, note: str = "") -> None:
        """A station saw a heartbeat. Raises UnreachableError, or MoieError where writing is refused."""
        ...

    def trace(self) -> Trace:
        """The newest heartbeat of each station."""
        ...


class Alerts(Protocol):
    """What somebody has to be told of; raised once and cleared once, whoever finds it."""

    def raise_once(self, name: str, message: str) -> bool:
        """False when it stands already."""
        ...

    def clear_once(self, name: str) -> bool:
        """False when it does not stand any more."""
        ...

    def standing(self) -> Mapping[str, str]:
        """Messages by name."""
        ...
