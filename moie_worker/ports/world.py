"""Time, commands and what they leave behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from moie_worker.plan.states import Outcome


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


class ClosingStop(Stop, Protocol):
    """A stop whose descriptors can be given back."""

    def close(self) -> None:
        """Give them back."""
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
    run_as: str | None = None  # the user it runs as; None: that of the worker


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


class Watchdog(Protocol):
    """Ends this process when what it expects does not come, be it that nothing in it can run any more."""

    def expect(self, within: timedelta) -> None:
        """This is called again within so long, or the process ends."""
        ...

    def rest(self) -> None:
        """Nothing is expected any more."""
        ...


class Files(Protocol):
    """The files of this machine, as its commands see them."""

    def modified(self, path: str, cwd: str | None) -> datetime | None:
        """When a file was last written, in UTC by this machine's wall clock; None when it is not there to be seen.

        A relative path is below `cwd`, and below the directory of this process when that is None.
        """
        ...


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
