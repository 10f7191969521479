"""What the heart asks of the world. Adapters answer it; neither side imports the other."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from moie_worker.plan.flow import Answer, Attempt, Hint, JobView, JournalEntry, Overview, Reserved, Settlement
from moie_worker.plan.letters import Claim, Death, Letter, LetterFilter, LetterPage, Measured, RunHistory, Watched
from moie_worker.plan.presence import Beat, Worker
from moie_worker.plan.states import Outcome, Place
from moie_worker.plan.times import Ms


class Clock(Protocol):
    """The only source of time besides Redis."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back and, on Linux, do not stop for other processes."""
        ...


class Stop(Protocol):
    """A request to end a running command early; may be set from another thread."""

    @property
    def reason(self) -> str | None:
        """Why, or None while nobody asked."""
        ...

    def set(self, reason: str) -> None:
        """Ask. The first reason is kept."""
        ...

    def fileno(self) -> int:
        """A descriptor that becomes readable once `set` was called (for poll)."""
        ...


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run: a text is given to `sh -c`, a list is executed as it is."""

    cmd: str | Sequence[str]
    timeout: timedelta
    env: Mapping[str, str] = field(default_factory=dict)  # besides the scrubbed base environment
    pass_env: Sequence[str] = ()  # names taken over from the worker's own environment
    cwd: str | None = None
    token: str = ""  # MOIE_TOKEN: unique to the attempt
    slot: str = ""  # MOIE_SLOT: the same for every attempt at the same due time
    grace: timedelta = timedelta(seconds=1)  # between TERM and KILL


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a command or an action left behind. Texts are valid UTF-8 without control characters but tab and newline."""

    outcome: Outcome
    message: str  # one line for people: "exit code 3", "no such file: foo", "timed out after 30 s"
    exit_code: int | None = None
    signal: int | None = None
    head: str = ""  # first part of the output (stdout and stderr together)
    tail: str = ""  # last part, empty when everything is in head
    output_bytes: int = 0
    sha256: str = ""  # of the whole output
    duration_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_bytes: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)  # JSON values that an action wants to keep


class Runner(Protocol):
    """Runs commands in process groups of their own. Safe to call from several threads."""

    def run(self, command: Command, stop: Stop | None = None) -> Evidence:
        """Run to its end, its time limit or a stop; never raises for what the command does."""
        ...

    def renewed(self, tokens: Sequence[str], lease: timedelta, sent_at: float) -> None:
        """The leases of these attempts hold for `lease` from the monotonic time `sent_at`.

        Must be called before the first `run` of a token; a guard kills whatever outlives it.
        """
        ...

    def forget(self, tokens: Sequence[str]) -> None:
        """These attempts are over: end what they left behind, drop them from the guard."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """Something found by a scan: `version` orders re-publications of one `key`."""

    key: str
    version: int
    fields: Mapping[str, str]


class Notebook(Protocol):
    """The memory an action may keep between runs, shared by all workers of a plan."""

    def publish_new(self, topic: str, items: Sequence[Item], keep: int) -> list[Item]:
        """Remember the items and append the new ones to a capped stream, in one atomic step.

        An item is new when its key was never seen or its version is higher. Returns the new ones in order.
        """
        ...

    def published(self, topic: str, since: datetime) -> list[tuple[datetime, Mapping[str, str]]]:
        """What the stream of a topic holds since a time, oldest first."""
        ...

    def turn(self, topic: str, interval: timedelta) -> timedelta:
        """Take the next turn of a shared rate limit; returns how long the caller must wait for it."""
        ...

    def exclusive(self, topic: str, ttl: timedelta) -> AbstractContextManager[bool]:
        """Hold a topic alone for at most `ttl`; yields False when somebody else holds it."""
        ...


@dataclass(frozen=True, slots=True)
class ActionContext:
    """All an action may use."""

    plan: str
    job: str
    params: Mapping[str, Any]  # the validated `with` of the document, as JSON values
    command: Command  # token, slot, time limit, environment and directory of the job; `cmd` is empty
    runner: Runner
    notebook: Notebook
    clock: Clock
    stop: Stop
    data_dir: Path  # where files for people go
    pause: "Pause"


class Pause(Protocol):
    """Waits, but not past a stop."""

    def __call__(self, seconds: float) -> bool:
        """False when the wait was cut short by a stop."""
        ...


class Action(Protocol):
    """What a job does: a plugin of the entry point group `moie_worker.actions`, made without arguments."""

    def check(self, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Problems of a document's `with`: (path below `with`, message). Called when a plan is validated."""
        ...

    def run(self, context: ActionContext) -> Evidence:
        """Do it. Ends by itself when `context.stop` is set or the time limit is over."""
        ...


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


class Store(Protocol):
    """The truth of one plan. PROTOCOL of the heart: every method is one atomic step; times are Redis' own."""

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

    def gap(self) -> None:
        """Redis was away: what was running then is not charged, and nobody is rescued for one renewal."""
        ...

    def apply(self) -> int | None:
        """Bring the next jobs to a loaded revision; returns how many are left, None when nothing loads."""
        ...

    def beat(self, report: str, who: str) -> None:
        """Record a heartbeat; waiting jobs that were looked at before it may be looked at again."""
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

    def cyclic(self) -> list[str]:
        """Ids of the cyclic jobs."""
        ...

    def read_journal(self, limit: int) -> list[JournalEntry]:
        """The newest entries, oldest first."""
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

    def ring(self) -> None:
        """Wake a beat."""
        ...

    def listen(self, patience: timedelta) -> bool:
        """Wait for a ring; False when none came."""
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
