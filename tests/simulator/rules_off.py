"""The heart with one rule of the protocol switched off: the twin with one method or figure changed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from moie_worker.adapters.memory import steps
from moie_worker.adapters.memory.core import Core
from moie_worker.adapters.memory.loading import Loading
from moie_worker.adapters.memory.offers import Offers
from moie_worker.adapters.memory.operating import Operating
from moie_worker.adapters.memory.reverifying import Reverifying
from moie_worker.adapters.memory.snapshots import Snapshots
from moie_worker.adapters.memory.steps import Steps
from moie_worker.plan.flow import Stopped
from moie_worker.plan.states import Place

NEVER = 10**15


@dataclass(frozen=True)
class Mutant:
    """A rule, and the method of the twin without it: `without` is given the method as it is."""

    rule: str
    owner: Any
    name: str
    without: Callable[[Any], Any]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The rule is off."""
        with patch.object(self.owner, self.name, self.without(getattr(self.owner, self.name))):
            yield


def instead(value: Any) -> Callable[[Any], Any]:
    """Another value in the place of the old one."""
    return lambda _: value


def _first(change: Callable[..., None]) -> Callable[[Any], Any]:
    """Do something, then the step."""

    def without(step: Any) -> Any:
        def changed(self: Any, *args: Any) -> Any:
            change(self, *args)
            return step(self, *args)

        return changed

    return without


def _by_name(settle_one: Any) -> Any:
    def settle(self: Any, this: Any) -> Any:
        state = self.jobs.get(this.job)
        return settle_one(self, replace(this, token=state.token) if state and state.token else this)

    return settle


def _same_revision(self: Any, record: Any) -> None:
    if record.stopped is Stopped.SUPERSEDED:
        record.stopped = None
    if record.job in self.jobs:
        record.revision = self.jobs[record.job].revision


def _frontier_forwards(advance: Any) -> Any:
    def changed(self: Any) -> None:
        old = self.flags.frontier
        advance(self)
        self.set(frontier=max(old, self.flags.frontier))

    return changed


def _below_mark(self: Any) -> None:
    if self.flags.reached > self.flags.frontier >= 0:
        self.set(reached=self.flags.frontier)


def _cancelled_is_done(open_phases: Any) -> Any:
    def changed(self: Any) -> frozenset[int]:
        found = frozenset(s.definition.phase for s in self.jobs.values()
                          if not s.definition.cyclic and s.place not in {Place.COMPLETED, Place.CANCELLED})  # fmt: skip
        return frozenset(p for p in open_phases(self) if p in found or self.awaits(p))

    return changed


def _forgets_nonce(begin_one: Any) -> Any:
    def changed(self: Any, job: str, *args: Any) -> Any:
        running = job in self.jobs and self.jobs[job].place is Place.RUNNING
        return None if running else begin_one(self, job, *args)

    return changed


def _begins_again(self: Any, job: str, *_: Any) -> None:
    if job in self.jobs and self.jobs[job].place is Place.RUNNING:
        self.jobs[job].place = Place.READY


def _unlooked(begin_one: Any) -> Any:
    def changed(self: Any, *args: Any) -> Any:
        self.unmet = lambda state: None
        try:
            return begin_one(self, *args)
        finally:
            del self.unmet

    return changed


def _blind_to(flag: str) -> Callable[[Any], Any]:
    def without(may_begin: Any) -> Any:
        def changed(self: Any, hint: Any) -> bool:
            flags = self.flags
            self.set(**{flag: False})
            may: bool = may_begin(self, hint)
            self.flags = flags
            return may

        return changed

    return without


def _blind_to_breakers(_: Any) -> Any:
    return lambda self, hint: not (self.flags.paused or self.flags.cancelled or self.flags.loading)


def _uncounted(begin_one: Any) -> Any:
    def changed(self: Any, job: str, *args: Any) -> Any:
        before = self.jobs[job].attempts if job in self.jobs else 0
        attempt = begin_one(self, job, *args)
        if attempt:
            self.jobs[job].attempts = before
            attempt = replace(attempt, attempts=before)
        return attempt

    return changed


def _unlimited(self: Any, *_: Any) -> None:
    for lease in self.leases.values():
        lease.ends = NEVER


def _tells_nobody(renew: Any) -> Any:
    return lambda self, *args: ["gone" if said == "gone" else "ok" for said in renew(self, *args)]


def _charged_in_gaps(self: Any, record: Any) -> None:
    record.begun_at = max(record.begun_at, self.gap_at + 1)


def _charged_in_batches(self: Any, record: Any) -> None:
    record.alone = True


def _counts_as_try(self: Any, record: Any) -> None:
    if record.job in self.jobs and not record.armed:
        self.jobs[record.job].attempts += 1


def _not_solo(lose: Any) -> Any:
    def changed(self: Any, record: Any) -> None:
        lose(self, record)
        if record.job in self.jobs:
            self.jobs[record.job].solo = False

    return changed


def _any_slot(self: Any, token: str, slot: int, due: int) -> None:
    if token in self.leases:
        self.jobs[self.leases[token].job].slot = 0


def _never_in_vain(self: Any, queue: str) -> None:
    for state in self.jobs.values():
        if state.place is Place.SENT:
            state.score = NEVER


def _any_base(load: Any) -> Any:
    return lambda self, plan, base, who, why: load(self, plan, self.flags.revision, who, why)


def _lease_dropped(remove: Any) -> Any:
    def changed(self: Any, job: str) -> None:
        remove(self, job)
        self.forget(job)

    return changed


