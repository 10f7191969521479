"""Finds the processes that left their command's group: their orphans become children of this process.

Other code may start children here, too. Those are told by a signal that nothing has sent since coprocessors had
stacks: this process ignores it, whatever it starts inherits that, and only commands begin with the default again.
"""

import ctypes
import os
import signal
from collections.abc import Iterator
from typing import Protocol

from moie_worker.adapters.guard import Process, everyone, look, read, token_of

_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
_SIG_IGN = ctypes.c_void_p(1)
_OTHERS_IGNORE = getattr(signal, "SIGSTKFLT", 0)  # Linux, and not on every processor


class Family(Protocol):
    """What is known of the commands of this process."""

    others: frozenset[tuple[int, int]]  # children that were there first, with their start in ticks after boot

    def knows(self, pid: int) -> bool:
        """Whether somebody waits for this child."""
        ...

    def runs(self, session: int) -> bool:
        """Whether a command runs in this session."""
        ...

    def is_live(self, token: str) -> bool:
        """Whether this attempt is not over."""
        ...

    def oldest(self) -> int:
        """When the oldest live attempt began, in ticks after boot."""
        ...


def become_foster_parent() -> frozenset[tuple[int, int]]:
    """Let orphaned descendants become children of this process, not of init. Returns the children it has already,
    with their start in ticks after boot. Where the platform cannot, orphans are not found by this module.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        if _OTHERS_IGNORE:
            libc.signal(_OTHERS_IGNORE, _SIG_IGN)  # not signal.signal, which works in the main thread only
    except (OSError, AttributeError):
        return frozenset()
    return frozenset((it.pid, it.ticks) for it in map(look, children()) if it is not None)


def children() -> Iterator[int]:
    """The direct children of this process, ended ones too."""
    try:
        tasks = os.listdir("/proc/self/task")  # noqa: PTH208
    except OSError:
        return  # no /proc, and no foster parents either
    if not has_lists_of_children():
        yield from _children_by_parent()
        return
    for task in tasks:
        yield from map(int, read(f"/proc/self/task/{task}/children").split())


def has_lists_of_children() -> bool:
    """Whether the kernel was built with them; most are."""
    return os.path.exists("/proc/thread-self/children")  # noqa: PTH110


def _children_by_parent() -> Iterator[int]:
    """The same on a kernel built without lists of children: a look at every process."""
    ours = os.getpid()
    return (process.pid for process in everyone() if process.parent == ours)


def strays(family: Family) -> list[int]:
    """The children that commands left behind."""
    ours = os.getsid(0)
    others = (look(pid) for pid in children() if not family.knows(pid))
    return [it.pid for it in others if it is not None and it.session != ours and _is_stray(it, family)]


def _is_stray(process: Process, family: Family) -> bool:
    """Whether a command that is over left it behind.

    One without a token that is younger than the oldest live attempt may belong to that, and is let be for now.
    """
    if not _OTHERS_IGNORE or process.ignores(_OTHERS_IGNORE) or (process.pid, process.ticks) in family.others:
        return False
    if not process.alive:
        return True
    if family.runs(process.session):
        return False
    token = token_of(process.pid)
    if not token and os.getpid() == 1:
        return False  # init of a container: anybody's orphans come to it
    return not family.is_live(token) if token else process.ticks < family.oldest()


def end(pid: int) -> None:
    """Kill a child, and collect it if that is done at once; else the next look finds it."""
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, os.WNOHANG)
    except (ChildProcessError, ProcessLookupError):
        pass
