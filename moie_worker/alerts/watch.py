"""Watching the watcher: looks at what beat and workers should have said, from outside of both.

Every worker and every beat does this on a timer of its own. An alert that several of them find is raised once, and
cleared once.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from moie_worker.alerts.rules import (
    RECEIPTS,
    broken_link,
    expired_approvals,
    gone_plans,
    gone_workers,
    held_back,
    regressions,
    stale_heartbeats,
    stopped_queues,
)
from moie_worker.alerts.unsealed import unsealed
from moie_worker.errors import MoieError, UnreachableError
from moie_worker.plan.chain import Missing, Sight, missing_link
from moie_worker.plan.flow import Overview
from moie_worker.plan.letters import LetterFilter, LetterKind
from moie_worker.plan.limits import REGRESSIONS_TOLD
from moie_worker.plan.pace import Pace
from moie_worker.plan.regression import ALERT as REGRESSED
from moie_worker.plan.signing import ALERT, REFUSED
from moie_worker.plan.times import Ms, to_ms
from moie_worker.ports import Alerts, Chain, DeadLetterBox, Fleet, Store

# Presence ends and returns by itself when a machine is slow: what is told has been so for a while, both ways.
RAISE_AFTER = timedelta(seconds=10)
CLEAR_AFTER = timedelta(seconds=20)

log = logging.getLogger(__name__)


@dataclass
class Persistence:
    """Since when things are so, as one watcher saw it."""

    needed: timedelta
    since: dict[str, Ms] = field(default_factory=dict)

    def of(self, names: Iterable[str], now: Ms) -> list[str]:
        """Those that have been so for long enough; who is not named has to begin again."""
        self.since = {name: self.since.get(name, now) for name in names}
        return [name for name, since in self.since.items() if now - since >= self._needed_ms(name)]

    def _needed_ms(self, name: str) -> Ms:
        """What Redis has on record needs no second look."""
        return 0 if name.startswith(REGRESSED) else to_ms(self.needed)


@dataclass
class Watch:
    """One watcher, with what it saw before."""

    fleet: Fleet
    store: Callable[[str], Store]
    letters: Callable[[str], DeadLetterBox]
    chain: Chain
    alerts: Alerts
    pace: Pace
    gone: Callable[[], Mapping[str, str]] = dict  # plans that this machine has snapshots of and Redis does not have
    _bad: Persistence = field(default_factory=lambda: Persistence(RAISE_AFTER))
    _good: Persistence = field(default_factory=lambda: Persistence(CLEAR_AFTER))

    def look(self) -> bool:
        """Raise what is new, clear what is over; True when something is not sure yet: look again soon.

        Raises UnreachableError.
        """
        now = self.fleet.now()
        standing = self.alerts.standing()
        found, missing = self._found(now, standing)
        told = {name: message for name, message in found.items() if not held_back(name, missing)}
        new = [name for name in told if name not in standing]
        over = [name for name in standing if name not in found and not held_back(name, missing)]
        sure_bad, sure_good = self._bad.of(new, now), self._good.of(over, now)
        for name in sure_bad:
            if self._raised(name, told[name]):
                log.critical("ALERT %s: %s", name, told[name])
        for name in sure_good:
            if self.alerts.clear_once(name):
                log.warning("RECOVERED %s: %s", name, standing[name])
        return len(new) + len(over) > len(sure_bad) + len(sure_good)

    def forget(self) -> None:
        """Begin anew: the state took no writes, so that whoever lives could not say so."""
        self._bad = Persistence(RAISE_AFTER)

    def _raised(self, name: str, message: str) -> bool:
        try:
            return self.alerts.raise_once(name, message)
        except MoieError:
            self.forget()
            raise

    def _found(self, now: Ms, standing: Mapping[str, str]) -> tuple[dict[str, str], Missing | None]:
        plans, broken = _read(self.fleet, self.store)
        workers, gone = self.fleet.workers()
        beats, _ = self.fleet.beats()
        limit = self.pace.announced(beats).watched
        trace, known = self.chain.trace(), len(plans) + len(broken)
        missing = missing_link(Sight(now, limit, trace, beats, workers, gone, known))
        found = {
            **broken_link(missing),
            **broken,
            **stale_heartbeats(plans, limit),
            **expired_approvals(plans),
            **stopped_queues(plans),
            **_regressed(plans, self.store),
            **_unsealed(plans, self.store, limit),
            **gone_workers(gone),
            **gone_plans(self.gone(), standing, [plan.flags.name for plan in plans if plan.flags.revision]),
            **_refused([overview.flags.name for overview in plans], standing, self.letters),
        }
        return found, missing


def _regressed(plans: Sequence[Overview], store: Callable[[str], Store]) -> dict[str, str]:
    """The oldest ones by name, so that an alert that stands is over only when its job holds again."""
    found: dict[str, str] = {}
    for overview in plans:
        if overview.regressed:
            try:
                found |= regressions(overview, store(overview.flags.name).regressions(REGRESSIONS_TOLD))
            except UnreachableError:
                raise
            except MoieError as error:
                found |= _unread(overview.flags.name, error)
    return found


def _unread(plan: str, error: MoieError) -> dict[str, str]:
    return {f"plan:{plan}": f"plan {plan} cannot be read: {error}"}


def _unsealed(plans: Sequence[Overview], store: Callable[[str], Store], limit: timedelta) -> dict[str, str]:
    """Plans whose receipts nobody seals."""
    told = {overview.flags.name: unsealed(store(overview.flags.name), overview.now, limit) for overview in plans}
    return {f"{RECEIPTS}{plan}": f"plan {plan}: {message}" for plan, message in told.items() if message}


def _refused(
    plans: Sequence[str], standing: Mapping[str, str], letters: Callable[[str], DeadLetterBox]
) -> dict[str, str]:
    """Workers raise it when they refuse a job; it is over when nobody's letter says so any more."""
    wanted = LetterFilter(kind=LetterKind.JOB, reason=REFUSED, open_only=True)
    names = {f"{ALERT}{plan}": plan for plan in plans if f"{ALERT}{plan}" in standing}
    return {name: standing[name] for name, plan in names.items() if _is_any(letters(plan), wanted)}


def _is_any(letters: DeadLetterBox, wanted: LetterFilter) -> bool:
    """Letters that cannot be read do not say that anything is over."""
    try:
        return bool(letters.page(wanted, limit=1).heads)
    except UnreachableError:
        raise
    except MoieError:
        return True


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
            broken |= _unread(plan, error)
    return plans, broken
