"""The PID namespaces that the commands of this process run in, and whether there can be any.

A namespace is made once and used by one command after the other. One that is not empty after its command is kept for
the attempt, and ended with it.
"""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from moie_worker.adapters.privileges import Capability, capable
from moie_worker.adapters.shell_space import EnteredSpace, Space
from moie_worker.adapters.shell_user_space import UserSpace


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Whether commands can run in PID namespaces here, and in what kind."""

    why_not: str = ""  # empty: they can
    told: str = "PID namespaces"


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
        return self._another()

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

    def _another(self) -> Space:
        if not is_ours_to_enter():
            return UserSpace()
        if self._own < 0:
            self._own = _own_namespace()
        return EnteredSpace(self._own)

    def __iter__(self) -> Iterator[Space]:
        yield from self._free
        yield from self._used.values()
        yield from (space for spaces in self._kept.values() for space in spaces)


def try_namespaces(*, for_others: bool = False) -> Namespaces:
    """Find out by making one; `for_others` that commands of other users must run in, too."""
    if sys.platform != "linux":
        return Namespaces("only Linux has them")
    if not is_ours_to_enter():
        return _try_user_space(for_others)
    found: list[Namespaces] = []
    trial = threading.Thread(target=lambda: found.append(_try_entered()))  # its own, should it not come back
    trial.start()
    trial.join()
    return found[0]


def is_ours_to_enter() -> bool:
    """Whether a thread of this process can enter a PID namespace; else one is made inside a user namespace."""
    return capable(Capability.SYS_ADMIN)


def _own_namespace() -> int:
    return os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)


def _try_entered() -> Namespaces:
    try:
        own = _own_namespace()
    except OSError as error:
        return Namespaces(f"the kernel knows none: {error.strerror}")
    try:
        EnteredSpace(own).end()
    except (OSError, AttributeError) as error:
        return Namespaces(str(getattr(error, "strerror", None) or error))
    finally:
        os.close(own)
    return Namespaces()


def _try_user_space(for_others: bool) -> Namespaces:
    if os.geteuid() == 0:
        return Namespaces("root needs CAP_SYS_ADMIN: in a user namespace it could not use what belongs to others")
    if for_others:
        return Namespaces("for commands of the users of MOIE_RUN_AS_USERS the worker needs root or CAP_SYS_ADMIN")
    try:
        space = UserSpace()
        space.end()
    except (OSError, AttributeError) as error:
        why = getattr(error, "strerror", None) or error
        return Namespaces(f"{why}. Without user namespaces the worker needs root or CAP_SYS_ADMIN")
    shown = "a /proc of its own" if space.own_proc else "the /proc of the machine: the kernel gives it no other"
    return Namespaces(told=f"PID namespaces, each inside a user namespace and with {shown}")
