"""Seals over what was verified: what a heartbeat does with receipts."""

import hashlib

from moie_worker.heart.receipts import Sealer
from moie_worker.plan.receipts import read_seal
from tests.contract.model import Store
from tests.simulator.ledger import ViolationError
from tests.simulator.world import World

KEPT = 6


class Stamp:
    """Signs fast; who may sign is not the question here."""

    key_id = "stamp"

    def sign(self, data: bytes) -> bytes:
        return hashlib.sha256(data).digest()

    def verify(self, key_id: str, data: bytes, signature: bytes) -> bool:
        return key_id == self.key_id and signature == self.sign(data)


class Forgetful:
    """Remembers no chain: one sealer is used for all worlds."""

    def last(self, plan: str) -> tuple[int, str] | None:
        return None

    def note(self, plan: str, count: int, head: str) -> None: ...


SEALER = Sealer(Stamp(), Stamp(), KEPT, "beat", Forgetful())


def seal(world: World, _: int, __: int) -> None:
    """Every receipt is under the seal, in its order; old ones go, and the seal says how many."""
    world.each(lambda store: _seal(store, world.twin.now))
    ledger, line = world.ledger, world.twin.last_seal()
    if not line:
        return
    newest = read_seal(line).seal
    if newest.count != len(ledger.receipts):
        raise ViolationError(f"{len(ledger.receipts)} jobs were verified, and the seal is over {newest.count}")
    if newest.count - newest.begins + 1 < min(KEPT, newest.count):
        raise ViolationError(f"{KEPT} receipts are to be kept, and they begin with {newest.begins} of {newest.count}")
    ledger.dropped = newest.begins - 1


def _seal(store: Store, now: int) -> str:
    """What it reports but the digest: the ids of a stream are different in each store."""
    return SEALER.seal(store, "model", now).partition(", head")[0]
