"""Executes a command as another user.

A program of its own, started as `python -I -S shell_become.py` with an empty environment: until the rights are given
up, what the job says about its environment must reach no program. It reads all it needs as JSON from standard input:
`uid`, `gid`, `groups`, `umask`, `cwd` (places to try, the last one must do), `program`, `argv`, `env`. What it cannot
do it says on standard error and ends as a shell would, with 126 or 127.
"""

import errno
import json
import os
import signal
import sys
from typing import Any, NoReturn

_AMBIENT, _CLEAR_ALL = 47, 4  # <linux/prctl.h>
# Python ignores these, and an ignored signal stays ignored across exec.
_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)


def become(uid: int, gid: int, groups: list[int]) -> None:
    """Give up one identity for another, for good."""
    by_capability = os.geteuid() != 0
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if by_capability:  # root's go with its user id; those that a service manager lent would be inherited
        import ctypes

        ctypes.CDLL(None).prctl(_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (gid, gid, gid):
        raise OSError(errno.EPERM, "the kernel kept another identity")


def enter(places: list[str]) -> None:
    """Go to the first of these places that can be entered."""
    *others, last = places
    for place in others:
        try:
            os.chdir(place)
        except OSError:
            continue
        return
    os.chdir(last)


def fail(code: int, doing: str, error: OSError) -> NoReturn:
    """Say what went wrong."""
    sys.stderr.write(f"moie-worker: cannot {doing}: {os.strerror(error.errno or 0).lower()}\n")
    sys.exit(code)


def main(told: dict[str, Any]) -> NoReturn:
    """Become the user, then the command."""
    try:
        become(told["uid"], told["gid"], told["groups"])
    except OSError as error:
        fail(126, f"become the user {told['uid']}", error)
    os.umask(told["umask"])
    try:
        enter(told["cwd"])
    except OSError as error:
        fail(126, f"enter the directory {told['cwd'][-1]} as the user {told['uid']}", error)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)
    program = told["program"]
    try:
        os.execvpe(program, told["argv"], told["env"])  # noqa: S606 -- what it is for
    except OSError as error:
        fail(127 if error.errno == errno.ENOENT else 126, f"execute {program}", error)
    except ValueError:  # a NUL character
        fail(126, "execute the command", OSError(errno.EINVAL, ""))


if __name__ == "__main__":
    found = json.load(sys.stdin.buffer)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    main(found)
