"""Which processes of a worker's pool may work on hints: all but one, which is kept for heartbeats.

Beats send a worker about as many hints as it has slots; with several plans, estimates that were too short or messages
that came twice it may be more, and long commands in every process would silence the heartbeat for as long as they run.
"""

import fcntl
import os
import select
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

LOOK_S = 0.05  # between looks when nobody says that a slot is free: a process that dies does not


class Slots:
    """Shared by processes that are forked after it was made. A process that dies gives its slot back."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - a file without a name, for locks alone
        self.number = 0  # no limit
        self._heard, self._bell = os.pipe()
        os.set_blocking(self._heard, False)
        os.set_blocking(self._bell, False)

    @contextmanager
    def take(self, patience_s: float, hopeless: Callable[[], bool]) -> Iterator[bool]:
        """Hold a slot; yields False when none was free for so long, or when waiting became `hopeless`."""
        mine = self._wait(time.monotonic() + patience_s, hopeless) if self.number else -1
        try:
            yield mine is not None
        finally:
            if mine is not None and mine >= 0:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, mine)
                with suppress(BlockingIOError):  # full of rings already
                    os.write(self._bell, b".")

    def _wait(self, until: float, hopeless: Callable[[], bool]) -> int | None:
        while (mine := self._try()) is None:
            if time.monotonic() >= until or hopeless():
                return None
            self._listen(min(LOOK_S, until - time.monotonic()))
        return mine

    def _listen(self, patience_s: float) -> None:
        """Wait until a slot may be free. Rings of the past wake for nothing, once."""
        poll = select.poll()
        poll.register(self._heard, select.POLLIN)
        if poll.poll(max(0.0, patience_s) * 1000):
            with suppress(BlockingIOError):  # somebody else took it
                os.read(self._heard, 4096)

    def _try(self) -> int | None:
        for slot in range(self.number):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
            except OSError:
                continue  # another process of the pool has it
            return slot
        return None
