"""The worker's side of the guard: starts it, tells it, starts it again when it died."""

import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

_SCRIPT = str(Path(__file__).with_name("guard.py"))
_STUCK_S = 2.0  # a guard that reads nothing for so long is of no use

log = logging.getLogger(__name__)


class Guard:
    """The guard of this process. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self.pid = 0  # 0 while there is none
        self._pipe = -1
        self._later = ""

    def add(self, message: str) -> None:
        """Some lines that go with the next ones which are told; each send costs a system call."""
        self._later += message

    def tell(self, message: str, everything: Callable[[], str]) -> None:
        """Send it some lines; a guard that was not there gets everything there is to know instead."""
        message, self._later = self._later + message, ""
        if self.pid and self._send(message):
            return
        if self.pid:
            log.warning("the guard of this worker ended and is started again", extra={"event": "guard.restarted"})
            self._discard()
        try:
            self._start()
        except OSError as error:
            log.error("cannot start the guard: %s", error, extra={"event": "guard.missing"})
            return
        self._send(everything())

    def close(self) -> None:
        """End it: it kills what it still guards, and nothing of it stays behind."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        if self.pid:
            _collect(self.pid)
            self.pid = 0

    def abandon(self) -> None:
        """Leave it to the process that started it: this one is a fork of that."""
        if self._pipe >= 0:
            os.close(self._pipe)

    def _discard(self) -> None:
        """Be sure that it is dead before its pipe closes: a stuck one would later take that for our death."""
        os.kill(self.pid, signal.SIGKILL)
        self.close()

    def _start(self) -> None:
        read, write = os.pipe()
        try:
            os.set_blocking(write, False)
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", _SCRIPT, str(os.getpid())],
                {},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, read, 0),
                    (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                ],
                setsid=True,
                setsigmask=(),
            )
        except OSError:
            os.close(write)
            raise
        finally:
            os.close(read)
        self._pipe = write

    def _send(self, message: str) -> bool:
        """False when it is gone or does not read."""
        data = message.encode()
        until = time.monotonic() + _STUCK_S
        while data:
            try:
                data = data[os.write(self._pipe, data) :]
            except BlockingIOError:
                left = until - time.monotonic()
                if left <= 0 or not _writable(self._pipe, left):
                    return False
            except OSError:
                return False
        return True


def _writable(pipe: int, wait_s: float) -> bool:
    poll = select.poll()
    poll.register(pipe, select.POLLOUT)
    return bool(poll.poll(wait_s * 1000))


def _collect(pid: int) -> None:
    """Wait for a guard that was told to end; one that does not is killed."""
    until = time.monotonic() + _STUCK_S
    try:
        while os.waitpid(pid, os.WNOHANG)[0] == 0:
            if time.monotonic() >= until:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return
            time.sleep(0.005)
    except ChildProcessError:
        pass  # somebody else collected it
