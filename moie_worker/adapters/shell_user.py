"""Commands that run as another user: who that is, whether this worker may, and what they are started with."""

import json
import os
import pwd
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from moie_worker.adapters.privileges import Capability, capable
from moie_worker.adapters.shell_spawn import CannotStartError, Start, base_environment
from moie_worker.ports import Command

_SCRIPT = str(Path(__file__).with_name("shell_become.py"))
_UMASK = 0o022  # as a login gives it; the worker's own may be that of a service that others must read
_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int
    groups: list[int]
    home: str
    shell: str


def can_become_others() -> bool:
    """Whether this worker may start commands as other users, and end them."""
    return capable(Capability.SETUID, Capability.SETGID, Capability.KILL)


def account_of(name: str) -> Account:
    """The user of that name, with all its groups. CannotStartError when there is none, or when this worker may not."""
    if not can_become_others():
        raise CannotStartError(
            f"cannot run as {name}: the worker needs root, or CAP_SETUID, CAP_SETGID and CAP_KILL. "
            "Start it with them, or give the job a queue whose workers run as that user"
        )
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise CannotStartError(f"cannot run as {name}: this machine has no such user") from None
    groups = os.getgrouplist(name, found.pw_gid)
    return Account(name, found.pw_uid, found.pw_gid, groups, found.pw_dir, found.pw_shell or _SHELL)


def why_not_as(name: str) -> str:
    """Why no command can run as this user here; empty when it can."""
    try:
        account_of(name)
    except CannotStartError as error:
        return str(error)
    return ""


def environment_of(account: Account, environ: Mapping[str, str]) -> dict[str, str]:
    """What its commands may know of the worker's environment: as others, with the identity of the user."""
    base = base_environment(environ)
    base.pop("TMPDIR", None)  # the worker's own, which the user may not even enter
    return base | {"HOME": account.home, "USER": account.name, "LOGNAME": account.name, "SHELL": account.shell}


def start_as(account: Account, command: Command, env: Mapping[str, str]) -> Start:
    """What to start: a program that becomes the user, then the command. It looks for directory and program as they."""
    argv = ["sh", "-c", "--", command.cmd] if isinstance(command.cmd, str) else list(command.cmd)
    told = {
        "uid": account.uid,
        "gid": account.gid,
        "groups": account.groups,
        "umask": _UMASK,
        "cwd": [command.cwd] if command.cwd is not None else [account.home, "/"],
        "program": _SHELL if isinstance(command.cmd, str) else argv[0],
        "argv": argv,
        "env": dict(env),
    }
    argv = [sys.executable, "-I", "-S", _SCRIPT]
    return Start(sys.executable, argv, {}, json.dumps(told).encode())
