"""The receipts of a plan: a stream of what was settled, and a list of seals."""

from collections.abc import Sequence
from typing import Any

from moie_worker.adapters.redis.base import Base
from moie_worker.ports import Drop, Waiting


class Receipts(Base):
    """Implements `Receipts`. A settlement adds to the stream; nothing else does."""

    def last_seal(self) -> str:
        """The line of the newest seal; empty before the first one."""
        with self.reaching():
            return str(self.client.lindex(self.key("receipts", "seals"), -1) or "")

    def seals(self, start: int, limit: int) -> list[str]:
        """At most so many seals, from a place in their list on, oldest first."""
        with self.reaching():
            found: list[Any] = list(self.client.lrange(self.key("receipts", "seals"), start, start + limit - 1))
        return [str(line) for line in found]

    def receipts_after(self, after: str, limit: int, until: str = "+") -> list[Waiting]:
        """At most so many receipts behind an id (empty: from the first on) up to another one, oldest first."""
        begin = f"({after}" if after else "-"
        with self.reaching():
            rows: list[Any] = list(self.client.xrange(self.key("receipts"), begin, until, limit) or ())
        return [_waiting(*row) for row in rows]

    def newest_receipts(self, limit: int) -> list[Waiting]:
        """At most so many, newest first."""
        with self.reaching():
            rows: list[Any] = list(self.client.xrevrange(self.key("receipts"), count=limit) or ())
        return [_waiting(*row) for row in rows]

    def receipts_kept(self) -> int:
        """How many there are, sealed or not."""
        with self.reaching():
            return int(self.client.xlen(self.key("receipts")))

    def seal(self, expected: str, line: str, foreign: Sequence[str], drop: Drop | None) -> bool:
        """Add a seal, take out what is no receipt, drop what is too old; False when somebody sealed in between."""
        seals, keep_from = (drop.seals, _behind(drop.up_to)) if drop else (0, "")
        return bool(self.call("seal", [expected, line, seals, keep_from, *foreign]))


def _waiting(stream_id: str, fields: dict[str, str]) -> Waiting:
    """An entry that somebody else wrote has no text of ours, which makes it foreign."""
    return Waiting(stream_id, fields.get("r", ""))


def _behind(stream_id: str) -> str:
    milliseconds, number = stream_id.split("-")
    return f"{milliseconds}-{int(number) + 1}"
