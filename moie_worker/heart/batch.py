"""What a worker process holds while it works on a hint."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from queue import SimpleQueue

from moie_worker.heart.attempt import Run, Tools
from moie_worker.heart.policing import Policing
from moie_worker.plan.flow import Hint, Settlement
from moie_worker.ports import Alerts, ClosingStop, Fleet, Store, Verifier, Watchdog

LOST = "its lease was lost"


@dataclass(frozen=True)
class Desk:
    """What a worker process needs to work on hints of one plan."""

    store: Store
    fleet: Fleet
    tools: Tools
    make_stop: Callable[[], ClosingStop]
    threads: int
    lease: timedelta
    renew: timedelta
    patience: timedelta  # how long a running command may go on after the worker was asked to end
    alerts: Alerts
    watchdog: Watchdog
    authors: Verifier | None = None  # None: signatures are not looked at
    policing: Policing | None = None  # None: there are no policies


@dataclass
class Batch:
    """The attempts of one hint."""

    hint: Hint
    begun_at: float
    held_until: float  # monotonic end of the leases
    leave_at: float | None = None  # when the worker's patience ends, once it was asked to end
    runs: dict[str, Run] = field(default_factory=dict)  # all of them, by token
    waiting: deque[Run] = field(default_factory=deque)
    running: dict[str, Run] = field(default_factory=dict)
    results: deque[Settlement] = field(default_factory=deque)
    idle: SimpleQueue[None] = field(default_factory=SimpleQueue)  # one for each thread with nothing left to do
    unsettled: list[Settlement] = field(default_factory=list)
    grave: list[Settlement] = field(default_factory=list)  # somebody has to be told of them
    abandoned: set[str] = field(default_factory=set)  # tokens of what was settled over the head of its thread
    summary: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, number: int = 1) -> None:
        """Note endings, for people."""
        self.summary[what] = self.summary.get(what, 0) + number
