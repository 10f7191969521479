"""The wire between a process and its Redis, as a thing that can be cut: both ways, or one way only.

What is sent over a cut wire waits, as in the buffers of TCP, and arrives late when the wire heals: also what somebody
sent who has long given up waiting for the answer. Nobody hears that it is cut.
"""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path


class Way(StrEnum):
    """What does not come through."""

    BOTH = "both ways"
    THERE = "what the process says"
    BACK = "what Redis answers"


class Wire:
    """Stands between processes and the socket of a Redis, on a socket of its own."""

    def __init__(self, at: Path, server: Path) -> None:
        self.at, self._server = at, server
        self._open = {way: threading.Event() for way in (Way.THERE, Way.BACK)}
        for gate in self._open.values():
            gate.set()
        self._ends: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(at))
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def cut(self, way: Way = Way.BOTH) -> Iterator[None]:
        """Nothing comes through that way."""
        gates = [gate for each, gate in self._open.items() if way in (Way.BOTH, each)]
        for gate in gates:
            gate.clear()
        try:
            yield
        finally:
            for gate in gates:
                gate.set()

    def close(self) -> None:
        """Take it away, with everything that goes through it."""
        for gate in self._open.values():
            gate.set()
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                self._ends = [end for end in self._ends if end.fileno() != -1] + [near, far]
                try:
                    far.connect(str(self._server))
                except OSError:  # Redis is away: so is the wire
                    near.close()
                    far.close()
                    continue
                for way, source, target in ((Way.THERE, near, far), (Way.BACK, far, near)):
                    threading.Thread(target=self._carry, args=(way, source, target), daemon=True).start()

    def _carry(self, way: Way, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while said := source.recv(65536):
                self._open[way].wait()
                target.sendall(said)
            self._open[way].wait()
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            if way is Way.THERE:
                end.close()
