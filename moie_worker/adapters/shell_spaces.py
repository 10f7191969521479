"""PID namespaces that commands run in: what a command leaves behind is ended whole, by the kernel.

A namespace is made once and used by one command after the other. Entering it costs a thread 4 microseconds; one that
is not empty after its command is kept for the attempt, and ended with it.
"""

import ctypes
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from moie_worker.adapters.guard import everyone, look
from moie_worker.adapters.privileges import Capability, capable

_SCRIPT = str(Path(__file__).with_name("shell_space_init.py"))
_NEW_PID = 0x20000000  # <linux/sched.h>
_GOING_MS = 1000  # how long to wait for the end of a namespace that was killed

_libc = ctypes.CDLL(None, use_errno=True)


class Space:
    """One namespace: its first process, and the descriptors by which it is entered, watched and ended."""

    def __init__(self, own: int) -> None:
        read, self._pipe = os.pipe()
        try:
            _checked(_libc.unshare(_NEW_PID), "make a PID namespace")
            try:
                self.init = _start_init(read)
            finally:
                _checked(_libc.setns(own, _NEW_PID), "return from a PID namespace")
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(read)
        self._handle = os.pidfd_open(self.init)
        self._own, self._space = own, os.open(f"/proc/{self.init}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._orphans = _list_of_children(self.init)
        found = look(self.init)
        self.ticks = found.ticks if found is not None else 0

    @property
    def alive(self) -> bool:
        """False once its first process has ended, and all else with it."""
        return not _readable(self._handle, 0)

    @property
    def empty(self) -> bool:
        """Whether nothing is left in it. Looked at twice: the kernel may leave one out of a list while others end."""
        if self._orphans < 0:
            return not any(process.parent == self.init for process in everyone())
        try:
            return not (os.pread(self._orphans, 1, 0) or os.pread(self._orphans, 1, 0))
        except OSError:
            return False  # its first process is gone

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What this thread starts in the meantime is in the namespace; the thread itself is not."""
        _checked(_libc.setns(self._space, _NEW_PID), "enter a PID namespace")
        try:
            yield
        finally:
            _checked(_libc.setns(self._own, _NEW_PID), "return from a PID namespace")

    def end(self) -> None:
        """Kill all that is in it, and wait until it is gone."""
        with suppress(ProcessLookupError, ChildProcessError):  # somebody else here collected it
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            if _readable(self._handle, _GOING_MS):  # else a sweep collects it when it has ended
                os.waitpid(self.init, 0)
        self.close()

    def close(self) -> None:
        """Give the descriptors back. Where another process made the namespace this does not end it."""
        for descriptor in (self._pipe, self._handle, self._space, self._orphans):
            if descriptor >= 0:
                os.close(descriptor)


class Spaces:
    """The namespaces of this process: free, in use by a command, or kept for an attempt. Its owner holds a lock."""

    def __init__(self) -> None:
        self._own = -1
        self._free: list[Space] = []
        self._used: dict[int, Space] = {}  # by the process id of the command
        self._kept: dict[str, list[Space]] = {}  # by token: something of the attempt still runs there

    def take(self, token: str) -> Space:
        """One for a command: that in which the attempt left something, else a free one, else a new one. OSError."""
        for spaces in (self._kept.get(token, []), self._free):
            while spaces:
                space = spaces.pop()
                if space.alive:
                    return space
                space.end()
        if self._own < 0:
            self._own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        return Space(self._own)

    def use(self, space: Space, pid: int) -> None:
        """Note who runs in it."""
        self._used[pid] = space

    def give_back(self, pid: int, token: str) -> Space | None:
        """A command is over: its namespace, when nothing is left in it and it is free again."""
        space = self._used.pop(pid, None)
        if space is None:
            return None
        if space.empty:
            self._free.append(space)
            return space
        self._kept.setdefault(token, []).append(space)
        return None

    def drop(self, space: Space) -> None:
        """Nothing was started in it."""
        self._free.append(space)

    def leave(self, tokens: Sequence[str]) -> list[Space]:
        """Those kept for attempts that are over; the caller ends them."""
        return [space for token in tokens for space in self._kept.pop(token, [])]

    def leave_all(self) -> list[Space]:
        """All of them."""
        found = list(self)
        self._free, self._used, self._kept = [], {}, {}
        return found

    def abandon(self) -> None:
        """This process is a fork: the namespaces are its parent's."""
        for space in self.leave_all():
            space.close()
        if self._own >= 0:
            os.close(self._own)

    def holds(self, pid: int) -> bool:
        """Whether this is the first process of one of them."""
        return any(space.init == pid for space in self)

    def held(self) -> Iterator[tuple[str, Space]]:
        """Those kept for an attempt, with its token."""
        return ((token, space) for token, spaces in self._kept.items() for space in spaces)

    def used_by(self, pid: int) -> Space | None:
        """In which a command runs."""
        return self._used.get(pid)

    def __iter__(self) -> Iterator[Space]:
        yield from self._free
        yield from self._used.values()
        yield from (space for spaces in self._kept.values() for space in spaces)


def why_not() -> str:
    """Why commands cannot run in PID namespaces here; empty when they can."""
    if sys.platform != "linux":
        return "only Linux has them"
    if not capable(Capability.SYS_ADMIN):
        return "the worker needs root or CAP_SYS_ADMIN"
    found: list[str] = []
    trial = threading.Thread(target=_try, args=(found,))  # a thread of its own, should it not come back
    trial.start()
    trial.join()
    return found[0] if found else ""


def _try(found: list[str]) -> None:
    try:
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        found.append(f"the kernel knows none: {error.strerror}")
        return
    try:
        Space(own).end()
    except (OSError, AttributeError) as error:
        found.append(str(getattr(error, "strerror", None) or error))
    finally:
        os.close(own)


def _start_init(read: int) -> int:
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", _SCRIPT],
        {},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, read, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}),
    )


def _list_of_children(pid: int) -> int:
    """A descriptor that reads them; -1 on a kernel built without."""
    try:
        return os.open(f"/proc/{pid}/task/{pid}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _readable(descriptor: int, wait_ms: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(wait_ms))


def _checked(result: int, doing: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot {doing}: {os.strerror(error).lower()}")
