"""A request to end a running command early."""

import os
import select
import sys
import threading
from types import TracebackType
from typing import Self

from moie_worker.ports import Stop

_ONE = (1).to_bytes(8, sys.byteorder)  # what an eventfd takes, and a pipe as well


class StopFlag:
    """May be set from any thread; whoever waits polls its descriptor. Close it, or use it as a context manager."""

    def __init__(self) -> None:
        self._read, self._write = _wire()
        self._lock = threading.Lock()
        self._reason: str | None = None

    @property
    def reason(self) -> str | None:
        """Why, or None while nobody asked."""
        return self._reason

    def set(self, reason: str) -> None:
        """Ask. The first reason is kept; harmless after `close`."""
        with self._lock:
            if self._reason is None:
                self._reason = reason
                if self._write >= 0:
                    os.write(self._write, _ONE)

    def fileno(self) -> int:
        """Readable once `set` was called; -1 after `close`."""
        return self._read

    @staticmethod
    def wait_for(stop: Stop, seconds: float) -> bool:
        """Wait for a stop; False when it did not come in time."""
        if stop.reason is None and seconds > 0:
            poll = select.poll()
            poll.register(stop.fileno(), select.POLLIN)
            poll.poll(seconds * 1000)
        return stop.reason is not None

    def close(self) -> None:
        """Give the descriptors back. May be repeated; must not be called while a command still polls them."""
        with self._lock:
            ends = {self._read, self._write}
            self._read = self._write = -1
        for end in ends:
            if end >= 0:
                os.close(end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _wire() -> tuple[int, int]:
    """Two ends; one descriptor does for both where the kernel has such a thing."""
    if sys.platform != "linux":
        return os.pipe()
    event = os.eventfd(0)
    return event, event
