"""Receipts for tests: workers with keys, plans whose jobs they verified, and the lines of an export."""

from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from moie_worker.adapters.memory import MemoryStore
from moie_worker.heart.receipt_export import export
from moie_worker.heart.receipts import Sealer, signed
from moie_worker.plan.flow import Settlement
from moie_worker.plan.proof import Verdict, verify
from moie_worker.plan.receipts import Receipt, command_digest, sha256
from moie_worker.plan.states import Outcome, Place
from moie_worker.ports import Receipts, Signer, Witness


class Key:
    """Signs with a key that only this test holds."""

    def __init__(self, key_id: str) -> None:
        self.key_id = key_id
        self.signatures = 0
        self._private = Ed25519PrivateKey.generate()
        self._public = self._private.public_key()

    def sign(self, data: bytes) -> bytes:
        self.signatures += 1
        return self._private.sign(data)

    def signed(self, data: bytes, signature: bytes) -> bool:
        try:
            self._public.verify(signature, data)
        except InvalidSignature:
            return False
        return True


@dataclass
class Ring:
    """Trusts some keys."""

    keys: dict[str, Key] = field(default_factory=dict)

    def trust(self, *keys: Key) -> "Ring":
        self.keys |= {key.key_id: key for key in keys}
        return self

    def verify(self, key_id: str, data: bytes, signature: bytes) -> bool:
        return key_id in self.keys and self.keys[key_id].signed(data, signature)


def receipt(number: int, **changes: object) -> Receipt:
    """What a worker says of the job of this number."""
    plain: dict[str, object] = {
        "plan": "p", "job": f"j{number}", "revision": 1, "definition": "d" * 16, "command": command_digest("true"),
        "attempt": 1, "token": f"t{number}", "exit_code": 0, "output": sha256(""), "output_bytes": 0, "host": "h",
        "worker": "w@h", "started_at": "2027-01-15T08:00:00.000+00:00", "ended_at": "2027-01-15T08:00:01.000+00:00",
    }  # fmt: skip
    return Receipt(**plain | changes)  # type: ignore[arg-type]


def settling(*receipts: Receipt) -> list[Settlement]:
    """The settlements that carry them, not signed yet."""
    return [
        Settlement(each.token, each.job, Outcome.PASSED, Place.COMPLETED, receipt=each.to_json()) for each in receipts
    ]


def packed(key: Signer, *receipts: Receipt) -> list[str]:
    """Receipts under one signature."""
    return [each.receipt for each in signed(settling(*receipts), key)]


class Memory:
    """What a machine remembers of the heads of chains."""

    def __init__(self) -> None:
        self.heads: dict[str, tuple[int, str]] = {}

    def last(self, plan: str) -> tuple[int, str] | None:
        return self.heads.get(plan)

    def note(self, plan: str, count: int, head: str) -> None:
        self.heads[plan] = (count, head)


def sealer(key: Key, ring: Ring | None = None, kept: int = 1000, witness: Witness | None = None) -> Sealer:
    """A worker that seals."""
    return Sealer(key, ring or Ring().trust(key), kept, "w@h", witness or Memory())


def store_of(key: Key, *batches: int) -> MemoryStore:
    """The twin of plan `p` with batches of receipts in it, each sealed."""
    store, number = MemoryStore("p"), 0
    for batch in batches:
        for text in packed(key, *(receipt(number + n + 1) for n in range(batch))):
            store.keep_receipt(text)
        number += batch
        store.time.advance(1000)
        assert sealer(key).seal(store, "p", store.now)
    return store


def lines_of(store: Receipts) -> list[bytes]:
    """An export, as it stands in a file."""
    return [f"{line}\n".encode() for line in export(store)]


def verdict(lines: list[bytes], key: Key, head: str = "") -> Verdict:
    """What a verification finds that trusts one key."""
    return verify(lines, Ring().trust(key).verify, head)
