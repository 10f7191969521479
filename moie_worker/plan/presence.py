"""Who is there: workers and beats, as they say of themselves."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from moie_worker.plan.times import Ms


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker that was heard of lately."""

    name: str
    host: str
    pid: int
    queues: tuple[str, ...]
    slots: int  # hints that it works on at once
    started_at: Ms
    process: str = ""  # what tells it from another process of that number; empty: it is of an older release
    still_s: float = 0.0  # for how long its loop, which takes messages, had not turned when it said so
    # Ids of those whose signature lets it execute a job; None: it looks at none, or it is of an older release.
    authors: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Beat:
    """A beat that was heard of lately."""

    name: str
    host: str
    pid: int
    started_at: Ms
    entries: tuple[str, ...] = ()  # names of the ordinary entries that it fires
    heartbeat: timedelta | None = None  # how often it asks for a heartbeat; None: never, or it is of an older release
    process: str = ""  # as of a worker
    broker: str = ""  # the address that it sends to, without its password; empty of an older release


def slots(workers: Iterable[Worker], queue: str) -> int:
    """How many hints of a queue can be worked on at once."""
    return sum(worker.slots for worker in workers if queue in worker.queues)
