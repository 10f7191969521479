"""The newest receipts that this machine knew to be sealed: a small file for each plan, beside the other data."""

import json
from pathlib import Path

from moie_worker.adapters.files import write_private
from moie_worker.errors import MoieError


class HeadFolder:
    """One file a plan. Who can run programs as the worker can change it, as its keys; who writes to Redis cannot."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def last(self, plan: str) -> tuple[int, str] | None:
        """What was noted last; None for what is not there or cannot be read."""
        try:
            found = json.loads(self._path(plan).read_bytes())
            return int(found["count"]), str(found["head"])
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def note(self, plan: str, count: int, head: str) -> None:
        """Replace it as a whole. Raises MoieError."""
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._path(plan), json.dumps({"count": count, "head": head}))
        except OSError as error:
            advice = "Make room, or let the user of the worker write there"
            raise MoieError(f"{error.filename or self._root}: {error.strerror}. {advice}") from None

    def _path(self, plan: str) -> Path:
        return self._root / f"{plan}.json"
