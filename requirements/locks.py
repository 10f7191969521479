"""Reads the locks: what is pinned, with which hashes, and where only."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

LOCKS = Path(__file__).resolve().parent
NAMES = ("run.txt", "embedded.txt", "dev.txt")
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)(?:\s*;\s*([^\\]+?))?\s*\\?$")
HASH = re.compile(r"^\s+--hash=sha256:([0-9a-f]{64})\s*\\?$")


@dataclass(frozen=True)
class Pin:
    """One package at one version; any of the digests is that of a file which may be installed."""

    name: str
    version: str
    marker: str
    digests: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Its package URL."""
        return f"pkg:pypi/{self.name}@{self.version}"


def normal(name: str) -> str:
    """The one spelling of a package's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read(path: Path) -> list[Pin]:
    """What a lock holds. Raises ValueError for a line that is no part of one."""
    found: list[Pin] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if pin := PIN.match(line):
            found.append(Pin(normal(pin[1]), pin[2], pin[3] or "", ()))
        elif (digest := HASH.match(line)) and found:
            last = found.pop()
            found.append(Pin(last.name, last.version, last.marker, (*last.digests, digest[1])))
        elif line.strip() and not line.lstrip().startswith("#"):
            raise ValueError(f"{path}:{number}: no pinned package and no hash: {line.strip()}")
    return found


def everything(paths: Iterable[Path]) -> list[Pin]:
    """What any of the locks holds, each once, in order of names."""
    found = {(pin.name, pin.version): pin for path in paths for pin in read(path)}
    return [pin for _, pin in sorted(found.items())]
