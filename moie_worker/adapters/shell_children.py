"""The commands of this process and their leases: who runs, what the guard knows, what was left behind."""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from moie_worker.adapters.guard import token_of
from moie_worker.adapters.shell_guard import Guard
from moie_worker.adapters.shell_space import Space
from moie_worker.adapters.shell_spaces import Spaces
from moie_worker.adapters.shell_spawn import CannotStartError, Child, Start, inheritable, spawn
from moie_worker.adapters.shell_strays import become_foster_parent, end, strays

_SWEEP_S = 0.1  # between sweeps that nobody waits for
_PATIENCE_S = 1.0  # how long a sweep goes on killing what starts again
_FORGOTTEN_S = 3600.0  # after the end of its lease an attempt that nobody forgot is dropped
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Lease:
    """The lease of one attempt."""

    end: float  # monotonic seconds
    since: int  # when it was first heard of, in ticks after boot


class Children:
    """The children of one process. Whoever else runs commands in it must do so through the same object."""

    def __init__(self) -> None:
        self._own = token_of(os.getpid())  # a worker may itself be run by a worker: all it starts has that token
        self._lock = threading.Lock()
        self._guard = Guard()
        self._running: dict[int, tuple[str, int]] = {}  # process id -> token, start in ticks after boot
        self._leases: dict[str, Lease] = {}
        self._next_sweep = 0.0
        self.spaces = Spaces()
        self._unwanted = inheritable()
        self.others = become_foster_parent()

    @property
    def guard_pid(self) -> int:
        """The process id of the guard; 0 while there is none."""
        return self._guard.pid

    def start(self, start: Start, token: str, *, apart: bool = False) -> Child:
        """Start a command of an attempt, or CannotStartError; `apart` in a PID namespace."""
        with self._lock:  # a sweep must not see a child that is not written down
            space = self._space(token) if apart else None  # may take long
            ticks = _ticks()
            child = spawn(start, self._unwanted) if space is None else self._spawn_in(space, start)
            self._running[child.pid] = (token, ticks)
            if token in self._leases:
                self._guard.tell(self._lines_of(child.pid), self._everything)
        return child

    def _space(self, token: str) -> Space:
        try:
            return self.spaces.take(token)
        except OSError as error:
            raise CannotStartError(f"its PID namespace is missing: {error.strerror}") from error

    def _spawn_in(self, space: Space, start: Start) -> Child:
        try:
            child = space.spawn(start, self._unwanted)
        except CannotStartError:
            self.spaces.drop(space)
            raise
        self.spaces.use(space, child.pid)
        return child

    def ended(self, child: Child, token: str) -> None:
        """A command is over and collected. What it left behind ends with its attempt; now, if it has no lease."""
        with self._lock:
            del self._running[child.pid]
            leased = token in self._leases
            space = self.spaces.give_back(child.pid, token)
            if leased:  # until then the numbers are of processes that are not there, or work for another attempt
                self._guard.add(f"end {child.pid}\n" + (f"end {space.init}\n" if space else ""))
            left = [] if leased else self.spaces.leave([token])
        self._end_spaces(left)
        if leased:
            self.sweep_sometimes()
        else:
            self.sweep()

    def renew(self, tokens: Sequence[str], lease: timedelta, sent_at: float) -> None:
        """Note leases and tell the guard. ValueError for a token that its lines cannot carry."""
        for token in tokens:
            if not token or token.split() != [token]:
                raise ValueError(f"not a token: {token!r}: it must be one word without blanks")
        until = sent_at + lease.total_seconds()
        with self._lock:
            ticks = _ticks()
            for token in tokens:
                known = self._leases.get(token, Lease(until, ticks))
                self._leases[token] = Lease(max(until, known.end), known.since)
            self._unwanted = inheritable()  # a library may have opened one since
            if tokens:
                self._guard.tell(_lease_line(until, tokens), self._everything)
        self.sweep_sometimes()

    def forget(self, tokens: Sequence[str]) -> None:
        """Attempts are over: end what they left behind."""
        old = time.monotonic() - _FORGOTTEN_S
        with self._lock:
            known = [token for token in tokens if self._leases.pop(token, None) is not None]
            lapsed = [token for token, lease in self._leases.items() if lease.end < old]
            for token in lapsed:
                del self._leases[token]
            left = self.spaces.leave([*known, *lapsed])
            if known or lapsed:
                ends = "".join(f"end {space.init}\n" for space in left)
                self._guard.tell(f"forget {' '.join(known + lapsed)}\n{ends}", self._everything)
        self._end_spaces(left)
        self.sweep()

    def lapsed(self, token: str) -> bool:
        """Whether the lease of an attempt is over. One without a lease never is."""
        lease = self._leases.get(token)
        return lease is not None and lease.end <= time.monotonic()

    def sweep_sometimes(self) -> None:
        """One look for strays, unless there was one a moment ago."""
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + _SWEEP_S
            self._end_strays()

    def sweep(self) -> None:
        """End everything that commands left behind, and what that leaves behind.

        Clean twice, because the kernel may leave a child out of its list while another one ends.
        """
        until = time.monotonic() + _PATIENCE_S
        clean = 0
        while clean < 2 and time.monotonic() < until:
            if self._end_strays():
                clean = 0
                time.sleep(0.001)
            else:
                clean += 1

    def close(self) -> None:
        """Forget every attempt, and end the guard."""
        with self._lock:
            self._leases.clear()
            self._guard.close()
            left = self.spaces.leave_all()
        self._end_spaces(left)
        self.sweep()

    def abandon(self) -> None:
        """This process is a fork: the children and the guard are its parent's."""
        self._guard.abandon()
        self.spaces.abandon()

    def knows(self, pid: int) -> bool:
        """Whether somebody waits for this child."""
        return pid in self._running or pid == self._guard.pid or self.spaces.holds(pid)

    def runs(self, session: int) -> bool:
        """Whether a command runs in this session."""
        return session in self._running

    def is_live(self, token: str) -> bool:
        """Whether this attempt is not over."""
        lease = self._leases.get(token)
        return (
            (lease is not None and lease.end > time.monotonic())
            or token == self._own
            or any(token == running for running, _ in self._running.values())
        )

    def oldest(self) -> int:
        """When the oldest live attempt began, in ticks after boot; later than now, if there is none."""
        now = time.monotonic()
        leased = [lease.since for lease in self._leases.values() if lease.end > now]
        return min([*leased, *(ticks for _, ticks in self._running.values())], default=_ticks() + 1)

    def _end_strays(self) -> bool:
        """Kill and collect; False when there was nothing."""
        with self._lock:
            found = strays(self)
            for pid in found:
                end(pid)
        return bool(found)

    def _everything(self) -> str:
        """What a new guard must know."""
        leases = "".join(_lease_line(lease.end, [token]) for token, lease in self._leases.items())
        running = "".join(self._lines_of(pid) for pid, (token, _) in self._running.items() if token in self._leases)
        kept = "".join(_start_line(space.init, token, space.ticks) for token, space in self.spaces.held())
        return leases + running + kept

    def _lines_of(self, pid: int) -> str:
        """What the guard is told of a running command, and of the namespace that must end with it."""
        token, ticks = self._running[pid]
        space = self.spaces.used_by(pid)
        apart = _start_line(space.init, token, space.ticks) if space else ""
        return _start_line(pid, token, ticks) + apart

    def _end_spaces(self, spaces: Sequence[Space]) -> None:
        """End them while nobody else is kept waiting."""
        for space in spaces:
            space.end()


def _lease_line(until: float, tokens: Sequence[str]) -> str:
    return f"lease {until!r} {' '.join(tokens)}\n"


def _start_line(pid: int, token: str, ticks: int) -> str:
    return f"start {token} {pid} {ticks}\n"


def _ticks() -> int:
    """Now, as the kernel counts the start of processes."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS) if hasattr(time, "CLOCK_BOOTTIME") else 0


class _Here:
    """The children of this process: children are a fact of a process, so there is one of it, and a fork begins anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: Children | None = None

    def __call__(self) -> Children:
        with self._lock:
            if self._children is None:
                self._children = Children()
            return self._children

    def begin_anew(self) -> None:
        """Called in a fork."""
        if self._children is not None:
            self._children.abandon()
        self._lock = threading.Lock()
        self._children = None


children_here = _Here()
os.register_at_fork(after_in_child=children_here.begin_anew)
