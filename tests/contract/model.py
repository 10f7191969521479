"""Random schedules of beats, workers, faults and operators over one store or two in lockstep, with what must hold.

A schedule is a list of numbers, so a failing one is replayed by its seed and shrunk by leaving steps out.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from moie_worker.adapters.memory import MemoryStore
from moie_worker.adapters.memory.core import ManualTime
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.errors import MoieError
from moie_worker.plan.definition import Compiled, Definition, PhaseDefinition, digest
from moie_worker.plan.flow import SOVEREIGN, Answer, Attempt, Hint, Settlement
from moie_worker.plan.limits import APPROVAL_MS
from moie_worker.plan.states import Outcome, Place

Store = MemoryStore | RedisStore
Step = tuple[int, int, int]
LEASE = timedelta(seconds=30)
APPROVERS = ("ada@a", "bob@a")
QUEUES = ("default", "scan")
ORDERED = (Place.TIMED, Place.READY, Place.WAITING, Place.SENT)
WAITS = (1, 100, 600, 2_000, 5_000, 11_000, 33_000, 70_000)
MEASURED = '{"duration_s":0.1,"cpu_s":0,"max_rss_bytes":0,"error":""}'


class ViolationError(AssertionError):
    """Something that must hold did not."""


def job(name: str, phase: int, *, version: int = 0, **changes: Any) -> Definition:
    """A definition with the defaults of a plain job; another version is another command."""
    plain = Definition(
        id=name, position=0, phase=phase, cyclic=False, queue="default", needs=(), priority=0,
        digest=digest([name, version]), timing="", imported=False, idle=False, at_load=False,
        limit_ms=60_000, period_ms=0, job={"id": name},
    )  # fmt: skip
    return replace(plain, **changes)


def cyclic(name: str, phase: int, **changes: Any) -> Definition:
    """A cyclic job that runs every 10 s."""
    every: dict[str, Any] = {"cyclic": True, "timing": "t", "period_ms": 10_000}
    return job(name, phase, **(every | changes))


def plan(*jobs: Definition, approvals: Iterable[int] = (), persons: int = 1, expires_ms: int = APPROVAL_MS) -> Compiled:
    """A plan with the phases that its jobs name; some of them ask for approvals, on these terms."""
    phases = tuple(
        PhaseDefinition(
            p, f"phase {p}", p in approvals, digest([j.digest for j in jobs if j.phase == p]), persons, expires_ms
        )
        for p in sorted({j.phase for j in jobs})
    )
    return Compiled({"version": 3}, phases, jobs)


PLANS = (
    plan(
        job("a", 1), job("b", 1, needs=("a",)), job("c", 1, priority=2),
        job("d", 2), job("e", 2, queue="scan", needs=("d",)), job("f", 5),
        cyclic("x", 1), cyclic("y", 5, queue="scan"), approvals=(5,), persons=2, expires_ms=30_000,
    ),
    plan(
        job("a", 1), job("b", 1, version=1), job("c", 2, priority=2),
        job("d", 3), job("g", 3, needs=("d",)), job("f", 5, imported=True),
        cyclic("x", 1, timing="u"), cyclic("z", 7, at_load=True), approvals=(3,), expires_ms=10_000,
    ),
    plan(
        job("a", 1, version=2), job("d", 2), job("f", 5, queue="scan"),
        cyclic("i", 9, idle=True), cyclic("x", 3, version=1),
    ),
    plan(*(job(f"m{number}", 1, queue=QUEUES[number // 10]) for number in range(12)), cyclic("x", 1)),
)  # fmt: skip


@dataclass
class Held:
    """What a worker has begun and not ended."""

    hint: Hint
    nonce: str
    attempts: list[Attempt]


@dataclass
class World:
    """Stores in lockstep, the messages on their way and the workers that hold attempts."""

    stores: list[Store]
    advance: Callable[[int], None]
    messages: list[Hint] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    settled: set[str] = field(default_factory=set)
    digests: dict[str, str] = field(default_factory=dict)  # of what was begun, by token
    ended: list[tuple[Settlement, Hint]] = field(default_factory=list)
    completed: set[str] = field(default_factory=set)
    names: int = 0
    changed: bool = False  # since the oracle looked last
    reached: int = -1
    read: int = 0  # so much of the journal was looked at
    storm: bool = False  # nothing can be run

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

    # -- steps ------------------------------------------------------------------------------------

    def wait(self, a: int, _: int) -> None:
        self.advance(WAITS[a % len(WAITS)])

    def reserve(self, a: int, b: int) -> None:
        queue, window, name = QUEUES[a % 2], 1 + b % 4, self.name()
        reserved = self.each(lambda store: store.reserve(queue, window, name))
        for number, hint in enumerate(reserved.hints):
            fate = (a // 2 + b + number) % 8
            if fate != 7:  # else the beat died before it published
                self.messages += [hint] * (2 if fate == 6 else 1)
            if fate < 6:
                self.each(partial(_sent, hint))

    def begin(self, a: int, b: int) -> None:
        if not self.messages:
            return
        hint = self.messages.pop(a % len(self.messages))
        nonce = self.name()
        attempts = self.each(lambda store: store.begin(hint, nonce, "w", LEASE))
        for attempt in attempts:
            self.check_begun(attempt)
        if b % 5 == 0 and self.each(lambda store: store.begin(hint, nonce, "w", LEASE)) != attempts:
            raise ViolationError("the same nonce got another answer")
        if b % 7 == 0:
            self.messages.append(hint)
        if attempts:
            self.held.append(Held(hint, nonce, attempts))

    def check_begun(self, attempt: Attempt) -> None:
        """What began waits for nothing, and its phase was approved as it is."""
        twin, this = self.twin, attempt.definition
        self.digests[attempt.token] = this.digest
        if what := twin.unmet(twin.jobs[this.id]):
            raise ViolationError(f"{this.id} began and waits for {what}")
        breaker = twin.breakers.get(this.queue)
        if breaker and breaker.opened and twin.leases[attempt.token].canary != breaker.opened:
            raise ViolationError(f"{this.id} began in a queue that is stopped")
        phase, answer = twin.phases.get(this.phase), twin.approvals.get(this.phase)
        if phase is None:
            raise ViolationError(f"{this.id} began and its phase is gone")
        said = {vote.who for vote in answer.yes} if answer and answer.digest == phase.digest else set()
        said -= {"ops"} if phase.persons > 1 else set()  # who loads every plan here
        if phase.approval and not this.at_load and len(said) < phase.persons:
            raise ViolationError(f"{this.id} began and phase {phase.id} is not approved as it is, but by {said}")

    def settle(self, a: int, b: int) -> None:
        if not self.held:
            return
        held = self.held.pop(a % len(self.held))
        cut = b % (len(held.attempts) + 1) or len(held.attempts)
        ending, rest = held.attempts[:cut], held.attempts[cut:]
        settlements = [self.verdict(attempt, a // 3 + b // 3 + n) for n, attempt in enumerate(ending)]
        if rest:
            self.held.append(replace(held, attempts=rest))
        self._settle(settlements, held.hint, done=not rest)
        if a % 6 == 0:
            again = self.each(lambda store: store.settle(settlements, held.hint, not rest))
            if Answer.SETTLED in again:
                raise ViolationError("a settlement counted twice")
        self.ended += [(settlement, held.hint) for settlement in settlements]

    def _settle(self, settlements: list[Settlement], hint: Hint, done: bool) -> None:
        answers = self.each(lambda store: store.settle(settlements, hint, done))
        for settlement, answer in zip(settlements, answers, strict=True):
            if answer != Answer.SETTLED:
                continue
            if settlement.token in self.settled:
                raise ViolationError("a token settled twice")
            self.settled.add(settlement.token)
            if self.digests[settlement.token] != self.twin.jobs[settlement.job].definition.digest:
                raise ViolationError(f"{settlement.job} was settled by what another command did")

    def verdict(self, attempt: Attempt, choice: int) -> Settlement:
        """Some ending that a worker could choose."""
        now, definition = self.twin.now, attempt.definition
        plain = Settlement(attempt.token, definition.id, Outcome.PASSED, Place.COMPLETED, duration_ms=choice % 400,
                           evidence=f'{{"n":{choice}}}')  # fmt: skip
        if self.storm and not definition.cyclic and choice % 8:
            dead = Settlement(attempt.token, definition.id, Outcome.BROKEN, Place.DEAD, reason="storm", duration_ms=3)
            return dead if choice % 3 else replace(dead, place=Place.TIMED, due=now + 500, reason="")
        if definition.cyclic:
            slot = max(attempt.slot, now) + 10_000
            run = Settlement(attempt.token, definition.id, Outcome.PASSED, Place.TIMED, due=slot, slot=slot, run=True,
                             fresh=True, measured=MEASURED, duration_ms=5)  # fmt: skip
            if choice % 4:
                return run
            failed = MEASURED.replace('"error":""', '"error":"no"')
            return replace(run, outcome=Outcome.FAILED, run=False, reason="no", measured=failed)
        match choice % 6:
            case 0:
                return replace(plain, outcome=Outcome.FAILED, place=Place.WAITING, fresh=True, message="no")
            case 1:
                return replace(plain, outcome=Outcome.BROKEN, place=Place.TIMED, due=now + 700)
            case 2:
                return replace(plain, outcome=Outcome.TIMED_OUT, place=Place.DEAD, reason="timed out")
            case _:
                return plain

    def weather(self, a: int, _: int) -> None:
        """From now on nothing can be run, or everything can again; what died is started anew."""
        self.storm = a % 3 > 0
        self.go_well(a, 0)

    def late(self, a: int, _: int) -> None:
        """An old settlement arrives again."""
        if self.ended:
            settlement, hint = self.ended[a % len(self.ended)]
            self._settle([settlement], hint, done=False)

    def renew(self, a: int, _: int) -> None:
        if self.held:
            held = self.held[a % len(self.held)]
            self.each(lambda store: store.renew([t.token for t in held.attempts], LEASE, held.hint))

    def arm(self, a: int, b: int) -> None:
        if self.held:
            held = self.held[a % len(self.held)]
            attempt = held.attempts[b % len(held.attempts)]
            if attempt.definition.cyclic:
                slot = self.twin.now + 1 + b % 9_000
                self.each(lambda store: store.arm(attempt.token, slot, slot))

    def die(self, a: int, _: int) -> None:
        if self.held:
            self.held.pop(a % len(self.held))

    def release(self, a: int, _: int) -> None:
        if self.held:
            held = self.held.pop(a % len(self.held))
            tokens = [attempt.token for attempt in held.attempts]
            self.each(lambda store: store.release(tokens, held.hint, True))

    def rescue(self, _: int, __: int) -> None:
        self.each(lambda store: store.rescue())

    def gap(self, a: int, _: int) -> None:
        if a % 4 == 0:
            self.each(lambda store: store.gap())

    def beat(self, _: int, __: int) -> None:
        self.each(lambda store: store.beat("report", "beat"))

    def load(self, a: int, b: int) -> None:
        base = self.twin.flags.revision - (b % 9 == 0)
        self.each(lambda store: store.load(PLANS[a % len(PLANS)], base, "ops", "why"))
        if b % 3:
            self.apply(0, 0)

    def apply(self, _: int, __: int) -> None:
        self.each(lambda store: store.apply())

    def operate(self, a: int, b: int) -> None:
        jobs = sorted(self.twin.jobs)
        if not jobs:
            return
        name = jobs[b % len(jobs)]
        who = ("ops", "because")
        acts: list[Callable[[Store], Any]] = [
            lambda store: store.pause(*who),
            lambda store: store.resume(*who),
            lambda store: store.resume(*who),
            lambda store: store.cancel(name, *who),
            lambda store: store.retry(name, *who),
            lambda store: store.run(name, *who),
            lambda store: store.replay(name, *who),
            lambda store: store.discard(name, *who),
            lambda store: store.answer(b % 6, True, *who),
            lambda store: store.answer(b % 6, False, *who),
            lambda store: store.cancel_plan(*who),
            lambda store: store.answer(b % 6, True, APPROVERS[b % 2], "because"),
            lambda store: store.answer(b % 6, True, APPROVERS[b // 6 % 2], "because"),
            lambda store: store.expire(b % 6),
            lambda store: store.resume_queue(QUEUES[b % 2], *who),
        ]
        self.each(acts[a % len(acts)])

    # -- what must hold ---------------------------------------------------------------------------

    def check(self) -> None:
        """The oracle, after every step that asked something of the stores."""
        twin = self.twin
        parked, running = [], []
        for name, state in twin.jobs.items():
            if state.place is Place.PARKED:
                parked.append(name)
            elif state.place is Place.RUNNING:
                running.append(name)
        live = [lease.job for lease in twin.leases.values() if not lease.armed]
        if len(live) != len(running) or set(live) != set(running):
            raise ViolationError(f"running are {running}, live leases are of {live}")
        for token, lease in twin.leases.items():
            if lease.job not in twin.jobs:
                raise ViolationError(f"lease {token} of a job that is not there")
        if parked:
            self._check_parked(parked)
        if len(twin.journal) > self.read:
            self._check_reached()
        front, reached = twin.flags.frontier, twin.flags.reached
        if any(reached < phase <= front for phase in twin.phases) and not twin.flags.loading:
            raise ViolationError(f"a phase before {front} was never reached, but {reached}")

    def _check_parked(self, parked: list[str]) -> None:
        """Whatever is parked waits for something that will wake it, or was woken already."""
        twin = self.twin
        woken = {name for names in twin.woken for name in names}
        listed = {name for names in twin.parked.values() for name in names}
        for name in parked:
            if name in woken:
                continue
            if name not in listed:
                raise ViolationError(f"{name} is parked and on no list")
            if not twin.flags.loading and twin.unmet(twin.jobs[name]) is None:
                raise ViolationError(f"{name} is parked and waits for nothing")

    def _check_reached(self) -> None:
        for entry in self.twin.journal[self.read :]:
            if entry.event == "phase.reached":
                if entry.data["phase"] <= self.reached:
                    raise ViolationError(f"phase {entry.data['phase']} was reached after {self.reached}")
                self.reached = entry.data["phase"]
        self.read = len(self.twin.journal)

    def agree(self) -> None:
        """All that can be read is the same in every store."""
        views = [_views(store) for store in self.stores]
        for other in views[1:]:
            for what, ours in views[0].items():
                if other[what] != ours:
                    raise ViolationError(f"{what} differ:\n  {ours}\n  {other[what]}")

    def heal(self) -> None:
        """Without further faults the plan ends: every job that is not cyclic is verified."""
        if self.twin.flags.revision == 0:
            self.each(lambda store: store.load(PLANS[0], 0, "ops", "heal"))
        self.apply(0, 0)
        self.each(lambda store: store.resume("ops", "heal"))
        for phase in self.twin.phases.values():
            if phase.approval:
                for who in APPROVERS:
                    self.each(partial(_approve, phase.id, who))
        self.storm = False
        self.held.clear()
        self.messages.clear()
        for _ in range(60):
            if self.twin.flags.frontier == SOVEREIGN and not self.twin.leases:
                return
            self.go_well(0, 0)
        stuck = {n: s.place for n, s in self.twin.jobs.items() if s.place != Place.COMPLETED}
        raise ViolationError(f"the plan does not end: {stuck}, frontier {self.twin.flags.frontier}")

    def go_well(self, _: int, __: int) -> None:
        """A beat and workers without any fault."""
        self.advance(20_000)
        self.each(lambda store: store.rescue())
        for name, state in sorted(self.twin.jobs.items()):
            if state.place in {Place.DEAD, Place.CANCELLED}:
                self.each(partial(_retry, name))
        self.each(lambda store: store.beat("report", "beat"))
        for queue in QUEUES:
            for hint in self.each(partial(_reserve, queue, self.name())).hints:
                self.each(partial(_sent, hint))
                attempts = self.each(partial(_begin, hint, self.name()))
                for attempt in attempts:
                    self.check_begun(attempt)
                self._settle([self.verdict(attempt, 5 + n) for n, attempt in enumerate(attempts)], hint, done=True)
        self.check()


STEPS: tuple[tuple[Callable[[World, int, int], None], int], ...] = (
    (World.wait, 4), (World.reserve, 6), (World.begin, 6), (World.settle, 5), (World.late, 1), (World.renew, 1),
    (World.arm, 1), (World.die, 2), (World.release, 1), (World.rescue, 2), (World.gap, 1), (World.beat, 1),
    (World.load, 1), (World.apply, 2), (World.operate, 3), (World.go_well, 2),
    (World.weather, 2),
)  # fmt: skip
CHOICES = [step for step, weight in STEPS for _ in range(weight)]


def schedule(seed: int, length: int = 40) -> list[Step]:
    """The steps of a seed; a plan is loaded first."""
    dice = random.Random(seed)
    load = (CHOICES.index(World.load), dice.randrange(len(PLANS)), 1)
    choices, figures = dice.choices(range(len(CHOICES)), k=length), dice.choices(range(64), k=2 * length)
    return [load, *zip(choices, figures[::2], figures[1::2], strict=True)]


def play(world: World, steps: Iterable[Step], *, agree: bool = False) -> None:
    """Run a schedule with the oracle after every step. Raises ViolationError."""
    for choice, a, b in steps:
        CHOICES[choice](world, a, b)
        if not world.changed:
            continue
        world.check()
        if agree:
            world.agree()
        world.changed = False
    world.heal()
    if agree:
        world.agree()


def shrink(steps: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """Leave out steps while the schedule still fails."""
    size = max(1, len(steps) // 2)
    while size:
        start = 0
        while start < len(steps):
            shorter = steps[:start] + steps[start + size :]
            if fails(shorter):
                steps = shorter
            else:
                start += size
        size //= 2
    return steps


def told(steps: list[Step]) -> str:
    """A schedule for people."""
    return "\n".join(f"  {CHOICES[choice].__name__}({a}, {b})" for choice, a, b in steps)


def twin_world() -> World:
    """A world of the twin alone."""
    time = ManualTime()
    return World([MemoryStore("model", time)], time.advance)


def _reserve(queue: str, name: str, store: Store) -> Any:
    return store.reserve(queue, 4, name)


def _sent(hint: Hint, store: Store) -> None:
    store.sent(hint)


def _begin(hint: Hint, nonce: str, store: Store) -> Any:
    return store.begin(hint, nonce, "w", LEASE)


def _approve(phase: int, who: str, store: Store) -> None:
    store.answer(phase, True, who, "heal")


def _retry(job: str, store: Store) -> None:
    store.retry(job, "ops", "heal")


def _answer(act: Callable[[Store], Any], store: Store) -> Any:
    try:
        return act(store)
    except MoieError as error:
        return type(error)


def _views(store: Store) -> dict[str, Any]:
    overview = store.overview()
    if overview.flags.loading:
        return {}
    jobs = {view.definition.id: view for view in store.all_jobs()}
    return {
        "overviews": replace(overview, now=0, queues=()),
        "jobs": jobs,
        "orders": [view.definition.id for view in store.in_places(ORDERED, 100)],  # with the places, the order in each
        "journals": [(e.event, e.job, e.who, e.why, e.data) for e in store.read_journal(32)],  # no step writes more
    }
