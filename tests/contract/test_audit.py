"""The audit finds and repairs what somebody broke in Redis by hand, and nothing else."""

import pytest
import redis

from moie_worker.adapters.redis.store import RedisStore
from moie_worker.plan.flow import Hint
from moie_worker.plan.states import Place
from tests.contract.model import LEASE, job, plan


@pytest.fixture
def store(redis_client: "redis.Redis") -> RedisStore:
    """Four jobs: a and c are due, b waits for a, d for its phase."""
    made = RedisStore(redis_client, "audited")
    made.load(plan(job("a", 1), job("b", 1, needs=("a",)), job("c", 1), job("d", 2)), 0, "ops", "")
    made.apply()
    made.reserve("default", 0, "none")
    return made


def test_a_sound_plan_is_left_alone(store: RedisStore) -> None:
    before = {view.definition.id: view for view in store.all_jobs()}
    assert store.audit(100) == []
    assert {view.definition.id: view for view in store.all_jobs()} == before


def test_a_job_that_lost_its_order_is_due_again(store: RedisStore, redis_client: "redis.Redis") -> None:
    redis_client.delete(store.key("ready", "default", "job"))
    assert sorted(store.audit(100)) == ["a", "c"]
    assert {hint.jobs for hint in store.reserve("default", 4, "n").hints} == {("a",), ("c",)}


def test_a_job_in_two_orders_stays_in_its_own(store: RedisStore, redis_client: "redis.Redis") -> None:
    redis_client.zadd(store.key("timed"), {"a": 1})
    assert store.audit(100) == ["a"]
    assert redis_client.zcard(store.key("timed")) == 0
    assert store.job("a").place == Place.READY


def test_a_parked_job_that_nobody_would_wake_is_looked_at(store: RedisStore, redis_client: "redis.Redis") -> None:
    redis_client.delete(store.key("parked", "job:a"))
    assert store.audit(100) == ["b"]
    assert redis_client.lrange(store.key("parked", "job:a"), 0, -1) == ["b"]


def test_an_attempt_without_a_lease_is_missed_again(store: RedisStore, redis_client: "redis.Redis") -> None:
    hints = store.reserve("default", 4, "n").hints
    token = store.begin(Hint(hints[0].id, "default", hints[0].jobs), "nonce", "w", LEASE)[0].token
    redis_client.delete(store.key("leases"))
    store.audit(100)
    assert redis_client.zscore(store.key("leases"), token) is not None
