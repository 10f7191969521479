"""Receipts of verified jobs: their form, the chain of their digests, and the seal that closes it.

A worker signs what it saw: one signature holds for all receipts that it settles at once, and each receipt carries the
few digests that lead from it to what was signed. A heartbeat puts receipts into a chain, in the order in which Redis
took them: each line holds the SHA-256 of the line before it, and a seal holds that of the last one. Everything is
ASCII and canonical JSON (sorted keys, no white space), so that one changed byte is another text.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from moie_worker.plan.times import Ms, moment

BEFORE_ANY = "0" * 64  # what the first receipt names as the one before it
BATCH = b"moie-receipts-1\n"  # in front of what is signed: no signature can be taken for one of another kind
SEAL = b"moie-seal-1\n"
ENVELOPE = re.compile(r'\{"proof":[ -~]+\}')  # anything else in the stream was not written by us

_STRICT = ConfigDict(strict=True, extra="forbid")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a worker says of a job that it found verified. Times are ISO 8601 in UTC, by Redis' clock."""

    __pydantic_config__ = _STRICT

    format: Literal[1] = 1
    plan: str
    job: str
    revision: int
    definition: str  # digest of all that decides what is verified: command, action, time limit, environment
    command: str  # SHA-256 of the command's text; of canonical JSON where it is a list
    attempt: int
    token: str
    exit_code: int | None
    output: str  # SHA-256 of everything that the command wrote
    output_bytes: int
    host: str
    worker: str
    started_at: str
    ended_at: str

    def to_json(self) -> str:
        """The text that is signed."""
        return compact({name: getattr(self, name) for name in self.__slots__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A receipt in its chain: one line of an export."""

    __pydantic_config__ = _STRICT

    number: int  # from 1
    id: str  # of the stream's entry: milliseconds at which it was settled, and a counter
    previous: str  # SHA-256 of the line before it
    receipt: Receipt
    proof: tuple[str, ...]  # digests that lead from this receipt to what was signed
    signer: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """What a heartbeat says of the chain as a whole."""

    __pydantic_config__ = _STRICT

    format: Literal[1] = 1
    plan: str
    begins: int  # number of the oldest receipt that was kept then
    count: int  # number of the newest one
    id: str  # its id
    head: str  # SHA-256 of its line
    sealed_at: str
    sealed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SealLine:
    """A seal with its signature: the first line of an export that begins late, and the last of every one."""

    __pydantic_config__ = _STRICT

    seal: Seal
    signer: str
    signature: str


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
_LINKS = TypeAdapter(Link)
_SEALS = TypeAdapter(SealLine)


def compact(value: Any) -> str:
    """Canonical JSON in ASCII."""
    return _ENCODER.encode(value)


def sha256(text: str) -> str:
    """Sixty-four hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def command_digest(cmd: str | Sequence[str]) -> str:
    """Of a text what `printf %s TEXT | sha256sum` says."""
    return sha256(cmd if isinstance(cmd, str) else compact(list(cmd)))


def time_text(at: Ms) -> str:
    """As evidence has it."""
    return moment(at).isoformat(timespec="milliseconds")


# -- one signature for many -----------------------------------------------------------------------------


def leaf(receipt: str) -> bytes:
    """The digest of the text of a receipt; never equal to that of two digests."""
    return hashlib.sha256(b"\0" + receipt.encode()).digest()


def joined(one: bytes, other: bytes) -> bytes:
    """The digest of two digests; their order does not matter, so that a proof need not tell it."""
    return hashlib.sha256(b"\1" + min(one, other) + max(one, other)).digest()


def rooted(leaves: Sequence[bytes]) -> tuple[bytes, list[list[bytes]]]:
    """The one digest that stands for all (at least one), and for each the digests that lead there."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [joined(one, other) for one, other in zip(below[::2], below[1::2], strict=False)]
        levels.append(above + (below[-1:] if len(below) % 2 else []))
    *crossed, (root,) = levels
    return root, [_proof(crossed, number) for number in range(len(leaves))]


def _proof(crossed: Sequence[Sequence[bytes]], number: int) -> list[bytes]:
    """The other half of each pair on the way up."""
    found = []
    for level in crossed:
        if number ^ 1 < len(level):
            found.append(level[number ^ 1])
        number //= 2
    return found


def root_of(receipt: str, proof: Sequence[bytes]) -> bytes:
    """Where a proof leads."""
    found = leaf(receipt)
    for digest in proof:
        found = joined(found, digest)
    return found


def envelope(receipt: str, proof: Sequence[bytes], signer: str, signature: bytes) -> str:
    """A signed receipt, as it waits in Redis for its place in the chain."""
    digests = ",".join([f'"{digest.hex()}"' for digest in proof])
    return f'{{"proof":[{digests}],"receipt":{receipt},"signature":"{signature.hex()}","signer":{compact(signer)}}}'


# -- the chain ------------------------------------------------------------------------------------------


def linked(number: int, stream_id: str, previous: str, packed: str) -> str:
    """The line of a signed receipt. Put together as text: a heartbeat may have a hundred thousand to link."""
    return f'{{"id":"{stream_id}","number":{number},"previous":"{previous}",{packed[1:]}'


def seal_line(seal: Seal, signer: str, signature: bytes) -> str:
    """The line of a seal."""
    return f'{{"seal":{seal_body(seal)},"signature":"{signature.hex()}","signer":{compact(signer)}}}'


def seal_body(seal: Seal) -> str:
    """The text that is signed, after `SEAL`."""
    return compact({name: getattr(seal, name) for name in Seal.__slots__})


def read_link(line: str) -> Link:
    """The receipt in a line. Raises ValueError for what is none, or is not written as we write it."""
    return _read(_LINKS, line)


def read_seal(line: str) -> SealLine:
    """The seal in a line. Raises ValueError as `read_link` does."""
    return _read(_SEALS, line)


def _read(reader: TypeAdapter[T], line: str) -> T:
    try:
        found = reader.validate_json(line)
        canonical = compact(json.loads(line))
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'line'}: {first['msg']}") from None
    if canonical != line:
        raise ValueError("not canonical JSON")
    return found
