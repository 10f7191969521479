"""One plan in a store, or in two in lockstep, with the messages on their way and the workers that hold attempts."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from moie_worker.adapters.memory import MemoryStore
from moie_worker.adapters.memory.core import ManualTime
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.errors import MoieError
from moie_worker.heart.audit import audit
from moie_worker.plan.flow import Answer, Attempt, Hint, Settlement
from moie_worker.plan.snapshot import Saved
from moie_worker.plan.states import Outcome, Place
from tests.contract.model import LEASE, Store, receipt
from tests.simulator import oracle
from tests.simulator.ledger import Ledger, ViolationError

MEASURED = '{"duration_s":0.1,"cpu_s":0,"max_rss_bytes":0,"error":""}'
PERIOD_MS = 10_000  # of the cyclic jobs


@dataclass
class Held:
    """What a worker has begun and not ended."""

    hint: Hint
    nonce: str
    attempts: list[Attempt]
    worker: str


@dataclass
class World:
    """What a schedule plays in. The oracle looks at it after each step that asked something of the stores."""

    stores: list[Store]
    advance: Callable[[int], None]
    anew: Callable[[], list[Store]]  # the same stores, empty
    ledger: Ledger = field(default_factory=Ledger)
    full: bool = False  # Redis has no room: what adds is refused
    storm: bool = False  # nothing can be run
    calm: bool = False  # what was verified holds
    killer: str = ""  # a job that ends its worker each time
    seen: Counter[str] = field(default_factory=Counter)  # faults that came about
    messages: list[Hint] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    unanswered: list[Held] = field(default_factory=list)  # begun, and the worker does not know it
    ended: list[tuple[Settlement, Hint]] = field(default_factory=list)
    snapshots: list[list[Saved]] = field(default_factory=list)  # each as every store has it
    names: int = 0
    changed: bool = False  # since the oracle looked last

    @property
    def twin(self) -> MemoryStore:
        first = self.stores[0]
        assert isinstance(first, MemoryStore)
        return first

    def each(self, act: Callable[[Store], Any]) -> Any:
        """Do the same on every store; all must answer alike, refusals too."""
        self.changed = True
        answers = [_answer(act, store) for store in self.stores]
        for other in answers[1:]:
            if other != answers[0]:
                raise ViolationError(f"the stores disagree:\n  {answers[0]}\n  {other}")
        return answers[0]

    def name(self) -> str:
        self.names += 1
        return f"n{self.names}"

    def offer(self, queue: str, window: int) -> tuple[Hint, ...]:
        """What a beat would publish."""
        name = self.name()
        hints: tuple[Hint, ...] = self.each(lambda store: store.reserve(queue, window, name)).hints
        self.ledger.offered(self.twin, hints, window)
        return hints

    def publish(self, hint: Hint) -> None:
        """Say that a hint is on its way."""
        self.each(lambda store: store.sent(hint))

    def begin(self, hint: Hint, nonce: str, worker: str) -> Held:
        """A worker takes what a hint names."""
        attempts = self.each(lambda store: store.begin(hint, nonce, worker, LEASE))
        for attempt in attempts:
            if not self.ledger.knows(attempt.token):
                oracle.check_begun(self.twin, attempt, hint)
                self.ledger.begin(self.twin, attempt, hint)
        return Held(hint, nonce, attempts, worker)

    def survives(self, held: Held) -> bool:
        """Whether what a worker has begun lets it live."""
        return all(attempt.definition.id != self.killer for attempt in held.attempts)

    def settle(self, settlements: list[Settlement], hint: Hint, *, done: bool) -> None:
        """A worker says how attempts ended."""
        answers = self.each(lambda store: store.settle(settlements, hint, done))
        for settlement, answer in zip(settlements, answers, strict=True):
            if answer is not Answer.SETTLED:
                self.seen[f"ending answered: {answer}"] += 1
            self.ledger.settled(self.twin, settlement, answer)

    def rescue(self) -> None:
        """A beat takes back what nobody holds any more."""
        before = dict(self.twin.leases)
        if self.each(lambda store: store.rescue()):
            self.seen["attempt lost"] += 1
        self.ledger.rescued(self.twin, before)

    def apply(self) -> None:
        """A beat brings the next jobs to the revision that was loaded."""
        self.each(lambda store: store.apply())
        self.ledger.applied(self.twin)

    def retry_ended(self) -> None:
        """Start anew what died or was cancelled."""
        for name, state in sorted(self.twin.jobs.items()):
            if state.place in {Place.DEAD, Place.CANCELLED}:
                refused = self.each(lambda store, name=name: store.retry(name, "ops", "heal"))  # type: ignore[misc]
                if not isinstance(refused, type):
                    self.ledger.anew(name)

    def check(self) -> None:
        """The oracle."""
        oracle.check(self.twin, self.ledger)
        self.changed = False

    def audit(self) -> None:
        """What `moie doctor --audit` looks at, where there is a Redis. No beat looks at leases here."""
        for store in self.stores[1:]:
            assert isinstance(store, RedisStore)
            for broken in audit(store, overdue=False).broken:
                raise ViolationError(f"{broken.rule}: {broken.where} {broken.what} {broken.message}")

    def agree(self) -> None:
        """All that can be read is the same in every store."""
        views = [oracle.views(store) for store in self.stores]
        for other in views[1:]:
            for what, ours in views[0].items():
                if other[what] != ours:
                    raise ViolationError(f"{what} differ:\n  {ours}\n  {other[what]}")


def verdict(world: World, attempt: Attempt, choice: int) -> Settlement:
    """Some ending that a worker could choose."""
    now, definition = world.twin.now, attempt.definition
    plain = Settlement(attempt.token, definition.id, Outcome.PASSED, Place.COMPLETED, duration_ms=choice % 400,
                       evidence=f'{{"n":{choice}}}', receipt=receipt(attempt.token))  # fmt: skip
    if world.storm and not definition.cyclic and choice % 8:
        dead = Settlement(attempt.token, definition.id, Outcome.BROKEN, Place.DEAD, reason="storm", duration_ms=3)
        return dead if choice % 3 else _with(dead, place=Place.TIMED, due=now + 500, reason="")
    if definition.verifies:
        return _looked(attempt, now, 9 if world.calm else (choice + world.names) % 10)
    if definition.cyclic:
        return _run(attempt, now, failed=choice % 4 == 0)
    match choice % 6:
        case 0:
            return _with(plain, outcome=Outcome.FAILED, place=Place.WAITING, fresh=True, message="no")
        case 1:
            return _with(plain, outcome=Outcome.BROKEN, place=Place.TIMED, due=now + 700)
        case 2:
            return _with(plain, outcome=Outcome.TIMED_OUT, place=Place.DEAD, reason="timed out")
        case _:
            return plain


def _run(attempt: Attempt, now: int, *, failed: bool) -> Settlement:
    """A run of a cyclic job."""
    slot = max(attempt.slot, now) + PERIOD_MS
    run = Settlement(attempt.token, attempt.definition.id, Outcome.PASSED, Place.TIMED, due=slot, slot=slot, run=True,
                     fresh=True, measured=MEASURED, duration_ms=5)  # fmt: skip
    measured = MEASURED.replace('"error":""', '"error":"no"')
    return _with(run, outcome=Outcome.FAILED, run=False, reason="no", measured=measured) if failed else run


def _looked(attempt: Attempt, now: int, choice: int) -> Settlement:
    """A look at a job that is to stay verified."""
    held = Settlement(attempt.token, attempt.definition.id, Outcome.PASSED, Place.TIMED, due=now + PERIOD_MS,
                      slot=now + PERIOD_MS, fresh=True, duration_ms=4, evidence=f'{{"n":{choice}}}',
                      receipt=receipt(attempt.token))  # fmt: skip
    no = _with(held, outcome=Outcome.FAILED, message="no")
    match choice:
        case 0:
            return _with(no, fresh=False, due=now + 300, slot=0)
        case 1 | 2 | 3:
            return no
        case 4:
            return _with(no, outcome=Outcome.BROKEN, reason="cannot be run")
        case _:
            return held


def _with(settlement: Settlement, **changes: Any) -> Settlement:
    return replace(settlement, **({"receipt": ""} | changes))


def twin_world() -> World:
    """A world of the twin alone."""
    time = ManualTime()

    def anew() -> list[Store]:
        return [MemoryStore("model", time)]

    return World(anew(), time.advance, anew)


def _answer(act: Callable[[Store], Any], store: Store) -> Any:
    try:
        return act(store)
    except MoieError as error:
        return type(error)
