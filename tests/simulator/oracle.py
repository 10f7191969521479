"""What must hold of a plan in memory after every step, and what must be the same in every store."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from moie_worker.adapters.memory import MemoryStore
from moie_worker.adapters.memory.core import Lease
from moie_worker.plan.flow import Attempt, Hint
from moie_worker.plan.invariants import Broken, Held, Standing, attempt_faults, frontier_faults, job_faults
from moie_worker.plan.states import Place
from tests.contract.model import Store
from tests.simulator.ledger import Ledger, ViolationError

ORDERED = (Place.TIMED, Place.READY, Place.WAITING, Place.SENT)
READ = 32  # entries of the journal; no step writes more


def check(twin: MemoryStore, ledger: Ledger) -> None:
    """Everything that holds between two steps. Raises ViolationError."""
    for broken in faults(twin):
        raise ViolationError(f"{broken.rule}: {broken.where} {broken.what} {broken.message}")
    ledger.check(twin)
    if twin.regressed:
        _check_regressed(twin)


def _check_regressed(twin: MemoryStore) -> None:
    """What regressed is open, and so is its phase; what found it says so."""
    for name in twin.regressed:
        state = twin.jobs.get(name)
        if state is None or state.place is Place.COMPLETED:
            raise ViolationError(f"{name} regressed and is {state.place if state else 'gone'}")
        look, phase = twin.jobs.get(state.definition.reverified_by), state.definition.phase
        if look is not None and "regressed" not in look.evidence:
            raise ViolationError(f"{name} regressed and its look does not say so: {look.evidence}")
        if not twin.flags.loading and phase in twin.phases and twin.flags.frontier > phase:
            raise ViolationError(f"{name} regressed in phase {phase} and the frontier is {twin.flags.frontier}")


def faults(twin: MemoryStore) -> Iterator[Broken]:
    """What is wrong with a plan in memory. Its orders are made of the places, so nothing can stand beside its own."""
    flags = twin.flags
    listed = {name for names in twin.lists.by_wait.values() for name in names}
    woken = {name for names in twin.woken for name in names}
    for name, state in twin.jobs.items():
        match state.place:
            case Place.PARKED:
                waits_for = "a load" if flags.loading else twin.unmet(state) or ""
                yield from job_faults(name, Standing(Place.PARKED, waits_for=waits_for, listed=name in listed,
                                                     woken=name in woken))  # fmt: skip
            case Place.RUNNING:
                lease = twin.leases.get(state.token)
                leased = lease is not None and lease.job == name
                yield from job_faults(name, Standing(Place.RUNNING, leased=leased))
            case Place.DEAD:
                yield from job_faults(name, Standing(Place.DEAD, letter=name in twin.letters))
    for token, lease in twin.leases.items():
        yield from attempt_faults(token, _held(twin, token, lease))
    yield from frontier_faults(flags, twin.phases, twin.open_phases())


def _held(twin: MemoryStore, token: str, lease: Lease) -> Held:
    state = twin.jobs.get(lease.job)
    owned = state is not None and state.place is Place.RUNNING and state.token == token
    return Held(lease.job, lease.expires, lease.armed, known=state is not None, owned=owned)


def check_begun(twin: MemoryStore, attempt: Attempt, hint: Hint) -> None:
    """What began waits for nothing, and its phase was approved as it is."""
    this = attempt.definition
    if what := twin.unmet(twin.jobs[this.id]):
        raise ViolationError(f"{this.id} began and waits for {what}")
    breaker = twin.breakers.get(this.queue)
    if breaker and breaker.opened and breaker.canary != hint.id:
        raise ViolationError(f"{this.id} began in a queue that is stopped")
    phase, answer = twin.phases.get(this.phase), twin.approvals.get(this.phase)
    if phase is None:
        raise ViolationError(f"{this.id} began and its phase is gone")
    said = {vote.who for vote in answer.yes} if answer and answer.digest == phase.digest else set()
    said -= {"ops"} if phase.persons > 1 else set()  # who loads every plan here
    if phase.approval and not this.at_load and len(said) < phase.persons:
        raise ViolationError(f"{this.id} began and phase {phase.id} is not approved as it is, but by {said}")


def views(store: Store) -> dict[str, Any]:
    """What every store must say alike; nothing while a plan is loaded, which the stores do in other portions."""
    overview = store.overview()
    if overview.flags.loading:
        return {}
    jobs = {view.definition.id: view for view in store.all_jobs()}
    looks = sorted(view.definition.reverified_by for view in jobs.values() if view.definition.reverified_by)
    return {
        "overviews": replace(overview, now=0, queues=()),
        "jobs": jobs,
        "looks": [store.job(look) for look in looks],
        "regressions": store.regressions(100),
        "orders": [view.definition.id for view in store.in_places(ORDERED, 100)],  # with the places, the order in each
        "journals": [(e.event, e.job, e.who, e.why, e.data) for e in store.read_journal(READ)],
        "receipts": [each.packed for each in store.newest_receipts(READ)],
    }
