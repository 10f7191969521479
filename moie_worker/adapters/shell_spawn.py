"""Starts a command: its own session and group, nothing on standard input, one pipe for all it prints."""

import contextlib
import errno
import fcntl
import os
import resource
import signal
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from moie_worker.ports import Command

_SHELL = "/bin/sh"
_INHERITED = frozenset({"PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL"})
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
# A worker ignores some signals, and an ignored signal stays ignored across exec.
ALL_SIGNALS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
# posix_spawn cannot change the directory; a shell that replaces itself can. 126 is read as "could not run".
_NOTHING_TO_READ = (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
_ENTER_THEN_SHELL = 'cd -- "$0" || exit 126; exec /bin/sh -c -- "$1"'
_ENTER_THEN_EXEC = 'cd -- "$0" || exit 126; exec "$@"'


class CannotStartError(Exception):
    """The command could not be started; the message is one line for people."""


class NotAllowedError(Exception):
    """The settings of this worker do not let it run the command; the message is one line for people."""


@dataclass(frozen=True, slots=True)
class Start:
    """All that is needed to start a command."""

    path: str
    argv: Sequence[str]
    env: Mapping[str, str]
    input: bytes = b""  # what it reads; no command reads anything, but what becomes one does


@dataclass(frozen=True, slots=True)
class Child:
    """A running command. Its process id is its group and its session, too."""

    pid: int
    pipe: int  # what it prints, non-blocking
    pidfd: int  # readable when it ended; -1 where the platform has no such thing
    began: float  # monotonic seconds

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the whole group. Safe while the child is not reaped: until then the number belongs to it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # all gone, or all of another user
            os.killpg(self.pid, number)

    def collect(self) -> tuple[int | None, resource.struct_rusage | None]:
        """Its status and figures, once it has ended; None where another part of this process took them."""
        try:
            _, status, usage = os.wait4(self.pid, 0)
        except ChildProcessError:
            return None, None
        return status, usage

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self.pipe)
        if self.pidfd >= 0:
            os.close(self.pidfd)


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What every command may know of the worker's environment: where and who it is, no secrets."""
    base = {name: value for name, value in environ.items() if name in _INHERITED or name.startswith("LC_")}
    base.setdefault("PATH", _DEFAULT_PATH)
    return base


def environment(command: Command, base: Mapping[str, str], environ: Mapping[str, str], token: str) -> dict[str, str]:
    """The environment of a command. Variables of `environ` reach it only by name."""
    env = dict(base)
    env.update((name, environ[name]) for name in command.pass_env if name in environ)
    env.update(command.env)
    env["MOIE_TOKEN"] = token
    env["MOIE_SLOT"] = command.slot
    return env


def is_empty(command: Command) -> bool:
    """Whether there is nothing to start."""
    return not command.cmd or (isinstance(command.cmd, str) and not command.cmd.strip())


def prepare(command: Command, env: Mapping[str, str]) -> Start:
    """What to start, or CannotStartError."""
    if command.cwd is not None:
        return Start(_SHELL, _enter(_directory(command.cwd), command.cmd), env)
    if isinstance(command.cmd, str):
        return Start(_SHELL, ["sh", "-c", "--", command.cmd], env)
    return Start(found_program(command.cmd[0], env["PATH"]), command.cmd, env)


def _enter(directory: str, cmd: str | Sequence[str]) -> list[str]:
    if isinstance(cmd, str):
        return ["sh", "-c", _ENTER_THEN_SHELL, directory, cmd]
    return ["sh", "-c", _ENTER_THEN_EXEC, directory, *cmd]


def _directory(cwd: str) -> str:
    try:
        mode = os.stat(cwd).st_mode  # noqa: PTH116 -- an empty path is no directory, where pathlib takes it for "."
    except (OSError, ValueError) as error:
        raise CannotStartError(f"cannot enter the directory {_shown(cwd)}: {_reason(error)}") from error
    if not stat.S_ISDIR(mode):
        raise CannotStartError(f"cannot enter the directory {_shown(cwd)}: it is not a directory")
    return os.path.abspath(cwd)  # noqa: PTH100 -- absolute, so that neither CDPATH nor "cd -" can lead elsewhere


def found_program(name: str, path: str) -> str:
    """The file that a name means, as a shell would find it."""
    there = None
    for candidate in [name] if "/" in name else _candidates(name, path):
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):  # noqa: PTH113 -- False for a NUL byte
            return candidate
        if os.path.exists(candidate):  # noqa: PTH110
            there = candidate
    if there is not None:
        raise CannotStartError(f"not executable: {_shown(there)}")
    raise CannotStartError(f"no such file: {_shown(name)}")


def _candidates(name: str, path: str) -> Iterator[str]:
    return (f"{directory or '.'}/{name}" for directory in path.split(":")) if name else iter(())


def inheritable() -> list[int]:
    """The descriptors of this process that a program started here would get, but for the three standard ones."""
    opened = (int(name) for name in os.listdir("/dev/fd"))  # noqa: PTH208
    return [descriptor for descriptor in opened if descriptor > 2 and _is_inheritable(descriptor)]


def _is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False  # closed in the meantime


# What to start, what it reads or -1, where it prints; the process id and the descriptor that tells its end.
Launch = Callable[[Start, int, int], tuple[int, int]]


def spawn(start: Start, unwanted: Sequence[int]) -> Child:
    """Start it without the `unwanted` descriptors, or CannotStartError. Costs about what posix_spawn costs."""

    def launch(start: Start, source: int, output: int) -> tuple[int, int]:
        pid = os.posix_spawn(
            start.path,
            list(start.argv),
            start.env,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, source, 0) if source >= 0 else _NOTHING_TO_READ,
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
                *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in unwanted if _is_inheritable(descriptor)),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=ALL_SIGNALS,
        )
        return pid, _pidfd(pid)

    return Child(*opened(start, launch))


def opened(start: Start, launch: Launch) -> tuple[int, int, int, float]:
    """Start it with a pipe for what it prints; what a Child is made of, or CannotStartError."""
    try:
        read, write = _pipe()
    except OSError as error:
        raise CannotStartError(f"cannot make a pipe: {_reason(error)}") from error
    source, pid = -1, 0
    try:
        source = readable(start.input) if start.input else -1
        began = time.monotonic()
        pid, pidfd = launch(start, source, write)
    except (OSError, ValueError, TypeError) as error:
        raise CannotStartError(f"cannot start {_shown(start.path)}: {_reason(error)}") from error
    finally:
        os.close(write)
        if source >= 0:
            os.close(source)
        if not pid:
            os.close(read)
    return pid, read, pidfd, began


def readable(content: bytes) -> int:
    """A descriptor that reads it; it is on no disk."""
    descriptor = os.memfd_create("moie-command")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _pipe() -> tuple[int, int]:
    """Both ends close on exec; neither is in the way of the child's standard descriptors."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    if write > 2:
        return read, write
    moved = fcntl.fcntl(write, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(write)
    return read, moved


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1  # not Linux, or a sandbox that does not know the call


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        if error.errno == errno.E2BIG:
            return "its arguments and environment are too long; put the text into a file"
        if error.errno == errno.ENOEXEC:
            return "not a program, and without a #! line"
        return os.strerror(error.errno or 0).lower()
    return str(error)


def _shown(text: str) -> str:
    """A name fit for one line of a message."""
    short = text if len(text) <= 200 else text[:200] + "…"
    return short if short.isprintable() and short else ascii(short)
