"""Settle what ended, and give back what was cut short."""

import logging
from collections.abc import Callable
from contextlib import closing

from moie_worker.errors import MoieError, NotTakenError
from moie_worker.heart import regressions
from moie_worker.heart.batch import LOST, Batch, Desk
from moie_worker.heart.quietly import quietly
from moie_worker.heart.receipts import signed
from moie_worker.plan.decide import crashed
from moie_worker.plan.flow import Answer, Settlement
from moie_worker.plan.limits import FLUSH_MS
from moie_worker.plan.states import Outcome

COUNTS = (Answer.SETTLED, Answer.AGAIN)

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
        settled = _sent(batch, desk, settling, done=done)
    except MoieError as error:
        log.warning("cannot settle %d attempts yet: %s", len(settling), error)
        return False
    for settlement, why in reasons:
        if why is not None:
            batch.count(settlement.outcome.replace("_", " "))
    for settlement, answer in settled:
        _note(batch, settlement, answer)
    batch.unsettled.clear()
    quietly(lambda: desk.fleet.ring(desk.tools.plan), "ring")
    return True


def _sent(batch: Batch, desk: Desk, settling: list[Settlement], *, done: bool) -> list[tuple[Settlement, Answer]]:
    """What was settled, and how that was answered. Raises MoieError when Redis does not serve, or allows it not now."""
    try:
        answers = desk.store.settle(signed(settling, desk.tools.signer), batch.hint, done)
    except NotTakenError as error:
        log.warning("Redis refuses %d outcomes at once, so each is settled alone: %s", len(settling), error)
        alone = [_sent_alone(batch, desk, each) for each in settling]
        desk.store.settle([], batch.hint, done)
        return alone
    return list(zip(settling, answers, strict=True))


def _sent_alone(batch: Batch, desk: Desk, settlement: Settlement) -> tuple[Settlement, Answer]:
    """One that Redis will not take must not keep the others: where Redis does take a plain one, that is settled."""
    try:
        (answer,) = desk.store.settle(signed([settlement], desk.tools.signer), batch.hint, False)
    except NotTakenError as error:
        if settlement.token not in batch.runs:
            raise
        run = batch.runs[settlement.token]
        plain = crashed(run.attempt, f"how it ended ({settlement.outcome}) cannot be kept: {error}")
        (answer,) = desk.store.settle([plain], batch.hint, False)
        log.error("attempt %s at job %s: %s", settlement.token, settlement.job, plain.reason)
        return plain, answer
    return settlement, answer


def _note(batch: Batch, settlement: Settlement, answer: Answer) -> None:
    """Count an ending as what Redis took it for; only what it took may have to be told."""
    if answer not in COUNTS:
        if answer is Answer.STALE:
            log.warning("attempt %s at job %s ended (%s) when it was somebody else's: it does not count",
                        settlement.token, settlement.job, settlement.outcome)  # fmt: skip
        batch.count(answer)
        return
    batch.count(settlement.outcome.replace("_", " "))
    if settlement.outcome is Outcome.REFUSED or regressions.opens(settlement):
        batch.grave.append(settlement)


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
