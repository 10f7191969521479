"""The heartbeat: record that the system lives, say where it stands, let waiting jobs be looked at again."""

import logging
from collections.abc import Callable

from moie_worker.errors import MoieError, UnreachableError
from moie_worker.heart.receipts import Sealer
from moie_worker.plan.approval import expired_phases
from moie_worker.plan.heartbeat import SHOWN, Snapshot, report
from moie_worker.plan.limits import AUDIT
from moie_worker.plan.states import Place
from moie_worker.ports import Fleet, Store

JOURNAL_SEEN = 200  # entries that a report looks back at
CYCLIC_SHOWN = 20

log = logging.getLogger(__name__)


def nothing(_plan: str) -> str:
    """Before a heartbeat that nothing goes before."""
    return ""


def beat_all(
    fleet: Fleet,
    store: Callable[[str], Store],
    who: str,
    before: Callable[[str], str] = nothing,
    sealer: Sealer | None = None,
) -> str:
    """One heartbeat of every plan; what is wrong with one keeps no other from its own. Raises UnreachableError.

    What comes `before` it says, of a plan, what belongs into the report; empty when all went well.
    """
    said: list[str] = []
    for plan in fleet.plans():
        try:
            said.append(beat(store(plan), fleet, who, before, sealer))
        except UnreachableError:
            raise
        except MoieError as error:
            log.error("plan %s has no heartbeat: %s", plan, error)
            said.append(f"plan {plan} has no heartbeat: {error}")
    return "\n".join(said) or "no plan is loaded"


def beat(
    store: Store, fleet: Fleet, who: str, before: Callable[[str], str] = nothing, sealer: Sealer | None = None
) -> str:
    """One heartbeat of one plan; by itself it costs the same whatever the size of the plan. Returns its report.

    Raises UnreachableError.
    """
    told = before(store.plan)
    snapshot = Snapshot(
        overview=store.overview(),
        waiting=store.in_places([Place.WAITING], SHOWN + 1),
        cyclic=store.cyclic()[:CYCLIC_SHOWN],
        journal=store.read_journal(JOURNAL_SEEN),
    )
    for phase in expired_phases(snapshot.overview):
        store.expire(phase)
    said = report(snapshot)
    if repaired := store.audit(AUDIT):
        said += f"\nrepaired: {', '.join(repaired)}"
    if told:
        said += f"\n{told}"
    if sealer and (sealed := sealer.seal(store, store.plan, snapshot.overview.now)):
        said += f"\n{sealed}"
    store.beat(said, who)
    fleet.ring(store.plan)
    return said
