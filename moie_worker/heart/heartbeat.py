"""The heartbeat: record that the system lives, say where it stands, let waiting jobs be looked at again."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from moie_worker.errors import MoieError, UnreachableError
from moie_worker.heart.receipts import Sealer
from moie_worker.plan.approval import expired_phases
from moie_worker.plan.chain import Pulse, Station
from moie_worker.plan.heartbeat import SHOWN, Snapshot, report
from moie_worker.plan.limits import AUDIT
from moie_worker.plan.states import Place
from moie_worker.ports import Chain, Fleet, Store

JOURNAL_SEEN = 200  # entries that a report looks back at
CYCLIC_SHOWN = 20

log = logging.getLogger(__name__)


def nothing(_plan: str) -> str:
    """Before a heartbeat that nothing goes before."""
    return ""


@dataclass(frozen=True, slots=True)
class Beaten:
    """What came of one heartbeat of all plans."""

    text: str
    without: Mapping[str, str]  # plans that have no record of it, and why


def traced(chain: Chain, pulse: Pulse, beat: Callable[[], Beaten]) -> Beaten:
    """A heartbeat of all plans, with its place in the chain written down before and after. Raises what it raises."""
    _mark(chain, Station.BEGUN, pulse)
    beaten = beat()
    if beaten.without:
        _mark(
            chain, Station.UNRECORDED, pulse, "; ".join(f"plan {plan}: {why}" for plan, why in beaten.without.items())
        )
    else:
        _mark(chain, Station.RECORDED, pulse)
    return beaten


def _mark(chain: Chain, station: Station, pulse: Pulse, note: str = "") -> None:
    """A heartbeat counts also where its way cannot be written down."""
    try:
        chain.mark(station, pulse, note)
    except MoieError as error:
        log.warning("%s is not traced: %s", pulse.id, error)


def beat_all(
    fleet: Fleet,
    store: Callable[[str], Store],
    who: str,
    before: Callable[[str], str] = nothing,
    sealer: Sealer | None = None,
    pulse: Pulse | None = None,
) -> Beaten:
    """One heartbeat of every plan; what is wrong with one keeps no other from its own. Raises UnreachableError.

    What comes `before` it says, of a plan, what belongs into the report; empty when all went well.
    """
    said: list[str] = []
    without: dict[str, str] = {}
    for plan in fleet.plans():
        try:
            said.append(beat(store(plan), fleet, who, before, sealer, pulse))
        except UnreachableError:
            raise
        except MoieError as error:
            log.error("plan %s has no heartbeat: %s", plan, error)
            said.append(f"plan {plan} has no heartbeat: {error}")
            without[plan] = str(error)
    return Beaten("\n".join(said) or "no plan is loaded", without)


def beat(
    store: Store,
    fleet: Fleet,
    who: str,
    before: Callable[[str], str] = nothing,
    sealer: Sealer | None = None,
    pulse: Pulse | None = None,
) -> str:
    """One heartbeat of one plan; by itself it costs the same however many jobs are in it, but for reading the
    ids of its cyclic ones. Returns its report.

    Raises UnreachableError.
    """
    told = before(store.plan)
    overview = store.overview()
    snapshot = Snapshot(
        overview=overview,
        waiting=store.in_places([Place.WAITING], SHOWN + 1),
        cyclic=store.cyclic()[:CYCLIC_SHOWN],
        journal=store.read_journal(JOURNAL_SEEN),
        regressed=store.regressions(SHOWN) if overview.regressed else (),
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
    store.beat(said, who, pulse.id if pulse else "")
    fleet.ring(store.plan)
    return said
