"""PID namespaces for a worker that is not root: inside a user namespace, which the kernel may give to everybody.

A program of ours makes them and starts the commands there; the worker follows, signals and guards them as its own
children. Its price is a millisecond a command.
"""

import errno
import json
import os
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from resource import struct_rusage
from typing import Any

from moie_worker.adapters.guard import read
from moie_worker.adapters.shell_space import Space, start_program
from moie_worker.adapters.shell_space_keeper import received
from moie_worker.adapters.shell_spawn import CannotStartError, Child, Start, opened, readable

_SCRIPT = str(Path(__file__).with_name("shell_space_keeper.py"))
_ANSWER_S = 10.0  # a keeper that says nothing for so long is of no use
_MADE, _MAPPED, _INSIDE = "make a user namespace", "map its user", "make a PID namespace in it"  # steps of the keeper
_APPARMOR = "AppArmor takes the rights in it away, see kernel.apparmor_restrict_unprivileged_userns"
_ADVICE = {
    (_MADE, errno.ENOSPC): "user.max_user_namespaces is 0 or used up",
    (_MADE, errno.EPERM): "kernel.unprivileged_userns_clone is 0, or the seccomp filter of a container forbids it",
    (_MADE, errno.EUSERS): "too many of them are inside each other",
    (_MADE, errno.EINVAL): "the kernel was built without",
    (_MADE, errno.ENOSYS): "the kernel was built without, or the seccomp filter of a container forbids it",
    (_MAPPED, errno.EPERM): _APPARMOR,
    (_MAPPED, errno.EACCES): _APPARMOR,
    (_INSIDE, errno.ENOSPC): "user.max_pid_namespaces is 0 or used up",
    (_INSIDE, errno.EPERM): _APPARMOR,
    (_INSIDE, errno.EACCES): _APPARMOR,
}


class UserSpace(Space):
    """A namespace whose first process starts the commands. It is used by one at a time. OSError says why there is none.

    Its working directory and limits are those that the worker has when it is made.
    """

    def __init__(self) -> None:
        self._keeper, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._keeper.settimeout(_ANSWER_S)
        try:
            with theirs:
                maker = start_program(_SCRIPT, theirs.fileno())
            told, handle = _heard(self._keeper)
            with suppress(ChildProcessError):  # somebody else here collected it
                os.waitpid(maker, 0)  # what it forked is a child of this process from now on
            if "failed" in told:
                raise _refused(told["failed"], told["errno"])
            self.own_proc: bool = told["proc"]  # commands see the processes of the namespace and no others
            super().__init__(_pid(handle), handle)
        except OSError:
            self._keeper.close()
            raise

    def spawn(self, start: Start, unwanted: Sequence[int]) -> Child:  # noqa: ARG002 -- its keeper has closed them
        """Start a command in it."""
        return KeptChild(*opened(start, self._launch), self._keeper)

    def close(self) -> None:
        """Give the descriptors back."""
        super().close()
        self._keeper.close()

    def _launch(self, start: Start, source: int, output: int) -> tuple[int, int]:
        what = json.dumps({"path": start.path, "argv": list(start.argv), "env": dict(start.env)}).encode()
        told = readable(what)
        try:
            answer, handle = _asked(self._keeper, b"start", [told, output, *([source] if source >= 0 else [])])
            pid = _pid(handle) if handle >= 0 else 0
        except OSError as error:
            self.kill()  # whatever it still does
            raise CannotStartError("its PID namespace ended before it began") from error
        finally:
            os.close(told)
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]))
        if "said" in answer:
            raise ValueError(answer["said"])
        return pid, handle


@dataclass(frozen=True, slots=True)
class KeptChild(Child):
    """A command that the first process of its namespace waits for."""

    keeper: socket.socket

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the whole group, unless the namespace has ended and the number may be anybody's."""
        with suppress(ProcessLookupError, PermissionError):
            signal.pidfd_send_signal(self.pidfd, 0)
            os.killpg(self.pid, number)

    def collect(self) -> tuple[int | None, struct_rusage | None]:
        """Its status and figures, once it has ended. With its namespace the kernel killed it."""
        try:
            answer, _ = _asked(self.keeper, b"collect", [])
        except OSError:
            return signal.SIGKILL, None
        return answer["status"], struct_rusage(answer["usage"])


def _asked(keeper: socket.socket, word: bytes, descriptors: Sequence[int]) -> tuple[Mapping[str, Any], int]:
    socket.send_fds(keeper, [word], list(descriptors), socket.MSG_NOSIGNAL)
    return _heard(keeper)


def _heard(keeper: socket.socket) -> tuple[Mapping[str, Any], int]:
    """What it says, and the descriptor that it hands over or -1. OSError when it is gone."""
    answer, descriptors = received(keeper)
    if not answer:
        raise ConnectionResetError(errno.ECONNRESET, "the first process of the namespace ended")
    return json.loads(answer), descriptors[0] if descriptors else -1


def _pid(handle: int) -> int:
    """Whose descriptor it is, by the number that the process has here. OSError, and it is closed, when it is gone."""
    for line in read(f"/proc/self/fdinfo/{handle}").splitlines():
        if line.startswith(b"Pid:") and int(line.split()[1]) > 0:
            return int(line.split()[1])
    os.close(handle)
    raise ProcessLookupError(errno.ESRCH, "the first process of the namespace ended")


def _refused(doing: str, number: int) -> OSError:
    advice = _ADVICE.get((doing, number))
    why = f"cannot {doing}: {os.strerror(number).lower()}" + (f" ({advice})" if advice else "")
    return OSError(number, why)
