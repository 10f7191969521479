"""A Redis without room refuses new work, and lets running work end: what ends begins with a removal."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from moie_worker.adapters.redis.entries import RedisEntries
from moie_worker.adapters.redis.fleet import RedisFleet
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.errors import MoieError
from moie_worker.heart.audit import audit
from moie_worker.plan.flow import Answer, Attempt, Hint, Settlement
from moie_worker.plan.invariants import Audit
from moie_worker.plan.presence import Beat
from moie_worker.plan.states import Outcome, Place
from tests.contract.model import LEASE, job, plan


@pytest.fixture
def store(redis_client: "redis.Redis") -> RedisStore:
    made = RedisStore(redis_client, "full")
    made.load(plan(*(job(f"j{number}", 1) for number in range(4))), 0, "ops", "")
    made.apply()
    return made


@pytest.fixture
def begun(store: RedisStore) -> tuple[Hint, Attempt]:
    hint = store.reserve("default", 4, "n").hints[0]
    return hint, store.begin(hint, "nonce", "w", LEASE)[0]


@pytest.fixture
def full(begun: tuple[Hint, Attempt], redis_client: "redis.Redis") -> Iterator[None]:
    """No room from here on; made after the attempt began."""
    redis_client.config_set("maxmemory-policy", "noeviction")
    redis_client.config_set("maxmemory", 1)
    yield
    redis_client.config_set("maxmemory", 0)


@pytest.mark.fault(8)
@pytest.mark.usefixtures("full")
def test_what_runs_is_renewed(store: RedisStore, begun: tuple[Hint, Attempt]) -> None:
    hint, attempt = begun
    assert store.renew([attempt.token], LEASE, hint) == ["ok"]


@pytest.mark.fault(8)
@pytest.mark.usefixtures("full")
def test_what_ended_is_settled(store: RedisStore, begun: tuple[Hint, Attempt]) -> None:
    hint, attempt = begun
    ending = Settlement(attempt.token, attempt.definition.id, Outcome.PASSED, Place.COMPLETED, duration_ms=5)
    assert store.settle([ending], hint, done=True) == [Answer.SETTLED]
    assert store.job(attempt.definition.id).place == Place.COMPLETED


@pytest.mark.usefixtures("full")
def test_what_did_not_start_is_given_back(store: RedisStore, begun: tuple[Hint, Attempt]) -> None:
    hint, attempt = begun
    store.release([attempt.token], hint, done=True)
    assert store.job(attempt.definition.id).place == Place.READY


@pytest.mark.fault(8)
@pytest.mark.usefixtures("full")
def test_new_work_is_refused_with_a_reason(store: RedisStore) -> None:
    with pytest.raises(MoieError, match="memory"):
        store.load(plan(job("a", 1)), 1, "ops", "")


@pytest.mark.fault(8)
def test_one_sees_where_the_plan_stands(store: RedisStore, redis_client: "redis.Redis") -> None:
    seen = store.overview()
    redis_client.config_set("maxmemory", 1)
    try:
        assert replace(store.overview(), now=seen.now) == seen
    finally:
        redis_client.config_set("maxmemory", 0)


@pytest.mark.fault(8)
def test_beats_see_what_is_due_and_who_ends_says_so(
    store: RedisStore, redis_client: "redis.Redis", request: pytest.FixtureRequest
) -> None:
    entries, fleet = RedisEntries(redis_client, "shop"), RedisFleet(redis_client)
    entries.advance("e", "", "1")
    fleet.beat_here(Beat("b", "h", 1, 0, ()), LEASE)
    request.getfixturevalue("full")
    assert entries.peek(["e", "other"])[1] == {"e": "1"}
    assert entries.peek([])[1] == {}
    fleet.beat_left("b")
    assert fleet.beats() == ([], [])


@pytest.mark.usefixtures("full")
def test_the_whole_plan_is_audited(store: RedisStore) -> None:
    assert audit(store) == Audit(jobs=4, attempts=1)
