"""A chain of receipts as lines for a file, from what a store keeps of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from moie_worker.errors import NotFoundError, RefusedError
from moie_worker.plan.receipts import BEFORE_ANY, Link, Seal, linked, read_link, read_seal, sha256
from moie_worker.ports import Receipts, Waiting

PAGE = 1000  # receipts, or seals, that are read at once
STREAM_ID = re.compile(r"\d+-\d+", re.ASCII)


def export(store: Receipts) -> Iterator[str]:
    """The lines of all that is sealed: the seal of what was dropped if some was, every receipt, the newest seal.

    That one alone closes the chain, so that no end can be cut off. The seals between help to say where somebody changed
    what Redis holds: behind each, numbers and digests are those that were sealed.
    Raises NotFoundError when nothing is sealed, RefusedError when receipts were dropped meanwhile.
    """
    newest = store.last_seal()
    last = seal_of(newest)
    if last is None or not last.count:
        raise NotFoundError("no receipt is sealed yet; heartbeats seal them: `moie heartbeat` asks for one")
    first = store.seals(0, 1)
    number, head, at = 0, BEFORE_ANY, ""
    base = seal_of(first[0]) if last.begins > 1 else None
    if base is not None:
        yield first[0]
        number, head, at = base.count, base.head, base.id
    for seal in _seals(store, newest):
        if seal.count > number:
            yield from _between(store, at, seal.id, number, head)
            number, head, at = seal.count, seal.head, seal.id
    yield newest
    if store.seals(0, 1) != first:
        raise RefusedError("old receipts were dropped while they were exported: export again")


@dataclass(frozen=True, slots=True)
class Listed:
    """A receipt with its number; `link` is None for an entry that no worker wrote."""

    number: int
    sealed: bool
    link: Link | None


def newest(store: Receipts, limit: int) -> list[Listed]:
    """At most so many of the newest receipts, oldest first, sealed or not. Nothing is verified."""
    seal = seal_of(store.last_seal())
    sealed_here = seal.count - seal.begins + 1 if seal else 0
    number = store.receipts_kept() - sealed_here + (seal.count if seal else 0)
    found = []
    for each in store.newest_receipts(limit):
        found.append(Listed(number, seal is not None and number <= seal.count, _link(number, each)))
        number -= 1
    return found[::-1]


def _link(number: int, waiting: Waiting) -> Link | None:
    try:
        return read_link(linked(number, waiting.id, BEFORE_ANY, waiting.packed))
    except ValueError:
        return None


def seal_of(line: str) -> Seal | None:
    """The seal in a line; None for what is none."""
    try:
        found = read_seal(line).seal
    except ValueError:
        return None
    return found if STREAM_ID.fullmatch(found.id) else None


def _seals(store: Receipts, newest: str) -> Iterator[Seal]:
    """All seals up to the newest one, those left out that somebody else wrote."""
    start, line = 0, ""
    while line != newest and (page := store.seals(start, PAGE)):
        for line in page:
            if found := seal_of(line):
                yield found
            if line == newest:
                return
        start += len(page)


def _between(store: Receipts, after: str, until: str, number: int, head: str) -> Iterator[str]:
    while page := store.receipts_after(after, PAGE, until):
        for each in page:
            number += 1
            line = linked(number, each.id, head, each.packed)
            yield line
            head = sha256(line)
        after = page[-1].id
