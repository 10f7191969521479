"""Snapshots as files: never half written, readable by their owner only, by names that we make."""

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moie_worker.adapters.files import write_private
from moie_worker.errors import InputError, MoieError
from moie_worker.plan.limits import SNAPSHOTS
from moie_worker.plan.snapshot import LARGEST, NAME, Manifest, leaving, read_manifest

SUFFIX = ".moie"
HEAD = 4096  # bytes in which the first lines of a file end


class SnapshotFolder:
    """The snapshots of one plan in a directory of its own."""

    def __init__(self, root: Path, plan: str) -> None:
        self._root = root
        self._plan = plan
        self._path = root / plan

    @property
    def where(self) -> str:
        """In words of people."""
        return str(self._path)

    def put(self, manifest: Manifest, data: bytes) -> None:
        """Keep a snapshot as a whole, and remove what is too many. Raises MoieError; what was there stays."""
        with self._explained("cannot keep a snapshot"):
            for directory in (self._root, self._path):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._path / f"{manifest.name}{SUFFIX}", data)
            others = [name for name in self._names() if name.endswith(f"-{manifest.kind}") and name != manifest.name]
            for name in leaving(others, manifest)[: max(0, len(others) + 1 - SNAPSHOTS)]:
                (self._path / f"{name}{SUFFIX}").unlink(missing_ok=True)

    def index(self) -> list[Manifest]:
        """What is kept, the oldest first; what cannot be read is left out."""
        found: list[Manifest] = []
        for name in self._names():
            with contextlib.suppress(InputError, OSError):
                found.append(read_manifest(self._read(name, HEAD), name))
        return found

    def get(self, name: str) -> bytes | None:
        """The file of a snapshot; None when it is not here. Raises MoieError when it cannot be read."""
        if not NAME.fullmatch(name):
            return None
        with self._explained("cannot read a snapshot"):
            try:
                return self._read(name, LARGEST)
            except FileNotFoundError:
                return None

    def _names(self) -> list[str]:
        """In order of time."""
        try:
            files = [path.name for path in self._path.iterdir()]
        except OSError:
            return []
        return sorted(name for file in files if NAME.fullmatch(name := file.removesuffix(SUFFIX)) and name != file)

    def _read(self, name: str, most: int) -> bytes:
        """No link is followed and nothing but a plain file is read."""
        descriptor = os.open(self._path / f"{name}{SUFFIX}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InputError(f"{self._path / name}{SUFFIX}: is no file")
            return file.read(most)

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = error.filename or self._path
            advice = "Make room, or let the user of the worker write there"
            raise MoieError(f"{what}: {where}: {error.strerror}. {advice}") from None


def plans_in(root: Path) -> list[str]:
    """Names of plans that snapshots are kept of."""
    try:
        return sorted(path.name for path in root.iterdir() if any(path.glob(f"*{SUFFIX}")))
    except OSError:
        return []
