"""Whose turn it is under a throttle, and what is kept of decisions: the twin and the real one promise the same."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moie_worker.adapters.memory.core import ManualTime
from moie_worker.adapters.memory_rulings import MemoryRulings
from moie_worker.adapters.redis.keys import PERMANENT
from moie_worker.adapters.redis.rulings import RedisRulings
from moie_worker.plan.limits import TURN_KEPT_MS
from moie_worker.plan.states import Outcome, Place
from moie_worker.plan.times import to_ms
from moie_worker.ports import Decided, Effect, Rulings
from tests.contract.conftest import ManualRedis
from tests.contract.model import job as a_job
from tests.contract.trace import Trace

HOUR = timedelta(hours=1)
HOUR_MS = to_ms(HOUR)
ONE = Decided("a", "night", "deny", Effect.REFUSED, "job a is denied by policy night: ü", "w@h")


@dataclass
class Case:
    """Rulings, and their time."""

    rulings: Rulings
    time: ManualTime
    redis: ManualRedis | None

    def advance(self, ms: int) -> None:
        (self.redis or self.time).advance(ms)

    def turn(self, job: str, at_most: int = 2, policy: str = "slow") -> int:
        return to_ms(self.rulings.turn(policy, job, at_most, HOUR))


def redis_case(manual: ManualRedis) -> Case:
    return Case(RedisRulings(manual.client, "test", manual.scripts), manual.time, manual)


def memory_case() -> Case:
    time = ManualTime()
    return Case(MemoryRulings(lambda: time.now), time, None)


@pytest.fixture(params=["twin", "redis"])
def case(request: pytest.FixtureRequest) -> Case:
    return memory_case() if request.param == "twin" else redis_case(request.getfixturevalue("manual_redis"))


def test_so_many_start_and_the_next_waits_until_the_first_of_them_is_long_ago(case: Case) -> None:
    assert case.turn("a") == 0
    case.advance(1000)
    assert case.turn("b") == 0
    assert case.turn("c") == HOUR_MS - 1000
    case.advance(HOUR_MS - 1001)
    assert case.turn("c") == 1
    case.advance(1)
    assert case.turn("c") == 0


def test_who_asked_first_starts_first_whoever_asks_in_between(case: Case) -> None:
    for job in "ab":
        assert case.turn(job) == 0
    case.advance(1000)
    assert case.turn("first") == HOUR_MS - 1000
    case.advance(1000)
    assert case.turn("second") == HOUR_MS - 2000
    case.advance(1000)
    assert case.turn("third") == HOUR_MS  # it may be told a time that is too early, and then asks again
    case.advance(HOUR_MS - 3000)
    assert case.turn("third") == HOUR_MS  # two may start now, and two asked before it
    assert case.turn("second") == 0
    assert case.turn("first") == 0


def test_who_does_not_come_back_makes_room(case: Case) -> None:
    assert case.turn("a", 1) == 0
    assert case.turn("gone", 1) == HOUR_MS
    case.advance(1)
    assert case.turn("b", 1) == HOUR_MS
    case.advance(HOUR_MS + TURN_KEPT_MS)
    assert case.turn("b", 1) == 0


def test_one_throttle_knows_nothing_of_another(case: Case) -> None:
    assert case.turn("a", 1) == 0
    assert case.turn("a", 1, policy="other") == 0


def test_the_last_thousand_decisions_are_kept_the_newest_first(case: Case) -> None:
    case.rulings.note([replace(ONE, job=f"{number}") for number in range(600)])
    case.advance(5)
    case.rulings.note([replace(ONE, job=f"{number}") for number in range(600, 1200)])
    found = case.rulings.decisions(5000)
    assert len(found) == 1000
    assert found[0] == replace(ONE, job="1199", at=case.time.now)
    assert [one.job for one in found[-2:]] == ["201", "200"]
    assert [one.job for one in case.rulings.decisions(2)] == ["1199", "1198"]


def test_what_a_throttle_keeps_goes_by_itself(manual_redis: ManualRedis) -> None:
    case = redis_case(manual_redis)
    for job in "abcd":
        case.turn(job)
    names = [str(key) for key in manual_redis.client.keys("moie:{test}:*")]
    assert len(names) == 3
    assert all(0 < manual_redis.client.pttl(name) <= 5 * HOUR_MS for name in names)
    case.rulings.note([ONE])
    assert PERMANENT.fullmatch("moie:{test}:decisions")


ASKS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, HOUR_MS // 2)), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None)
@given(asks=ASKS, at_most=st.integers(1, 3))
def test_never_more_start_in_any_time_of_that_length(asks: list[tuple[str, int]], at_most: int) -> None:
    case, starts = memory_case(), list[int]()
    for job, pause in asks:
        case.advance(pause)
        if case.turn(job, at_most) == 0:
            starts.append(case.time.now)
    for end in starts:
        assert sum(end - HOUR_MS < start <= end for start in starts) <= at_most


@settings(max_examples=40, deadline=None)
@given(jobs=st.integers(1, 12), at_most=st.integers(1, 4))
def test_whoever_comes_back_when_told_starts_in_the_end_in_the_order_of_asking(jobs: int, at_most: int) -> None:
    case = memory_case()
    due = [(case.time.now, number, f"j{number:02}") for number in range(jobs)]
    started: list[str] = []
    for _ in range(20 * jobs):
        if not due:
            break
        due.sort()
        at, number, job = due.pop(0)
        case.advance(max(at - case.time.now, 0))
        wait = case.turn(job, at_most)
        if wait:
            due.append((case.time.now + wait, number, job))
        else:
            started.append(job)
    assert started == sorted(started)
    assert len(started) == jobs
    assert case.time.now - ManualTime().now <= ((jobs - 1) // at_most) * HOUR_MS


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asks=ASKS, at_most=st.integers(1, 3))
def test_the_twin_and_redis_answer_alike(manual_redis: ManualRedis, asks: list[tuple[str, int]], at_most: int) -> None:
    manual_redis.empty()
    twin, real = memory_case(), redis_case(manual_redis)
    twin.time.now = real.time.now
    for job, pause in asks:
        twin.advance(pause)
        real.advance(pause)
        assert real.turn(job, at_most) == twin.turn(job, at_most)


def test_an_attempt_that_is_put_off_counts_as_none(trace: Trace) -> None:
    trace.load(a_job("a", 1))
    hint, attempt = trace.start("a")
    trace.finish(hint, attempt, Place.TIMED)
    assert trace.job("a").attempts == 1  # a retry
    hint, attempt = trace.start("a")
    due = trace.time.now + 1000
    trace.finish(hint, attempt, Place.TIMED, outcome=Outcome.CANCELLED, due=due, duration_ms=0)
    view = trace.job("a")
    assert (view.place, view.due, view.attempts) == (Place.TIMED, due, 1)
    assert trace.offered() == set()
    trace.advance(1000)
    _, attempt = trace.start("a")
    assert attempt.attempts == 2
