"""Telling people of attempts that were refused: no trusted author signed them, or this machine does not allow them."""

import logging
from collections.abc import Sequence

from moie_worker.errors import MoieError
from moie_worker.plan.flow import Settlement
from moie_worker.plan.signing import ALERT, REFUSED
from moie_worker.plan.states import Outcome
from moie_worker.ports import Alerts

log = logging.getLogger(__name__)


def tell(alerts: Alerts, plan: str, ended: Sequence[Settlement]) -> None:
    """Raise the alert of a plan some of whose attempts were refused; it stands once, however many they are.

    Call it when they are settled: whoever looks whether the alert still holds then finds their letters.
    """
    refused = [each for each in ended if each.outcome is Outcome.REFUSED]
    if not refused:
        return
    message = f"plan {plan}: {refused[0].reason}: moie dead list --reason {REFUSED.strip()}"
    try:
        if alerts.raise_once(f"{ALERT}{plan}", message):
            log.critical("ALERT %s%s: %s", ALERT, plan, message)
    except MoieError as error:
        log.error("an alert cannot be raised (%s): %s", error, message)
