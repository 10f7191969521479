"""What the kernel lets this process do, and what its threads give up before they start commands."""

import ctypes
import os
import threading
from enum import IntEnum

from moie_worker.adapters.guard import read

_SET_NO_NEW_PRIVS, _GET_NO_NEW_PRIVS = 38, 39  # <linux/prctl.h>


class Capability(IntEnum):
    """The rights of root that something here asks for, by their numbers in <linux/capability.h>."""

    KILL = 5
    SETGID = 6
    SETUID = 7
    SYS_ADMIN = 21


class _Thread(threading.local):
    gave_up = False


_this = _Thread()
_libc = ctypes.CDLL(None)


def give_up_new_privileges() -> None:
    """Nothing that this thread starts from now on gains rights by what it executes: `sudo` and its kin do not work.

    It cannot be taken back. Other threads keep what they have, and so do the tasks of others in this process; asking
    again costs a tenth of a microsecond.
    """
    if not _this.gave_up:
        if hasattr(_libc, "prctl"):
            _libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _this.gave_up = True


def can_give_up_new_privileges() -> bool:
    """Whether the kernel knows of it: Linux since 3.5."""
    return hasattr(_libc, "prctl") and _libc.prctl(_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0


def capable(*wanted: Capability) -> bool:
    """Whether this thread has all of these rights; outside Linux root has them."""
    for line in read("/proc/thread-self/status").splitlines():
        if line.startswith(b"CapEff:"):
            effective = int(line.split()[1], 16)
            return all(effective >> number & 1 for number in wanted)
    return os.geteuid() == 0
