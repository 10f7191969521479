"""Telling people of jobs that were verified and hold no more, as soon as it is known."""

import logging
from collections.abc import Sequence

from moie_worker.errors import MoieError
from moie_worker.plan.flow import Settlement
from moie_worker.plan.limits import REGRESSIONS_TOLD
from moie_worker.plan.regression import alerts_of
from moie_worker.plan.reverify import SUFFIX
from moie_worker.plan.states import Outcome
from moie_worker.ports import Alerts, Store

log = logging.getLogger(__name__)


def opens(ended: Settlement) -> bool:
    """Whether an ending may have opened a verified job: a look that says no for the last time."""
    return ended.outcome is Outcome.FAILED and ended.fresh and ended.job.endswith(SUFFIX)


def tell(alerts: Alerts, store: Store, ended: Sequence[Settlement]) -> None:
    """Raise the alerts of what regressed, if any of these did it; whoever watches calls them over.

    Call it when they are settled: Redis says what regressed, and an alert is never raised on a worker's word.
    """
    if not any(map(opens, ended)):
        return
    try:
        told = alerts_of(store.plan, store.regressions(REGRESSIONS_TOLD))
        for name, message in told.items():
            if alerts.raise_once(name, message):
                log.critical("ALERT %s: %s", name, message)
    except MoieError as error:
        log.error("the alerts of what regressed in plan %s cannot be raised: %s", store.plan, error)
