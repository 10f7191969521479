"""Two network namespaces joined by one cable, which can be cut without anybody being told. Needs root and `ip`.

A cut end keeps its link and its addresses and sends to a hardware address that nobody has: what goes out there is
lost, what the other end says still arrives.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.farm import Server
from tests.wire import Way

NOBODY = "02:00:00:00:00:99"
PORT = 6379  # nobody else is in the namespace


class Cable:
    """Between the namespace of a Redis and that of a worker far from it."""

    def __init__(self) -> None:
        self._names = {"10.77.0.1": f"moie{os.getpid()}r", "10.77.0.2": f"moie{os.getpid()}w"}
        self.redis, self.worker = self._names
        for name in self._names.values():
            _ip("netns", "add", name)
        first, second = self._names.values()
        _ip("link", "add", "cable", "netns", first, "type", "veth", "peer", "name", "cable", "netns", second)
        for address, name in self._names.items():
            _ip("-n", name, "address", "add", f"{address}/30", "dev", "cable")
            _ip("-n", name, "link", "set", "cable", "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def inside(self, address: str) -> Sequence[str]:
        """What to put before a command that is to run at an end."""
        return ["ip", "netns", "exec", self._names[address]]

    @contextmanager
    def cut(self, way: Way) -> Iterator[None]:
        """Nothing comes through that way."""
        ends = [self.worker] * (way is not Way.BACK) + [self.redis] * (way is not Way.THERE)
        other = {self.worker: self.redis, self.redis: self.worker}
        for end in ends:
            _ip("-n", self._names[end], "neighbour", "replace", other[end], "lladdr", NOBODY, "dev", "cable",
                "nud", "permanent")  # fmt: skip
        try:
            yield
        finally:
            for end in ends:
                _ip("-n", self._names[end], "neighbour", "del", other[end], "dev", "cable")

    def close(self) -> None:
        for name in self._names.values():
            _ip("netns", "del", name)


class FarServer(Server):
    """A Redis in its own namespace; near ones reach it by its socket, far ones by the cable."""

    def __init__(self, directory: Path, cable: Cable) -> None:
        self.cable = cable
        super().__init__(directory, before=cable.inside(cable.redis), bind=f"bind {cable.redis}\nport {PORT}\n")

    @property
    def far_url(self) -> str:
        return f"redis://:{self.password}@{self.cable.redis}:{PORT}/0"


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True)
