"""The heartbeat: record that the system lives, say where it stands, let waiting jobs be looked at again."""

from moie_worker.plan.heartbeat import SHOWN, Snapshot, report
from moie_worker.plan.limits import AUDIT
from moie_worker.plan.states import Place
from moie_worker.ports import Fleet, Store

JOURNAL_SEEN = 200  # entries that a report looks back at
CYCLIC_SHOWN = 20


def beat(store: Store, fleet: Fleet, who: str) -> str:
    """One heartbeat of one plan; costs the same whatever the size of the plan. Returns its report.

    Raises UnreachableError.
    """
    snapshot = Snapshot(
        overview=store.overview(),
        waiting=store.in_places([Place.WAITING], SHOWN + 1),
        cyclic=store.cyclic()[:CYCLIC_SHOWN],
        journal=store.read_journal(JOURNAL_SEEN),
    )
    said = report(snapshot)
    if repaired := store.audit(AUDIT):
        said += f"\nrepaired: {', '.join(repaired)}"
    store.beat(said, who)
    fleet.ring()
    return said
