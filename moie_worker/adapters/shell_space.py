"""One PID namespace: what a command leaves behind in it is ended whole, by the kernel.

Where the worker is root or has CAP_SYS_ADMIN, the thread that starts a command enters the namespace for the length of a
`posix_spawn`: 4 microseconds. Others have the namespaces of `shell_user_space`.
"""

import ctypes
import os
import select
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from moie_worker.adapters.guard import everyone, look
from moie_worker.adapters.shell_spawn import ALL_SIGNALS, Child, Start, spawn

_SCRIPT = str(Path(__file__).with_name("shell_space_init.py"))
_NEW_PID = 0x20000000  # <linux/sched.h>
_GOING_MS = 1000  # how long to wait for the end of a namespace that was killed

_libc = ctypes.CDLL(None, use_errno=True)


class Space(ABC):
    """One namespace: its first process, and the descriptors by which it is watched and ended."""

    def __init__(self, init: int, handle: int) -> None:
        self.init, self._handle = init, handle
        self._orphans = _list_of_children(init)
        found = look(init)
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

    @abstractmethod
    def spawn(self, start: Start, unwanted: Sequence[int]) -> Child:
        """Start a command in it without the `unwanted` descriptors, or CannotStartError."""

    def kill(self) -> None:
        """Kill all that is in it, and wait until it is gone."""
        with suppress(ProcessLookupError, ChildProcessError):  # somebody else here collected it
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            if _readable(self._handle, _GOING_MS):  # else a sweep collects it when it has ended
                os.waitpid(self.init, 0)

    def end(self) -> None:
        """Kill all that is in it, and give the descriptors back."""
        self.kill()
        self.close()

    def close(self) -> None:
        """Give the descriptors back. Where another process made the namespace this does not end it."""
        for descriptor in (self._handle, self._orphans):
            if descriptor >= 0:
                os.close(descriptor)


class EnteredSpace(Space):
    """One that the threads of a worker with CAP_SYS_ADMIN enter."""

    def __init__(self, own: int) -> None:
        read, self._pipe = os.pipe()
        try:
            _checked(_libc.unshare(_NEW_PID), "make a PID namespace")
            try:
                init = start_program(_SCRIPT, read)
            finally:
                _checked(_libc.setns(own, _NEW_PID), "return from a PID namespace")
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(read)
        super().__init__(init, os.pidfd_open(init))
        self._own, self._space = own, os.open(f"/proc/{init}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def spawn(self, start: Start, unwanted: Sequence[int]) -> Child:
        """Start a command in it."""
        with self._entered():
            return spawn(start, unwanted)

    def close(self) -> None:
        """Give the descriptors back."""
        super().close()
        os.close(self._pipe)
        os.close(self._space)

    @contextmanager
    def _entered(self) -> Iterator[None]:
        """What this thread starts in the meantime is in the namespace; the thread itself is not."""
        _checked(_libc.setns(self._space, _NEW_PID), "enter a PID namespace")
        try:
            yield
        finally:
            _checked(_libc.setns(self._own, _NEW_PID), "return from a PID namespace")


def start_program(script: str, source: int) -> int:
    """Start a program of ours that reads from this descriptor; the process id. OSError."""
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", script],
        {},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, source, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=ALL_SIGNALS,
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
