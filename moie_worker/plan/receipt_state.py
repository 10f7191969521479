"""What can be said of the receipts of a plan at a glance: the newest seal, not every receipt."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from moie_worker.plan.proof import Check
from moie_worker.plan.receipts import SEAL, read_seal, seal_body


@dataclass(frozen=True, slots=True)
class ReceiptState:
    """`problem` is empty when the newest seal is good; a whole chain is verified by `moie receipts verify` only."""

    kept: int  # receipts in Redis
    sealed: int = 0  # number of the newest one that is sealed: all that ever were
    waiting: int = 0  # settled since the newest seal
    sealed_at: str = ""  # ISO 8601 in UTC
    sealed_by: str = ""
    signer: str = ""  # id of the key
    problem: str = ""

    @property
    def trusted(self) -> bool:
        """A key that is trusted on this machine signed the newest seal."""
        return bool(self.signer) and not self.problem

    def fields(self) -> dict[str, Any]:
        """As `--json` says it."""
        named = {name: getattr(self, name) or None for name in ("sealed_at", "sealed_by", "signer", "problem")}
        return {"sealed": self.sealed, "waiting": self.waiting, "kept": self.kept, "trusted": self.trusted} | named

    def words(self) -> Iterator[str]:
        """How many there are, who sealed them and with which key."""
        yield f"{self.sealed} sealed" if self.sealed else "none sealed yet"
        if self.waiting > 0:
            yield f"{self.waiting} wait for a heartbeat"
        if self.signer:
            yield f"{self.sealed_at[:19].replace('T', ' ')} UTC by {self.sealed_by}, key {self.signer}"


def receipt_state(seal_line: str, kept: int, plan: str, check: Check) -> ReceiptState:
    """Look at the newest seal (empty: there is none yet) of a plan that keeps so many receipts."""
    if not seal_line:
        return ReceiptState(kept, waiting=kept)
    try:
        line = read_seal(seal_line)
        signature = bytes.fromhex(line.signature)
    except ValueError as error:
        return ReceiptState(kept, problem=f"the newest seal is none: {error}. Restore it from a backup of Redis")
    seal = line.seal
    good = seal.plan == plan and check(line.signer, SEAL + seal_body(seal).encode(), signature)
    return ReceiptState(
        kept=kept,
        sealed=seal.count,
        waiting=max(0, kept - (seal.count - seal.begins + 1)),
        sealed_at=seal.sealed_at,
        sealed_by=seal.sealed_by,
        signer=line.signer,
        problem="" if good else "the newest seal is not signed by a key trusted here: `moie keys trust` the worker's",
    )
