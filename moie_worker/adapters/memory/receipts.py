"""The receipts of a plan in memory."""

from collections.abc import Sequence

from moie_worker.adapters.memory.core import Core
from moie_worker.ports import Drop, Waiting


class Receipts(Core):
    """Implements `Receipts`."""

    def last_seal(self) -> str:
        """The line of the newest seal; empty before the first one."""
        return self.seal_lines[-1] if self.seal_lines else ""

    def seals(self, start: int, limit: int) -> list[str]:
        """At most so many seals, from a place in their list on, oldest first."""
        return self.seal_lines[start : start + limit]

    def receipts_after(self, after: str, limit: int, until: str = "+") -> list[Waiting]:
        """At most so many receipts behind an id (empty: from the first on) up to another one, oldest first."""
        found = [each for each in self.receipts if _order(each.id) > _order(after)]
        return [each for each in found if until == "+" or _order(each.id) <= _order(until)][:limit]

    def newest_receipts(self, limit: int) -> list[Waiting]:
        """At most so many, newest first."""
        return self.receipts[::-1][:limit]

    def receipts_kept(self) -> int:
        """How many there are, sealed or not."""
        return len(self.receipts)

    def seal(self, expected: str, line: str, foreign: Sequence[str], drop: Drop | None) -> bool:
        """Add a seal, take out what is no receipt, drop what is too old; False when somebody sealed in between."""
        if self.last_seal() != expected:
            return False
        self.receipts = [each for each in self.receipts if each.id not in foreign]
        if drop:
            self.receipts = [each for each in self.receipts if _order(each.id) > _order(drop.up_to)]
            del self.seal_lines[: drop.seals]
        self.seal_lines.append(line)
        return True


def _order(stream_id: str) -> tuple[int, ...]:
    return tuple(map(int, stream_id.split("-"))) if stream_id else (-1,)
