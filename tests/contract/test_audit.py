"""The audit finds and repairs what somebody broke in Redis by hand, and nothing else."""

from datetime import timedelta

import pytest
import redis

from moie_worker.adapters.redis.store import RedisStore
from moie_worker.plan.flow import Answer, Hint, Settlement
from moie_worker.plan.states import Outcome, Place
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
    assert redis_client.zrange(store.key("parked", "job:a"), 0, -1) == ["b"]


def test_an_attempt_without_a_lease_is_missed_again(store: RedisStore, redis_client: "redis.Redis") -> None:
    hints = store.reserve("default", 4, "n").hints
    token = store.begin(Hint(hints[0].id, "default", hints[0].jobs), "nonce", "w", LEASE)[0].token
    redis_client.delete(store.key("leases"))
    store.audit(100)
    assert redis_client.zscore(store.key("leases"), token) is not None


@pytest.mark.parametrize("order", ["timed", "ready", "sent"])
def test_what_is_no_job_in_an_order_stops_nobody(store: RedisStore, redis_client: "redis.Redis", order: str) -> None:
    key = store.key(order) if order == "timed" else store.key(order, "default", *(["job"] if order == "ready" else []))
    redis_client.zadd(key, {"nobody": 0})
    assert {hint.jobs for hint in store.reserve("default", 4, "n").hints} == {("a",), ("c",)}
    assert redis_client.zscore(key, "nobody") is None


def test_a_completed_job_in_an_order_is_not_run_again(store: RedisStore, redis_client: "redis.Redis") -> None:
    hint = store.reserve("default", 1, "n").hints[0]
    attempt = store.begin(hint, "nonce", "w", LEASE)[0]
    name = attempt.definition.id
    store.settle([Settlement(attempt.token, name, Outcome.PASSED, Place.COMPLETED)], hint, done=True)
    redis_client.zadd(store.key("ready", "default", "job"), {name: 0})
    assert name not in {job for hint in store.reserve("default", 4, "m").hints for job in hint.jobs}
    assert store.job(name).place == Place.COMPLETED


@pytest.mark.parametrize("broken", ["state", "defs:1"])
def test_a_running_job_that_is_gone_keeps_no_other_from_its_end(
    store: RedisStore, redis_client: "redis.Redis", broken: str
) -> None:
    one, other = store.reserve("default", 4, "n").hints
    (lost, kept) = (store.begin(hint, hint.id, "w", LEASE)[0] for hint in (one, other))
    redis_client.hdel(store.key(broken), lost.definition.id)
    ends = [Settlement(held.token, held.definition.id, Outcome.PASSED, Place.COMPLETED) for held in (lost, kept)]
    assert store.settle(ends, one, True) == [Answer.REMOVED, Answer.SETTLED]
    assert redis_client.zcard(store.key("leases")) == 0


@pytest.mark.parametrize("broken", ["state", "defs:1"])
def test_a_lost_job_that_is_gone_keeps_no_other_from_its_rescue(
    store: RedisStore, redis_client: "redis.Redis", broken: str
) -> None:
    one, other = store.reserve("default", 4, "n").hints
    (lost, kept) = (store.begin(hint, hint.id, "w", timedelta(0))[0] for hint in (one, other))
    redis_client.hdel(store.key(broken), lost.definition.id)
    redis_client.zadd(store.key("leases"), {lost.token: 0, kept.token: 0})
    assert store.rescue() == 2
    assert store.job(kept.definition.id).place is Place.READY
