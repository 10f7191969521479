"""Becomes another program, after it has tied its life to its parent. A script of its own, run by `processes.spawn`.

Doing this between fork and exec of a big parent is unsafe in Python (`preexec_fn`); a small process that execs is not.
Imports the standard library only: it runs isolated (`-I -S`) and has to be quick.
"""

import ctypes
import fcntl
import os
import sys

PR_SET_PDEATHSIG = 1
EXIT_LOCKED = 75  # EX_TEMPFAIL
EXIT_NOT_FOUND = 127


def main(arguments: list[str]) -> None:
    """Arguments: signal at the death of the parent, pid of the parent, file to lock or "", command."""
    death_signal, parent, lock, *command = arguments
    _die_with(int(parent), int(death_signal))
    if lock:
        _hold(lock)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.exit(_say(f"{command[0]}: {error.strerror}", EXIT_NOT_FOUND))


def _die_with(parent: int, death_signal: int) -> None:
    """Elsewhere than on Linux nothing: what is left behind there is found by the next start."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:  # it died before the call above could see it
        sys.exit(1)


def _hold(path: str) -> None:
    """Lock a file until the program and all that it forks is gone: the descriptor is inherited."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(_say(f"{path} is held by another process", EXIT_LOCKED))
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    os.set_inheritable(descriptor, True)


def _say(message: str, code: int) -> int:
    os.write(2, os.fsencode(message) + b"\n")
    return code


if __name__ == "__main__":
    main(sys.argv[1:])
