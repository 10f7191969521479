"""What must hold of a plan in memory after every step, and what must be the same in every store."""

from dataclasses import replace
from typing import Any

from moie_worker.adapters.memory import MemoryStore
from moie_worker.plan.flow import Attempt
from moie_worker.plan.states import Place
from tests.contract.model import Store
from tests.simulator.ledger import Ledger, ViolationError

ORDERED = (Place.TIMED, Place.READY, Place.WAITING, Place.SENT)
READ = 32  # entries of the journal; no step writes more


def check(twin: MemoryStore, ledger: Ledger) -> None:
    """Everything that holds between two steps. Raises ViolationError."""
    _check_places(twin)
    ledger.check(twin)
    if twin.regressed:
        _check_regressed(twin)
    front, reached = twin.flags.frontier, twin.flags.reached
    if any(reached < phase <= front for phase in twin.phases) and not twin.flags.loading:
        raise ViolationError(f"a phase before {front} was never reached, but {reached}")


def _check_places(twin: MemoryStore) -> None:
    parked, running = [], []
    for name, state in twin.jobs.items():
        if state.place is Place.PARKED:
            parked.append(name)
        elif state.place is Place.RUNNING:
            running.append(name)
        elif state.place is Place.DEAD and name not in twin.letters:
            raise ViolationError(f"{name} is dead and nobody can read why")
    live = [lease.job for lease in twin.leases.values() if not lease.armed]
    if len(live) != len(running) or set(live) != set(running):
        raise ViolationError(f"running are {running}, live leases are of {live}")
    for token, lease in twin.leases.items():
        if lease.job not in twin.jobs:
            raise ViolationError(f"lease {token} of a job that is not there")
    if parked:
        _check_parked(twin, parked)


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


def _check_parked(twin: MemoryStore, parked: list[str]) -> None:
    """Whatever is parked waits for something that will wake it, or was woken already."""
    woken = {name for names in twin.woken for name in names}
    listed = {name for names in twin.parked.values() for name in names}
    for name in parked:
        if name in woken:
            continue
        if name not in listed:
            raise ViolationError(f"{name} is parked and on no list")
        if not twin.flags.loading and twin.unmet(twin.jobs[name]) is None:
            raise ViolationError(f"{name} is parked and waits for nothing")


def check_begun(twin: MemoryStore, attempt: Attempt) -> None:
    """What began waits for nothing, and its phase was approved as it is."""
    this = attempt.definition
    if what := twin.unmet(twin.jobs[this.id]):
        raise ViolationError(f"{this.id} began and waits for {what}")
    breaker = twin.breakers.get(this.queue)
    if breaker and breaker.opened and twin.leases[attempt.token].canary != breaker.opened:
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
