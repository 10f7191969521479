"""What an action is, and what it may use."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from moie_worker.ports.world import Clock, Command, Evidence, Runner, Stop

REMEMBERED = 50_000  # keys of a topic: some 10 MB of Redis


@dataclass(frozen=True, slots=True)
class Item:
    """Something found by a scan: `version` orders re-publications of one `key`."""

    key: str
    version: int
    fields: Mapping[str, str]


class Notebook(Protocol):
    """The memory an action may keep between runs, shared by all workers of a plan."""

    def publish_new(self, topic: str, items: Sequence[Item], keep: int, remember: int = REMEMBERED) -> list[Item]:
        """Remember the items and append the new ones to a capped stream, in one atomic step.

        An item is new when its key was never seen or its version is higher. Returns the new ones in order. Of more
        than `remember` keys those are forgotten that were not among the items for the longest time: what is given
        again and again, however old, is never new again, as long as `remember` is twice what is given in a round.
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
