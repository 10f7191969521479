"""Looks through a whole plan for broken promises, in pages, beside whoever works on it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from moie_worker.plan.invariants import (
    Audit,
    Broken,
    Kind,
    attempt_faults,
    count_faults,
    counted,
    frontier_faults,
    job_faults,
    open_faults,
    overdue_faults,
    receipt_faults,
    record_faults,
    seal_faults,
    sum_faults,
)
from moie_worker.plan.receipts import read_seal
from moie_worker.ports.audit import Audited, Look, Sum

TRIES = 3  # to find the plan still while its jobs are counted
RECEIPTS = 1000  # a page
LIMIT = 1000  # broken promises that are told
LOADING = "a plan is being loaded: nothing was compared; ask again when it is done"
MOVING = (
    "jobs moved while they were counted: places were not compared with what is counted; ask again in a quiet moment"
)
SEALING = "receipts were sealed while they were counted: they were not compared with the seal; ask again"


@dataclass
class _Receipts:
    """The receipts that are kept."""

    tokens: set[str] = field(default_factory=set)
    since: int = 0  # ms of the first one
    last: str = ""

    def read(self, store: Audited) -> None:
        """Read those that came since."""
        while page := store.receipts_after(self.last, RECEIPTS):
            self.since = self.since or int(page[0].id.partition("-")[0])
            self.last = page[-1].id
            self.tokens.update(token for each in page if (token := _token(each.packed)))


@dataclass
class _Jobs:
    """What is remembered of the jobs until all were seen."""

    places: Counter[Kind] = field(default_factory=Counter)
    uncertified: dict[str, str] = field(default_factory=dict)  # token by job

    def add(self, look: Look, receipts: _Receipts) -> None:
        """Remember one."""
        place = look.standing.place
        if place is None:
            return
        self.places[look.kind, look.phase, place] += 1
        if look.verified and receipts.since and look.at > receipts.since and look.verified not in receipts.tokens:
            self.uncertified[look.job] = look.verified


def audit(store: Audited, *, limit: int = LIMIT, overdue: bool = True) -> Audit:
    """Look at everything once; at most so many broken promises are told. Raises UnreachableError.

    `overdue`: leases count that ended and that no beat took back, which needs a beat.
    """
    first = store.sum()
    if first.overview.flags.loading:
        return Audit(notes=(LOADING,))
    notes: list[str] = []
    receipts, jobs, tokens = _Receipts(), _Jobs(), set[str]()
    found: list[Broken] = []
    cut = False
    for broken in _faults(store, first, receipts, jobs, tokens, notes, overdue):
        if len(found) == limit:
            cut = True
            break
        found.append(broken)
    own = first.jobs - sum(first.overview.looks.values())
    return Audit(tuple(found), tuple(notes), own, len(tokens), len(receipts.tokens), cut=cut)


def _faults(
    store: Audited, first: Sum, receipts: _Receipts, jobs: _Jobs, tokens: set[str], notes: list[str], overdue: bool
) -> Iterator[Broken]:
    overview = first.overview
    yield from sum_faults(counted(overview), first.jobs, first.definitions)
    yield from record_faults(overview)
    yield from open_faults(overview)
    yield from frontier_faults(overview.flags, [phase.id for phase in overview.phases], overview.open_phases)
    receipts.read(store)
    yield from _job_faults(store, receipts, jobs)
    yield from _count_faults(store, first, jobs, notes)
    yield from _attempt_faults(store, tokens, overdue)
    for job in store.strangers():
        for look in store.look([job]):
            yield from () if look.standing.known else job_faults(job, look.standing)
    receipts.read(store)
    yield from receipt_faults(jobs.uncertified, receipts.tokens)
    yield from _seal_faults(store, notes)


def _job_faults(store: Audited, receipts: _Receipts, jobs: _Jobs) -> Iterator[Broken]:
    for page in store.job_pages():
        for look in store.look(page):
            if look.standing.known:  # else it was removed meanwhile
                jobs.add(look, receipts)
                yield from job_faults(look.job, look.standing)


def _count_faults(store: Audited, first: Sum, jobs: _Jobs, notes: list[str]) -> Iterator[Broken]:
    """Places are counted in pages, so they are compared only where nothing moved between the first and the last."""
    before, places = first, jobs.places
    for _ in range(TRIES):
        after = store.sum()
        if places == (counts := counted(after.overview)):
            return
        if _still(before, after) and places.total() == after.jobs:
            yield from count_faults(counts, places)
            return
        before, places = after, _counted(store)
    notes.append(MOVING)


def _still(before: Sum, after: Sum) -> bool:
    one, other = ((counted(each.overview), each.journal, each.jobs) for each in (before, after))
    return one == other


def _counted(store: Audited) -> Counter[Kind]:
    looks = (look for page in store.job_pages() for look in store.look(page))
    return Counter((each.kind, each.phase, each.standing.place) for each in looks if each.standing.place)


def _attempt_faults(store: Audited, tokens: set[str], overdue: bool) -> Iterator[Broken]:
    for page in store.attempt_pages():
        fresh = [token for token in dict.fromkeys(page) if token not in tokens]
        tokens.update(fresh)
        looked = store.look_at_attempts(fresh)
        for token, held in looked.held.items():
            if not held.job and held.until is None:
                continue  # it was settled meanwhile
            yield from attempt_faults(token, held)
            if overdue:
                yield from overdue_faults(token, held, looked.now, looked.gap_at)


def _seal_faults(store: Audited, notes: list[str]) -> Iterator[Broken]:
    for _ in range(TRIES):
        line = store.last_seal()
        if not line:
            return
        try:
            seal = read_seal(line).seal
        except ValueError:
            return  # `moie receipts verify` and each heartbeat say so
        kept = sum(1 for _ in _until(store, seal.id))
        if store.last_seal() == line:
            yield from seal_faults(seal, kept)
            return
    notes.append(SEALING)


def _until(store: Audited, last: str) -> Iterable[str]:
    after = ""
    while page := store.receipts_after(after, RECEIPTS, last):
        yield from (each.id for each in page)
        after = page[-1].id


def _token(packed: str) -> str:
    """The token in a receipt; empty for what is none."""
    try:
        return str(json.loads(packed)["receipt"]["token"])
    except (ValueError, KeyError, TypeError):
        return ""
