"""Is a chain of receipts whole? What is asked of an export, without Redis.

Each kind of damage is named: a changed byte, a missing receipt, two in the wrong order, a beginning or an end that was
cut off, a signature of somebody else.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from moie_worker.plan.receipts import (
    BATCH,
    BEFORE_ANY,
    SEAL,
    Link,
    SealLine,
    read_link,
    read_seal,
    root_of,
    seal_body,
    sha256,
)

Check = Callable[[str, bytes, bytes], bool]  # key id, data, signature
PROBLEMS_KEPT = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found; the chain is proven when there are no problems."""

    plan: str
    first: int  # number of the first receipt, 0 without any
    last: int
    receipts: int
    before: str  # digest that the first one follows
    head: str  # digest of the last line of a receipt
    sealed_at: str
    signers: tuple[str, ...]
    problems: tuple[str, ...]


@dataclass
class Chain:
    """What was read so far."""

    check: Check
    plan: str = ""
    first: int = 0
    last: int = 0
    receipts: int = 0
    before: str = BEFORE_ANY
    head: str = BEFORE_ANY
    last_id: str = ""
    base: SealLine | None = None
    closing: SealLine | None = None
    digests: set[str] = field(default_factory=set)
    signers: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def wrong(self, problem: str) -> None:
        """Remember what is wrong."""
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(problem)


def verify(lines: Iterable[bytes], check: Check, head: str = "") -> Verdict:
    """Read an export, line by line with the ends of the lines; `head` is a digest that the chain must have had."""
    chain = Chain(lru_cache(maxsize=1024)(check))
    place = 0
    for place, raw in enumerate(lines, 1):
        where = f"line {place}"
        if chain.closing:
            chain.wrong(f"{where}: stands behind the seal that closes the chain")
            break
        if not raw.endswith(b"\n"):
            chain.wrong(f"{where}: is cut off")
        _line(chain, place, raw.rstrip(b"\n").decode("utf-8", "replace"))
    _end(chain, head)
    return Verdict(
        plan=chain.plan,
        first=chain.first,
        last=chain.last,
        receipts=chain.receipts,
        before=chain.before,
        head=chain.head,
        sealed_at=chain.closing.seal.sealed_at if chain.closing else "",
        signers=tuple(sorted(chain.signers)),
        problems=tuple(chain.problems),
    )


def _line(chain: Chain, place: int, text: str) -> None:
    if text.startswith('{"seal":'):
        _seal(chain, place, text)
    else:
        _receipt(chain, place, text)


# -- receipts -------------------------------------------------------------------------------------------


def _receipt(chain: Chain, place: int, text: str) -> None:
    digest = sha256(text)
    try:
        link = read_link(text)
    except ValueError as error:
        chain.wrong(f"line {place}: is no receipt as it was written ({error})")
        _advance(chain, chain.last + 1, digest)
        return
    name = f"line {place}: receipt {link.number} (job {link.receipt.job})"
    _follows(chain, link, name)
    _signed(chain, link, name)
    _belongs(chain, link.receipt.plan, name)
    if _order(link.id) <= _order(chain.last_id):
        chain.wrong(f"{name}: has the id {link.id}, which is not behind {chain.last_id}")
    chain.last_id = link.id
    _advance(chain, link.number, digest)


def _follows(chain: Chain, link: Link, name: str) -> None:
    if not chain.receipts and chain.base is None:
        chain.last = link.number - 1  # where it begins is looked at when the seal is known
        chain.before = link.previous
        if link.number == 1 and link.previous != BEFORE_ANY:
            chain.wrong(f"{name}: is the first of all and names one before it")
        return
    expected = chain.last + 1
    if link.number > expected:
        chain.wrong(f"{name}: {_named(expected, link.number - 1)} missing before it")
    elif link.number < expected:
        chain.wrong(f"{name}: stands behind receipt {chain.last}: it was moved or doubled")
    elif link.previous != chain.head:
        chain.wrong(f"{name}: does not follow the line before it: one of the two was changed")


