"""The beat's side of the plans: look at every plan, offer what is due, take back what was lost.

Any number of beats do this at once. Nothing is decided here that Redis does not decide again when a worker begins.
"""

import logging
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from moie_worker.errors import MoieError, UnreachableError
from moie_worker.heart.quietly import Complaints
from moie_worker.plan.flow import Hint
from moie_worker.plan.presence import Worker, slots
from moie_worker.plan.times import Ms
from moie_worker.ports import Fleet, Store

HINTS = "hints"  # what is complained about
APPLY_AT_ONCE = 8  # batches of a load that one look applies, so that other plans wait little

log = logging.getLogger(__name__)


@dataclass
class Dispatcher:
    """What one beat knows between two looks; all of it may be lost."""

    fleet: Fleet
    store: Callable[[str], Store]
    publish: Callable[[str, Hint], None]  # to the workers of its queue
    complaints: Complaints = field(default_factory=Complaints)
    _busy: dict[str, set[str]] = field(default_factory=dict)  # queue -> plans that had something for it
    _dues: dict[str, Ms] = field(default_factory=dict)  # plan -> when to look at it again (Redis' time), 0: at once
    _workers: Sequence[Worker] = ()
    _turn: int = 0
    _known: frozenset[str] = frozenset()  # plans that were there in the last sweep
    _away: bool = False  # Redis was, when it was asked last
    _mute: bool = False  # the broker was, in this look

    def sweep(self) -> Ms | None:
        """Look at every plan, and take back what was lost; returns when the next timed job comes (Redis' time).

        0 means to look again at once. Raises UnreachableError when Redis is away. Where only the broker is,
        everything else goes on; what was reserved and not published is offered again.
        """
        try:
            plans = self.fleet.plans()
            if self._away:
                self._tell_gap(plans)
            self._tell_gone(plans)
            self._workers, _ = self.fleet.workers()
            self._dues = {plan: due for plan, due in self._dues.items() if plan in plans}
            self._busy = {queue: busy.intersection(plans) for queue, busy in self._busy.items()}
            self._turn += 1
            turn = self._turn % len(plans) if plans else 0
            due = self._look(plans[turn:] + plans[:turn], rescue=True)
            self._tell_swept()
            return due
        except UnreachableError:
            self.away()
            raise

    def look(self, rung: Collection[str]) -> Ms | None:
        """Between two sweeps: look at the plans that rang, and at those with something due. Answers like `sweep`."""
        if self._away:
            return self.sweep()
        try:
            now = self.fleet.now()
            return self._look(sorted({*rung, *(plan for plan, due in self._dues.items() if due <= now)}), rescue=False)
        except UnreachableError:
            self.away()
            raise

    def away(self) -> None:
        """Redis did not answer, perhaps somebody else in this process: nobody could renew a lease in the meantime."""
        self._away = True

    def _look(self, plans: Sequence[str], *, rescue: bool) -> Ms | None:
        self._mute = False
        for plan in plans:
            due = self._try(plan, rescue=rescue)
            if due is None:
                self._dues.pop(plan, None)
            else:
                self._dues[plan] = due
        return min(self._dues.values(), default=None)

    def _tell_gap(self, plans: Sequence[str]) -> None:
        """After Redis was away, what was running then must not be charged for it.

        Where another beat looked at the plans until now, or told of this gap already, only this one had no way to it.
        """
        if self.fleet.was_swept():
            log.warning("Redis can be reached again; other beats could all the time")
        else:
            log.warning("Redis is back; what ran while it was away is not charged for a loss")
            for plan in plans:
                self.store(plan).gap()
        self._away = False

    def _tell_swept(self) -> None:
        """Where it cannot be told, each beat that loses its way to Redis takes that for a gap: nobody is charged."""
        try:
            self.fleet.swept()
        except UnreachableError:
            raise
        except MoieError as error:
            log.debug("not told that plans were looked at: %s", error)

    def _tell_gone(self, plans: Sequence[str]) -> None:
        """No command takes a plan out of Redis: one that is missing is said aloud, and not loaded by itself."""
        for plan in sorted(self._known.difference(plans)):
            log.critical("plan %s is GONE from Redis: `moie backup restore --plan %s` brings it back", plan, plan)
        self._known = frozenset(plans)

    def _try(self, plan: str, *, rescue: bool) -> Ms | None:
        """What is wrong with one plan keeps no other from its work."""
        try:
            due = self._look_at(plan, rescue=rescue)
        except UnreachableError:
            raise
        except MoieError as error:
            if self.complaints.due(str(error), f"plan {plan}"):
                log.error("plan %s cannot be looked at: %s", plan, error)
            self._leave(plan)
            return None
        self.complaints.over(f"plan {plan}")
        return due

    def _look_at(self, plan: str, *, rescue: bool) -> Ms | None:
        store = self.store(plan)
        if rescue:
            store.rescue()
        if (rescue or self._dues.get(plan) == 0) and _is_loading(store):
            return 0
        due: Ms | None = None
        queues = store.queues()
        self._leave(plan, queues)
        for queue in queues:
            came = self._offer(plan, store, queue)
            due = came if due is None or (came is not None and came < due) else due
        return due

    def _leave(self, plan: str, queues: Collection[str] = ()) -> None:
        """A plan takes its part of the slots of no queue but these."""
        for queue, busy in self._busy.items():
            if queue not in queues:
                busy.discard(plan)

    def _offer(self, plan: str, store: Store, queue: str) -> Ms | None:
        busy = self._busy.setdefault(queue, set())
        window = -(-slots(self._workers, queue) // max(1, len(busy | {plan})))  # rounded up: each plan gets a turn
        reserved = store.reserve(queue, window, secrets.token_hex(6))
        for hint in reserved.hints:
            if not self._published(plan, hint):
                return None
            store.sent(hint)
        (busy.add if reserved.hints or reserved.more else busy.discard)(plan)
        return 0 if reserved.more else reserved.next_due

    def _published(self, plan: str, hint: Hint) -> bool:
        """False when the broker does not take it, and for the rest of this look: each try may take seconds."""
        if not self._mute:
            try:
                self.publish(plan, hint)
                self.complaints.over(HINTS)
            except UnreachableError as error:
                if self.complaints.due(str(error), HINTS):
                    log.error("%s", error)
                self._mute = True
        return not self._mute


def _is_loading(store: Store) -> bool:
    """Carry on with a load that somebody left; True when there is more of it than one look does."""
    return all(store.apply() for _ in range(APPLY_AT_ONCE))
