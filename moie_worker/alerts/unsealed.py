"""Receipts that no heartbeat seals: each alone is one that came too early, or on a machine that trusts other keys."""

from datetime import timedelta

from moie_worker.plan.duration import format_duration
from moie_worker.plan.receipts import read_seal
from moie_worker.plan.times import MILLISECOND, Ms
from moie_worker.ports import Receipts

PATIENCE = 4  # so many times as long as a heartbeat may take: where machines take turns, each of them had several
SECOND = timedelta(seconds=1)


def unsealed(store: Receipts, now: Ms, stale_after: timedelta) -> str:
    """What to say of receipts that have waited for their seal for too long; empty: none has.

    Redis drops none that is not sealed, so they may fill it. Raises UnreachableError.
    """
    line = store.last_seal()
    try:
        sealed = read_seal(line).seal.id if line else ""
    except ValueError as error:
        return f"receipts cannot be sealed, the newest seal is none: {error}. Restore it from a backup of Redis"
    oldest = store.receipts_after(sealed, 1)
    if not oldest:
        return ""
    age = (now - int(oldest[0].id.partition("-")[0])) * MILLISECOND
    if age <= PATIENCE * stale_after:
        return ""
    return (
        f"receipts are not sealed since {format_duration(age // SECOND * SECOND)} and pile up in Redis, "
        f"{store.receipts_kept()} are kept: no machine that has a heartbeat trusts the key of the newest seal, or none "
        "has a key. `moie status` names it; `moie keys trust` it there"
    )
