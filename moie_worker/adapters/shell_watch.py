"""Follows a running command to its end, its time limit or a stop."""

import contextlib
import fcntl
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from moie_worker.adapters.output import Capture
from moie_worker.adapters.shell_spawn import Child
from moie_worker.plan.states import Outcome
from moie_worker.ports import Stop

_CHUNK = 65536  # bytes a read
_PIPE = 1 << 20  # bytes of pipe given to a command that prints much
_UNKILLABLE_S = 5.0  # how long a killed process may stay in the kernel before it is given up
_LOOK_S = 0.02  # between looks where no descriptor tells the end
_SHORT_MS = 10  # a command that ends within it is not looked at in between: what it prints has room in the pipe


@dataclass(frozen=True, slots=True)
class Limits:
    """When a command must end."""

    timeout: timedelta
    grace: timedelta


class Watch:
    """One command being followed. `cause` says why it was ended early, if it was."""

    __slots__ = ("_capture", "_child", "_deadline", "_left", "_limits", "_poll", "_stop", "cause")

    def __init__(self, child: Child, capture: Capture, limits: Limits, stop: Stop | None) -> None:
        self.cause: Outcome | None = None
        self._child = child
        self._capture = capture
        self._limits = limits
        self._stop = stop
        self._deadline = child.began + limits.timeout.total_seconds()
        self._left = self._measures()
        self._poll = select.poll()
        if child.pidfd >= 0:
            self._poll.register(child.pidfd, select.POLLIN)
        if stop is not None and stop.fileno() >= 0:
            self._poll.register(stop, select.POLLIN)

    def follow(self) -> bool:
        """Wait for the end of the main process, taking in what it prints; False when it could not be killed."""
        child = self._child
        if self._ends_at_once():
            return True
        self._poll.register(child.pipe, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in self._poll.poll(self._patience_ms())]
            if self._ended(ready):
                return True
            for descriptor in ready:
                if descriptor == child.pipe:
                    self._take()
                else:
                    self._heed_stop()
            if time.monotonic() >= self._deadline and not self._escalate():
                return False

    def _ends_at_once(self) -> bool:
        """Most checks do. The pipe would wake us a moment before the end, to say that nobody writes any more."""
        if self._child.pidfd < 0:
            return False
        return self._ended([descriptor for descriptor, _ in self._poll.poll(min(_SHORT_MS, self._patience_ms()))])

    def drain(self) -> None:
        """Take what is in the pipe already. A daemon that goes on printing into it is not waited for."""
        left = _PIPE
        while left > 0:
            chunk = _read(self._child.pipe)
            if not chunk:
                return
            self._capture.feed(chunk)
            left -= len(chunk)

    def _patience_ms(self) -> int:
        left = self._deadline - time.monotonic()
        if self._child.pidfd < 0:
            left = min(left, _LOOK_S)
        return int(min(max(left, 0.0), 3600.0) * 1000) + 1  # poll counts in whole milliseconds: never too early

    def _take(self) -> None:
        chunk = _read(self._child.pipe)
        if chunk:
            if len(chunk) == _CHUNK and self._capture.size < _PIPE:
                _widen(self._child.pipe)
            self._capture.feed(chunk)
        elif chunk is not None:
            self._poll.unregister(self._child.pipe)

    def _heed_stop(self) -> None:
        if self._stop is not None and self._stop.reason is not None:
            self._poll.unregister(self._stop)
            self._end(Outcome.CANCELLED)

    def _end(self, cause: Outcome) -> None:
        if self.cause is None:
            self.cause = cause
            self._deadline = time.monotonic()

    def _ended(self, ready: list[int]) -> bool:
        if self._child.pidfd >= 0:
            return self._child.pidfd in ready
        try:
            return os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True  # somebody else collected it

    def _escalate(self) -> bool:
        """Take the next measure; False when none is left."""
        self._end(Outcome.TIMED_OUT)
        measure = next(self._left, None)
        if measure is None:
            return False
        number, wait_s = measure
        self._child.signal_group(number)
        self._deadline = time.monotonic() + wait_s
        return True

    def _measures(self) -> Iterator[tuple[signal.Signals, float]]:
        yield signal.SIGTERM, self._limits.grace.total_seconds()
        yield signal.SIGKILL, _UNKILLABLE_S


def _read(pipe: int) -> bytes | None:
    """The next part; empty at the end, None when there is nothing yet."""
    try:
        return os.read(pipe, _CHUNK)
    except BlockingIOError:
        return None


def _widen(pipe: int) -> None:
    """A wider pipe means fewer switches between writer and reader."""
    with contextlib.suppress(AttributeError, OSError):  # not Linux, or the user's share of pipe memory is used up
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
