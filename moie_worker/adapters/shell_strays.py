"""Finds the processes that left their command's group: their orphans become children of this process."""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator

from moie_worker.adapters.guard import Process, everyone, look, read, token_of

_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


def become_foster_parent() -> bool:
    """Let orphaned descendants become children of this process, not of init; False where the platform cannot."""
    try:
        return bool(ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def children() -> Iterator[int]:
    """The direct children of this process, ended ones too."""
    try:
        tasks = os.listdir("/proc/self/task")  # noqa: PTH208
        if not os.path.exists("/proc/thread-self/children"):  # noqa: PTH110
            yield from _children_by_parent()
            return
    except OSError:
        return  # no /proc, and no way to be a foster parent either
    for task in tasks:
        yield from map(int, read(f"/proc/self/task/{task}/children").split())


def _children_by_parent() -> Iterator[int]:
    """The same on a kernel built without lists of children: a look at every process."""
    ours = os.getpid()
    return (process.pid for process in everyone() if process.parent == ours)


def end(pid: int) -> bool:
    """Kill and collect a child; False while it still lingers."""
    try:
        os.kill(pid, signal.SIGKILL)
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except (ChildProcessError, ProcessLookupError):
        return True


def is_stray(process: Process, ours: int, sessions: set[int], live: Callable[[str], bool], since: int) -> bool:
    """Whether a child was left behind by a command that is over.

    `ours` is the session of this process: what lives in it was started by somebody else here, unless it carries a
    token. `since` is when the oldest live command began, in ticks: a process without a token that is younger may
    belong to a live one.
    """
    if not process.alive:
        return process.session != ours
    if process.session in sessions:
        return False
    token = token_of(process.pid)
    if token:
        return not live(token)
    return process.session != ours and process.ticks < since


def strays(
    skip: Callable[[int], bool], sessions: set[int], live: Callable[[str], bool], since: Callable[[], int]
) -> list[int]:
    """The children that commands left behind."""
    ours = os.getsid(0)
    found = []
    for pid in children():
        process = None if skip(pid) else look(pid)
        if process is not None and is_stray(process, ours, sessions, live, since()):
            found.append(pid)
    return found
