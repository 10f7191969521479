"""The heart on real Redis dies at every one of its calls in turn: the plan stands, and somebody else ends it.

What a process leaves when it dies before a call is what it leaves when it dies after the one before, so each run dies
after a call.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count

import pytest
import redis

from moie_worker.adapters.redis.store import RedisStore
from moie_worker.heart.audit import audit
from moie_worker.heart.batch import Desk
from moie_worker.heart.dispatch import Dispatcher
from moie_worker.heart.heartbeat import beat_all
from moie_worker.heart.hints import decline, work
from moie_worker.plan.compile import compile_plan
from moie_worker.plan.definition import Compiled
from moie_worker.plan.flow import SOVEREIGN, Answer, Hint, Settlement
from moie_worker.plan.model import Plan
from moie_worker.plan.presence import Worker
from moie_worker.plan.receipts import read_seal
from moie_worker.plan.states import Place
from tests.contract.conftest import ManualRedis
from tests.contract.crashing import runs_through
from tests.contract.model import LEASE
from tests.simulator.seals import SEALER, Stamp
from tests.unit.heart_kit import CYCLIC, FAILED, PASSED, FakeFleet, Heart

LATE_MS = 33_000  # a lease is over, and its guard had its time
ROUNDS = 12
START = 1_800_000_000_000
PLAN = "crashed"
Make = Callable[[ManualRedis], RedisStore]


def document(*phases: Sequence[dict[str, object]]) -> Compiled:
    """Phases of jobs whose command is their id."""
    rows = [
        {"id": number, "name": "p", "jobs": [{"task": "t", "verification_cmd": str(job["id"])} | job for job in jobs]}
        for number, jobs in enumerate(phases, 1)
    ]
    return compile_plan(Plan.model_validate({"version": 3, "phases": rows}), START)


FIRST = document([{"id": "a"}, {"id": "b"}, {"id": "gone"}, {"id": "tick", **CYCLIC}], [{"id": "c"}])
SECOND = document([{"id": "a"}, {"id": "b"}, {"id": "new"}, {"id": "tick", **CYCLIC}], [{"id": "c"}, {"id": "d"}])


def whole(manual: ManualRedis) -> RedisStore:
    return manual.store(PLAN)


class Machine:
    """A beat and a worker in one process; all that they know is lost with it."""

    def __init__(self, manual: ManualRedis, make: Make = whole) -> None:
        self.manual, self.store = manual, make(manual)
        self.hints: list[Hint] = []
        fleet = FakeFleet(names=[PLAN], here=[Worker("w", "here", 1, ("default",), 4, 0)], time=manual.time)
        self.fleet, heart = fleet, Heart()
        heart.runner.does = lambda command, stop: FAILED if self._says_no(str(command.cmd)) else PASSED
        self.desk: Desk = replace(heart.desk(), store=self.store, tools=replace(heart.tools, plan=PLAN, signer=Stamp()))
        self.beat = Dispatcher(fleet, lambda plan: self.store, lambda plan, hint: self.hints.append(hint))

    def _says_no(self, command: str) -> bool:
        return command == "b" and self.manual.time.now < START + 3 * LATE_MS

    def offered(self) -> list[Hint]:
        self.beat.sweep()
        hints, self.hints = self.hints, []
        return hints

    def go_on(self) -> None:
        """What beats and workers do all day."""
        self.manual.advance(LATE_MS)
        for hint in self.offered():
            work(hint, self.desk)
        beat_all(self.fleet, lambda plan: self.store, "beat", sealer=SEALER)

    def live(self) -> None:
        """A life with a bit of everything."""
        store = self.store
        store.load(FIRST, 0, "ops", "")
        first, second, *_ = self.offered()
        decline(first, self.desk)
        held = store.begin(second, secrets.token_hex(4), "w", LEASE)
        tokens = [attempt.token for attempt in held]
        store.renew(tokens, LEASE, second)
        store.cancel(held[0].definition.id, "ops", "")
        store.renew(tokens, LEASE, second)
        store.release(tokens, second, True)
        store.retry(held[0].definition.id, "ops", "")
        self.go_on()
        store.load(SECOND, 1, "ops", "")
        self.end()

    def end(self) -> None:
        """Until every job is verified."""
        for _ in range(ROUNDS):
            self.go_on()
            if self.store.overview().flags.frontier == SOVEREIGN:
                return
            for view in self.store.all_jobs():
                if view.place is Place.CANCELLED:
                    self.store.retry(view.definition.id, "ops", "")
        raise AssertionError({view.definition.id: view.place for view in self.store.all_jobs()})


def heal(manual: ManualRedis) -> None:
    """What somebody else does after a crash: repeat the command that was not done, and go on."""
    other = Machine(manual)
    if (revision := other.store.overview().flags.revision) < 2:
        while other.store.apply():
            pass
        other.store.load(SECOND, revision, "ops", "")
    other.end()


def check_end(store: RedisStore) -> None:
    """Each job is verified, once, and has its receipt under the seal."""
    assert audit(store).broken == ()
    passed = Counter(entry.job for entry in store.read_journal(1000) if entry.event == "job.passed")
    del passed["tick"], passed["gone"]
    assert passed == dict.fromkeys(("a", "b", "c", "d", "new"), 1)
    assert store.job("tick").place is Place.TIMED
    done = sum(entry.event == "job.passed" and entry.job != "tick" for entry in store.read_journal(1000))
    assert read_seal(store.last_seal()).seal.count == store.receipts_kept() == done


def crash_everywhere(manual: ManualRedis, monkeypatch: pytest.MonkeyPatch, make: Make = whole) -> int:
    """Die after each call in turn; returns how many there were."""
    for at in count():
        manual.time.now = START
        manual.empty()
        numbers = count()
        monkeypatch.setattr(secrets, "token_hex", lambda size, numbers=numbers: f"{next(numbers):x}")
        machine = Machine(manual, make)
        if runs_through(machine.live, at, monkeypatch, after=True):
            check_end(machine.store)
            return at
        store = whole(manual)
        assert not (found := audit(store, overdue=False)).broken, f"after call {at}: {found.broken}"
        heal(manual)
        check_end(store)
    raise AssertionError


@pytest.mark.fault(2)
def test_the_heart_may_die_after_each_of_its_calls(
    redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    assert crash_everywhere(ManualRedis.of(redis_client), monkeypatch) > 60


class TornSettle(RedisStore):
    """A planted bug: a settlement in two calls."""

    def settle(self, settlements: Sequence[Settlement], hint: Hint, done: bool) -> list[Answer]:
        answers = super().settle(settlements, hint, done=False)
        self.client.zrem(self.key("hints", hint.queue), hint.id)
        for settlement in settlements:
            self.client.xadd(self.key("receipts"), {"r": settlement.receipt}) if settlement.receipt else None
        return answers


class TornRelease(RedisStore):
    """A planted bug: a lease is given back before the attempt is."""

    def release(self, tokens: Sequence[str], hint: Hint, done: bool) -> None:
        self.client.zrem(self.key("leases"), *tokens)
        super().release(tokens, hint, done)


def torn_settle(manual: ManualRedis) -> RedisStore:
    return TornSettle(manual.client, PLAN, manual.scripts)


def torn_release(manual: ManualRedis) -> RedisStore:
    return TornRelease(manual.client, PLAN, manual.scripts)


@pytest.mark.parametrize("make", [torn_settle, torn_release])
def test_a_step_of_two_calls_would_be_found(
    redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    with pytest.raises(AssertionError):
        crash_everywhere(ManualRedis.of(redis_client), monkeypatch, make)
