"""Settle what ended, and give back what was cut short."""

import logging
from collections.abc import Callable
from contextlib import closing

from moie_worker.errors import MoieError
from moie_worker.heart import regressions
from moie_worker.heart.batch import LOST, Batch, Desk
from moie_worker.heart.quietly import quietly
from moie_worker.heart.receipts import signed
from moie_worker.plan.flow import Settlement
from moie_worker.plan.limits import FLUSH_MS
from moie_worker.plan.states import Outcome

log = logging.getLogger(__name__)


def settle(batch: Batch, desk: Desk, *, done: bool) -> bool:
    """Settle what ended; False when Redis did not do it, then it is tried again."""
    if not batch.unsettled and not done:
        return True
    reasons = [(settlement, _stopped_for(batch, settlement)) for settlement in batch.unsettled]
    given_back = [settlement.token for settlement, why in reasons if why not in (None, LOST)]  # the store knows why
    settling = [settlement for settlement, why in reasons if why is None]
    try:
        if given_back:
            desk.store.release(given_back, batch.hint, False)
        desk.store.settle(signed(settling, desk.tools.signer), batch.hint, done)
    except MoieError as error:
        log.warning("cannot settle %d attempts yet: %s", len(settling), error)
        return False
    for settlement in batch.unsettled:
        batch.count(settlement.outcome.replace("_", " "))
    batch.grave += (each for each in batch.unsettled if each.outcome is Outcome.REFUSED or regressions.opens(each))
    batch.unsettled.clear()
    quietly(lambda: desk.fleet.ring(desk.tools.plan), "ring")
    return True


def _stopped_for(batch: Batch, settlement: Settlement) -> str | None:
    """Why an attempt was cut short by this worker; None when it ended in its own way."""
    if settlement.outcome is Outcome.LOST:
        return LOST
    if settlement.outcome is not Outcome.CANCELLED or settlement.token not in batch.runs:
        return None
    return batch.runs[settlement.token].stop.reason


def finish(batch: Batch, desk: Desk, renew: Callable[[Batch, Desk], None]) -> None:
    """Settle the rest; while Redis is away, until the leases end and somebody else takes over.

    What Redis refuses is not held for ever: a lease long is enough, however often it is renewed.
    """
    latest = desk.tools.clock.monotonic() + desk.lease.total_seconds()
    while not settle(batch, desk, done=True):
        if desk.tools.clock.monotonic() > min(batch.held_until, latest):
            log.error("%d attempts of hint %s ended and could not be settled; they will be run again",
                      len(batch.unsettled), batch.hint.id)  # fmt: skip
            return
        renew(batch, desk)
        with closing(desk.make_stop()) as stop:  # a refusal comes at once: not a thousand times a second
            desk.tools.wait(stop, FLUSH_MS / 1000)
