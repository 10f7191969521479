"""What was given up, and what ran: the values that the dead letter box and the run log speak of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class LetterKind(StrEnum):
    """What died."""

    JOB = "job"  # a job of the plan; the store moves it
    TASK = "task"  # a Celery task of a watched application
    MESSAGE = "message"  # bytes in a queue that no worker could take for a task


@dataclass(frozen=True, slots=True)
class Death:
    """What is known when something is given up. `death` names the event: the same one reported twice counts once."""

    id: str  # of the letter; stable, so that what dies again is the same letter
    kind: LetterKind
    name: str  # the job, the task's name, or the queue of a message
    reason: str
    attempts: int
    payload: Mapping[str, Any]  # JSON values: what a replay needs
    evidence: Mapping[str, Any] = field(default_factory=dict)  # JSON values: what a person needs
    death: str = ""  # empty: every report counts


@dataclass(frozen=True, slots=True)
class LetterHead:
    """A line of the list of dead letters."""

    id: str
    kind: LetterKind
    name: str
    reason: str
    attempts: int  # over all deaths
    deaths: int
    replays: int
    first_at: datetime
    last_at: datetime
    replayed_at: datetime | None = None  # None: nobody replayed it since it last died
    replayed_as: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter with all that was kept. May hold secrets: `heart.redact.shown` is for people."""

    head: LetterHead
    payload: Mapping[str, Any]
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters; None and False stand for any."""

    kind: LetterKind | None = None
    name: str | None = None
    reason: str | None = None  # a part of the reason, in any case
    since: datetime | None = None  # died last at this time or later
    open_only: bool = False  # not replayed since

    def takes(self, head: LetterHead) -> bool:
        """Whether the letter is meant."""
        return (
            (self.kind is None or head.kind is self.kind)
            and (self.name is None or head.name == self.name)
            and (self.reason is None or self.reason.casefold() in head.reason.casefold())
            and (self.since is None or head.last_at >= self.since)
            and not (self.open_only and head.replayed_at)
        )


@dataclass(frozen=True, slots=True)
class LetterPage:
    """Letters, the last to die first; `cursor` is empty at the end."""

    heads: Sequence[LetterHead]
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to replay a letter, until it lapses."""

    letter: Letter
    mark: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run cost. An empty error means success."""

    duration_s: float
    cpu_s: float = 0.0
    max_rss_bytes: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """A run in the log."""

    ended_at: datetime
    measured: Measured


@dataclass(frozen=True, slots=True)
class RunHistory:
    """The last 100 runs of one name, the newest first, and counters that reach further back."""

    name: str
    runs: int  # ever
    failures: int  # ever
    kept_failures: int
    recent: Sequence[Run]

    @property
    def kept(self) -> int:
        """How many runs the log still holds."""
        return len(self.recent)

    @property
    def last_at(self) -> datetime | None:
        """When the last run ended; None without one."""
        return self.recent[0].ended_at if self.recent else None


@dataclass(frozen=True, slots=True)
class Watched:
    """A name that somebody runs periodically outside of the plan."""

    name: str
    interval: timedelta | None = None  # the longest time between two runs; None where it is not known
    entry: str = ""  # its name in the beat schedule