def _signed(chain: Chain, link: Link, name: str) -> None:
    try:
        proof, signature = [unhex(digest) for digest in link.proof], unhex(link.signature)
    except ValueError as error:
        chain.wrong(f"{name}: {error}")
        return
    body = link.receipt.to_json()
    if chain.check(link.signer, BATCH + root_of(body, proof), signature):
        chain.signers.add(link.signer)
    else:
        chain.wrong(f"{name}: is not signed by the key {link.signer}, or that key is not trusted here")


def _belongs(chain: Chain, plan: str, name: str) -> None:
    chain.plan = chain.plan or plan
    if plan != chain.plan:
        chain.wrong(f"{name}: is of plan {plan!r}, not of {chain.plan!r}")


def _advance(chain: Chain, number: int, digest: str) -> None:
    chain.first = chain.first or number
    chain.last = max(chain.last, number)
    chain.receipts += 1
    chain.head = digest
    chain.digests.add(digest)


# -- seals ----------------------------------------------------------------------------------------------


def _seal(chain: Chain, place: int, text: str) -> None:
    try:
        found = read_seal(text)
        signature = unhex(found.signature)
    except ValueError as error:
        chain.wrong(f"line {place}: is no seal as it was written ({error})")
        return
    name = f"line {place}: the seal of receipt {found.seal.count}"
    if chain.check(found.signer, SEAL + seal_body(found.seal).encode(), signature):
        chain.signers.add(found.signer)
    else:
        chain.wrong(f"{name}: is not signed by the key {found.signer}, or that key is not trusted here")
    _belongs(chain, found.seal.plan, name)
    if place == 1:
        chain.base, chain.last, chain.last_id = found, found.seal.count, found.seal.id
        chain.before = chain.head = found.seal.head
        chain.digests.add(found.seal.head)
    else:
        chain.closing = found


def _end(chain: Chain, head: str) -> None:
    if chain.closing is None:
        chain.wrong("the tail is cut: the last line is not the seal that closes the chain")
    else:
        _closes(chain, chain.closing)
    if head and head not in chain.digests:
        chain.wrong(f"the chain has no head {head}: its tail was cut off, or it is another chain")


def _closes(chain: Chain, closing: SealLine) -> None:
    seal = closing.seal
    if not chain.receipts and seal.begins <= seal.count:
        chain.wrong(f"all is cut: {_named(seal.begins, seal.count)} missing, which the seal knows of")
    if chain.receipts and seal.begins < chain.first:
        chain.wrong(f"the beginning is cut: {_named(seal.begins, chain.first - 1)} missing, which the seal knows of")
    if chain.receipts and seal.begins > chain.first:
        chain.wrong(f"the seal knows of no receipt before {seal.begins}, and the chain begins with {chain.first}")
    before = seal.begins - 1
    if chain.base is not None and chain.base.seal.count != before:
        chain.wrong(f"the first seal is of receipt {chain.base.seal.count}, and the chain begins behind {before}")
    if chain.first > 1 and chain.base is None:
        chain.wrong(f"receipt {chain.first} is the first one, and no seal says what came before it")
    if seal.count > chain.last:
        chain.wrong(f"the tail is cut: {_named(chain.last + 1, seal.count)} missing before the seal")
    elif seal.count < chain.last:
        chain.wrong(f"the seal is of receipt {seal.count}, and the chain goes on to {chain.last}")
    elif (seal.head, seal.id) != (chain.head, chain.last_id):
        chain.wrong(f"receipt {chain.last} is not the one that was sealed")


def _named(first: int, last: int) -> str:
    return f"receipt {first} is" if first == last else f"receipts {first} to {last} are"


def _order(stream_id: str) -> tuple[int, int]:
    milliseconds, _, number = stream_id.partition("-")
    return (int(milliseconds), int(number)) if milliseconds.isdigit() and number.isdigit() else (-1, -1)


def unhex(text: str) -> bytes:
    """Raises ValueError for what `bytes.hex` does not write."""
    found = bytes.fromhex(text)
    if found.hex() != text:
        raise ValueError("digests and signatures are lower-case hexadecimal digits")
    return found
