"""The parts of `moie up`: what each one is, and what is known of it while it runs."""

import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from moie_worker.adapters.embedded import LOAD_S, STOP_S, EmbeddedRedis
from moie_worker.adapters.processes import Launch, spawn
from moie_worker.adapters.restarts import Deaths

LAST_LINES = 20
LONGEST_LINE = 8192
CHUNK = 65536
CHUNKS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Part:
    """One program to keep running. Ready at once when neither `ready` nor `ready_line` says otherwise."""

    name: str
    launch: Launch
    needs: Sequence[str] = ()  # parts that are ready before this one starts, and end after it
    ready: Callable[[int], bool] | None = None  # asked with the pid, again and again; must answer within a second
    ready_line: str = ""  # a text in a line of its output
    ready_timeout: timedelta = timedelta(seconds=60)
    stop_signal: signal.Signals = signal.SIGTERM  # to the leader alone: a pool is ended by its parent
    stop_timeout: timedelta = timedelta(seconds=10)  # then the group is killed
    ended: Callable[[], None] = lambda: None  # after its last end


def redis_part(redis: EmbeddedRedis) -> Part:
    """The embedded Redis as a part; the others need "redis"."""
    return Part(
        name="redis",
        launch=redis.launch,
        ready=redis.answers,
        ready_timeout=timedelta(seconds=LOAD_S),
        stop_timeout=timedelta(seconds=STOP_S),
        ended=redis.forget,
    )


class State(StrEnum):
    """Where a part is in its life."""

    WAITING = "waiting"  # for what it needs, or for the end of a delay
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(slots=True)
class Child:
    """A part and its process. Times are monotonic seconds."""

    part: Part
    state: State = State.WAITING
    process: "subprocess.Popen[bytes] | None" = None
    deaths: Deaths = field(default_factory=Deaths)
    started: float = 0.0
    until: float = 0.0  # WAITING: not before; STARTING: ready by then; STOPPING: killed then
    output: int = -1  # descriptor
    closed: bool = True  # nothing more will come from it
    line_seen: bool = False
    last: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    partial: bytes = b""

    def start(self, now: float) -> int:
        """Start the process, with an output that never blocks us; returns its pid. Raises OSError."""
        self.process = spawn(self.part.launch, subprocess.PIPE)
        assert self.process.stdout is not None  # noqa: S101
        self.output = self.process.stdout.fileno()
        os.set_blocking(self.output, False)
        self.state, self.started = State.STARTING, now
        self.until = now + self.part.ready_timeout.total_seconds()
        self.line_seen, self.closed, self.partial = not self.part.ready_line, False, b""
        return self.process.pid

    def close(self) -> None:
        """After the end of the process: nothing of it is left."""
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.process, self.closed, self.state = None, True, State.WAITING

    def is_ready(self) -> bool:
        """Asks the part."""
        if self.process is None or not self.line_seen:
            return False
        return self.part.ready is None or self.part.ready(self.process.pid)

    def read(self) -> Iterator[str]:
        """Lines that came since, at most about 1 MiB of them; sets `closed` at the end of the output."""
        for _ in range(CHUNKS_AT_ONCE):
            try:
                chunk = os.read(self.output, CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                self.closed = True
                return
            *lines, self.partial = (self.partial + chunk).split(b"\n")
            for line in lines:
                yield from self._lines(line)
            if len(self.partial) > LONGEST_LINE:
                yield from self.rest()

    def rest(self) -> Iterator[str]:
        """What came after the last end of a line."""
        line, self.partial = self.partial, b""
        if line:
            yield from self._lines(line)

    def _lines(self, raw: bytes) -> Iterator[str]:
        for begin in range(0, max(len(raw), 1), LONGEST_LINE):
            line = _clean(raw[begin : begin + LONGEST_LINE])
            self.line_seen = self.line_seen or self.part.ready_line in line
            self.last.append(line)
            yield line


def _clean(raw: bytes) -> str:
    """Text that cannot move the cursor of whoever reads the log."""
    text = raw.decode(errors="replace").rstrip("\r")
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in text)