def _retry_running(self: Any, job: str, who: str, why: str) -> None:
    if job in self.jobs and self.jobs[job].place is Place.RUNNING:
        self.jobs[job].place = Place.READY


def _any_approval(awaits: Any) -> Any:
    return lambda self, phase: awaits(self, phase) and phase not in self.approvals


def _unstopped(stop: Any) -> Any:
    return lambda self, job, why: None


def _wakes_nobody(wake: Any) -> Any:
    return lambda self, what: None if what.startswith("job:") else wake(self, what)


def _any_queue(begin: Any) -> Any:
    def changed(self: Any, hint: Any, *args: Any) -> Any:
        queues = {self.jobs[job].definition.queue for job in hint.jobs if job in self.jobs}
        return begin(self, replace(hint, queue=queues.pop()) if len(queues) == 1 else hint, *args)

    return changed


def _uncounted_hints(reserve: Any) -> Any:
    def changed(self: Any, queue: str, *args: Any) -> Any:
        under_way = self.hints.pop(queue, {})
        reserved = reserve(self, queue, *args)
        self.hints[queue] = under_way | self.hints.get(queue, {})
        return reserved

    return changed


def _looked_at_once(candidates: Any) -> Any:
    def changed(self: Any, queue: str) -> Any:
        flags = self.flags
        self.set(look_before=NEVER)
        found = candidates(self, queue)
        self.flags = flags
        return found

    return changed


def _nothing(_: Any) -> Any:
    return lambda *args, **named: None


MUTANTS = {
    "token": Mutant("a settlement is fenced by its token", Steps, "_settle_one", _by_name),
    "revision": Mutant("an attempt at an older job is superseded", Steps, "_ended_otherwise", _first(_same_revision)),
    "regression": Mutant("the frontier is computed, and goes back", Core, "advance_frontier", _frontier_forwards),
    "promotion": Mutant("a phase is reached once", Core, "advance_frontier", _first(_below_mark)),
    "cancelled": Mutant("cancelled is not done", Core, "open_phases", _cancelled_is_done),
    "lease": Mutant("the rescue looks at the end of the lease", steps, "RESCUE_AFTER_MS", instead(-NEVER)),
    "guard": Mutant("the rescue waits for the guard", steps, "RESCUE_AFTER_MS", instead(0)),
    "grace": Mutant("the rescue waits after a gap", steps, "GAP_GRACE_MS", instead(0)),
    "nonce": Mutant("the same nonce gets the same answer", Steps, "_begin_one", _forgets_nonce),
    "place": Mutant("what runs does not begin again", Steps, "_begin_one", _first(_begins_again)),
    "needs": Mutant("begin looks at needs and phase again", Steps, "_begin_one", _unlooked),
    "paused": Mutant("nothing begins in a paused plan", Steps, "_may_begin", _blind_to("paused")),
    "stopped": Mutant("nothing begins in a cancelled plan", Steps, "_may_begin", _blind_to("cancelled")),
    "loading": Mutant("nothing begins while a plan loads", Steps, "_may_begin", _blind_to("loading")),
    "attempts": Mutant("begin counts the attempt", Steps, "_begin_one", _uncounted),
    "release": Mutant("what is given back does not count", Steps, "_give_back", _first(_counts_as_try)),
    "losses": Mutant("a loss counts apart from retries", Steps, "_lose", _first(_counts_as_try)),
    "deaths": Mutant("three losses end a job", steps, "LOSSES", instead(NEVER)),
    "gap": Mutant("no loss is charged after a gap", Steps, "_lose", _first(_charged_in_gaps)),
    "batch": Mutant("a loss in a batch charges nobody", Steps, "_lose", _first(_charged_in_batches)),
    "solo": Mutant("what was lost travels alone", Steps, "_lose", _not_solo),
    "limit": Mutant("no renewal after the time limit", Steps, "renew", _first(_unlimited)),
    "stop": Mutant("renew says that an attempt is wanted gone", Steps, "renew", _tells_nobody),
    "cancel": Mutant("cancel stops what runs", Core, "stop_attempts", _unstopped),
    "slot": Mutant("slots only go on", Steps, "arm", _first(_any_slot)),
    "expiry": Mutant("what nobody begins is offered again", Offers, "_maintain", _first(_never_in_vain)),
    "base": Mutant("a plan for another revision is refused", Loading, "load", _any_base),
    "removed": Mutant("a removed job keeps its lease", Loading, "_remove", _lease_dropped),
    "retry": Mutant("what runs is not started anew", Operating, "retry", _first(_retry_running)),
    "digest": Mutant("an approval is for the jobs it was given for", Core, "awaits", _any_approval),
    "fence": Mutant("a restore fences what runs", Snapshots, "_fence", _nothing),
    "letter": Mutant("what is dead says why", Core, "bury", _nothing),
    "receipt": Mutant("what is verified leaves a receipt", Core, "keep_receipt", _nothing),
    "breaker": Mutant("a stopped queue begins one job at a time", Steps, "_may_begin", _blind_to_breakers),
    "queue": Mutant("begin looks at the queue", Steps, "begin", _any_queue),
    "window": Mutant("the window counts what is under way", Offers, "reserve", _uncounted_hints),
    "waiting": Mutant("a heartbeat lets waiting jobs be looked at again", Offers, "_candidates", _looked_at_once),
    "wake": Mutant("who waits for a job is woken by its end", Core, "wake", _wakes_nobody),
    "look": Mutant("a look that says no opens its job", Reverifying, "judge_job", instead(lambda *_: False)),
    "over": Mutant("a regression is over when its job is verified", Core, "close_regression", _nothing),
}  # fmt: skip
