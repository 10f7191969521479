"""Watching the watcher: looks at what beat and workers should have said, from outside of both.

Every worker does this on a timer of its own. An alert that several of them find is raised once, and cleared once.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

from moie_worker.alerts.rules import expired_approvals, gone_workers, no_beat, stale_heartbeats
from moie_worker.errors import MoieError, UnreachableError
from moie_worker.plan.flow import Overview
from moie_worker.plan.letters import LetterFilter, LetterKind
from moie_worker.plan.pace import Pace
from moie_worker.plan.signing import ALERT, REFUSED
from moie_worker.ports import Alerts, DeadLetterBox, Fleet, Store

log = logging.getLogger(__name__)


def watch(
    fleet: Fleet,
    store: Callable[[str], Store],
    letters: Callable[[str], DeadLetterBox],
    alerts: Alerts,
    pace: Pace,
) -> None:
    """Look once; raise what is new, clear what is over. Raises UnreachableError."""
    plans, broken = _read(fleet, store)
    _, missing = fleet.workers()
    living, _ = fleet.beats()
    found = {
        **broken,
        **stale_heartbeats(plans, pace.announced(living).limit),
        **expired_approvals(plans),
        **gone_workers(missing),
        **no_beat(len(living), len(plans) + len(broken)),
        **_refused([overview.flags.name for overview in plans], alerts.standing(), letters),
    }
    for name, message in found.items():
        if alerts.raise_once(name, message):
            log.critical("ALERT %s: %s", name, message)
    for name, message in alerts.standing().items():
        if name not in found and alerts.clear_once(name):
            log.warning("RECOVERED %s: %s", name, message)


def _refused(
    plans: Sequence[str], standing: Mapping[str, str], letters: Callable[[str], DeadLetterBox]
) -> dict[str, str]:
    """Workers raise it when they refuse a job; it is over when nobody's letter says so any more."""
    wanted = LetterFilter(kind=LetterKind.JOB, reason=REFUSED, open_only=True)
    names = {f"{ALERT}{plan}": plan for plan in plans if f"{ALERT}{plan}" in standing}
    return {name: standing[name] for name, plan in names.items() if letters(plan).page(wanted, limit=1).heads}


def _read(fleet: Fleet, store: Callable[[str], Store]) -> tuple[list[Overview], dict[str, str]]:
    """The plans, and of those that cannot be read what is wrong with them."""
    plans: list[Overview] = []
    broken: dict[str, str] = {}
    for plan in fleet.plans():
        try:
            plans.append(store(plan).overview())
        except UnreachableError:
            raise
        except MoieError as error:
            broken[f"plan:{plan}"] = f"plan {plan} cannot be read: {error}"
    return plans, broken
