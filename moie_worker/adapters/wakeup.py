"""Signals as something to read: a loop that waits for output wakes up for them too."""

import os
import signal
from types import FrameType
from typing import Self

CAUGHT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


class Signals:
    """Catches signals for the length of a block; main thread only."""

    def __enter__(self) -> Self:
        self._read, self._write = os.pipe()
        for descriptor in (self._read, self._write):
            os.set_blocking(descriptor, False)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, _noted) for number in CAUGHT}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        """Becomes readable with the next signal."""
        return self._read

    def take(self) -> list[signal.Signals]:
        """The signals that came since, without those of children."""
        try:
            numbers = os.read(self._read, 4096)
        except BlockingIOError:
            return []
        return [signal.Signals(number) for number in numbers if number != signal.SIGCHLD]


def _noted(number: int, frame: FrameType | None) -> None:
    """The number is in the pipe already."""
