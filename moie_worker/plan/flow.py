"""The values that travel between the store and the heart. Times are milliseconds since the epoch, Redis' own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from moie_worker.plan.definition import Definition, PhaseDefinition
from moie_worker.plan.states import Outcome, Place
from moie_worker.plan.times import Ms

BEFORE_ANY = -1  # the frontier and the high-water mark of a plan that was never loaded
SOVEREIGN = 10**12  # the frontier of a plan in which no phase is open; above every phase id


@dataclass(frozen=True, slots=True)
class Hint:
    """What a message carries: names of jobs that somebody should begin. Losing or doubling it is harmless."""

    id: str
    queue: str
    jobs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reserved:
    """The answer of `reserve`."""

    hints: tuple[Hint, ...]
    more: bool  # there was more to do than one call does
    next_due: Ms | None  # when to look again: the next timed job comes, or what was offered is taken back


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job, under a lease that the holder must renew."""

    token: str
    definition: Definition
    attempts: int  # attempts that count towards the retries, this one included
    losses: int
    first_at: Ms  # when the first attempt of this round began
    slot: Ms  # of a cyclic job: the due time it runs for, 0 when none was set yet
    started_at: Ms
    free_at: Ms  # of a cyclic job: when its last run ended, 0 when none did
    revision: int = 0  # of the plan, when the job last changed


class Stopped(StrEnum):
    """Why an attempt is wanted gone."""

    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    REMOVED = "removed"


class Answer(StrEnum):
    """What became of a settlement."""

    SETTLED = "settled"
    AGAIN = "again"  # the same settlement came twice; the first one counted
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    REMOVED = "removed"
    STALE = "stale"  # the token holds nothing any more; a normal answer, another attempt owns the job


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an attempt ended, and where its job goes."""

    token: str
    job: str
    outcome: Outcome
    place: Place
    due: Ms = 0  # for TIMED: when
    slot: Ms = 0  # of a cyclic job: the slot that is armed next
    run: bool | None = None  # a cyclic run ended well, ended badly, or did not end here
    fresh: bool = False  # attempts and losses are counted anew
    reason: str = ""  # not empty: leave a dead letter that says this
    message: str = ""
    evidence: str = "{}"  # JSON
    measured: str = "{}"  # JSON: what the run log keeps of a run
    receipt: str = ""  # JSON, of a job that is completed: what the worker says of it, signed before it is settled
    duration_ms: int = 0  # 0: nothing was run, so nothing is learnt about how long jobs take


@dataclass(frozen=True, slots=True)
class Flags:
    """What a plan as a whole says of itself."""

    name: str
    revision: int = 0
    paused: bool = False
    cancelled: bool = False
    loading: bool = False
    frontier: int = BEFORE_ANY
    reached: int = BEFORE_ANY
    look_before: Ms = 0
    last_heartbeat: Ms | None = None
    beats: int = 0
    sovereign_at: Ms | None = None


@dataclass(frozen=True, slots=True)
class Vote:
    """What somebody answered to a phase that asks before it starts."""

    who: str
    why: str
    at: Ms


@dataclass(frozen=True, slots=True)
class Approval:
    """The request of a phase that asks before it starts, for the jobs that it had then."""

    digest: str  # of those jobs
    author: str = ""  # who loaded them; empty: not known
    asked: Ms = 0  # when the phase was first awaited, or the request opened anew; 0: not yet
    yes: tuple[Vote, ...] = ()
    no: Vote | None = None
    told: bool = False  # the journal says that it expired


@dataclass(frozen=True, slots=True)
class Breaker:
    """What watches a queue while something in it is wrong. Without one, all is well."""

    recent: tuple[tuple[str, bool], ...] = ()  # the last endings: job, and whether it ended badly
    opened: Ms = 0  # since when the queue takes no work; 0: it does
    pause_ms: int = 0
    retry_at: Ms = 0  # when the next single job is tried
    canary: str = ""  # the hint that carries it
    reason: str = ""  # what the ending that opened it said


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that somebody else wrote over, or damaged."""

    where: str  # the key of the plan that holds it
    what: str  # its field
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that has a size independent of the number of jobs: one read serves status and heartbeat."""

    flags: Flags
    now: Ms
    phases: tuple[PhaseDefinition, ...]  # by id
    open_phases: frozenset[int]
    counts: Mapping[tuple[int, bool, Place], int]  # (phase, cyclic, place) -> jobs
    approvals: Mapping[int, Approval]
    dead_letters: int
    queues: tuple[str, ...]
    breakers: Mapping[str, Breaker]  # by queue
    looks: Mapping[Place, int] = field(default_factory=dict)  # what looks at verified jobs again; in no other count
    regressed: int = 0  # jobs that held and hold no more
    imported: int = 0  # jobs that are completed because a document said so, and that nobody verified here
    unreadable: tuple[Unreadable, ...] = ()  # breakers and requests that are left out

    @property
    def stopped(self) -> dict[str, Breaker]:
        """The queues that a mass failure stopped."""
        return {queue: breaker for queue, breaker in sorted(self.breakers.items()) if breaker.opened}


@dataclass(frozen=True, slots=True)
class JobView:
    """One job with its state."""

    definition: Definition
    place: Place
    revision: int
    attempts: int
    losses: int
    first_at: Ms
    due: Ms  # when it is or was due; 0 when that says nothing
    slot: Ms
    token: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Regression:
    """A job that was verified, and whose check says no now."""

    definition: Definition
    since: Ms
    evidence: Mapping[str, Any]  # of the look that found it; `before` is that of the last time it held


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of what happened: who did it, why, and the figures."""

    id: str
    at: Ms
    event: str
    job: str
    who: str
    why: str
    data: Mapping[str, Any]
