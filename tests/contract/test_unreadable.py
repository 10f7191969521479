"""A breaker or a request that somebody wrote over is named, stops nothing, and is mended by what it is about."""

import json
from typing import Any

import pytest
import redis

from moie_worker.adapters.redis.store import RedisStore
from moie_worker.errors import RefusedError
from moie_worker.plan.flow import Answer, Settlement
from moie_worker.plan.states import Outcome, Place
from tests.contract.model import LEASE, job, plan

NO_RECORDS = ["", "{", "nothing", "5", "null", '"text"', "[]", "{}", "[" * 2000]
BREAKER: dict[str, Any] = {
    "recent": [["j", True]], "opened": 1, "pause_ms": 30_000, "retry_at": 9 * 10**12, "canary": "", "reason": "no",
}  # fmt: skip
VOTE = {"who": "ada@a", "why": "", "at": 1}
REQUEST: dict[str, Any] = {"author": "ops", "asked": 1, "yes": [VOTE]}
BREAKERS = [
    *NO_RECORDS,
    *(json.dumps(BREAKER | {field: wrong}) for field in BREAKER for wrong in (None, True, [[1, 2]])),
    json.dumps(BREAKER | {"recent": [["j", 0]]}),
]
REQUESTS = [
    *(text for text in NO_RECORDS if text != "{}"),  # what has no `yes` is an answer of an earlier release
    *(
        json.dumps(REQUEST | {"digest": "d", field: wrong})
        for field in ("author", "asked", "yes")
        for wrong in (None, True)
    ),
    json.dumps(REQUEST | {"digest": "d", "yes": [{"who": "ada@a"}]}),
    json.dumps(REQUEST | {"digest": "d", "no": 5}),
]


PLAN, REQUESTED = "moie:{hurt}:plan", "moie:{hurt}:approvals"


@pytest.fixture
def store(redis_client: "redis.Redis") -> RedisStore:
    made = RedisStore(redis_client, "hurt")
    made.load(plan(job("a", 1), job("b", 1), job("c", 2), approvals=[2]), 0, "ops", "")
    made.apply()
    return made


@pytest.mark.parametrize("text", BREAKERS)
def test_a_queue_whose_breaker_cannot_be_read_works_and_is_named(
    store: RedisStore, redis_client: "redis.Redis", text: str
) -> None:
    redis_client.hset(PLAN, "breaker:default", text)
    (named,) = store.overview().unreadable
    assert (named.where, named.what) == ("plan", "breaker:default")
    assert "queue default" in named.message
    assert "moie resume --queue default" in named.remedy
    (hint,) = store.reserve("default", 1, "n").hints
    ended = [_could_not_run(attempt.token, attempt.definition.id) for attempt in store.begin(hint, "m", "w", LEASE)]
    assert set(store.settle(ended, hint, done=True)) == {Answer.SETTLED}
    assert store.overview().unreadable == (), "the next ending that is bad writes a breaker that can be read"


def _could_not_run(token: str, name: str) -> Settlement:
    return Settlement(token, name, Outcome.BROKEN, Place.DEAD, reason="no such file", duration_ms=1)


def test_what_a_queue_is_told_to_do_takes_an_unreadable_breaker_away(
    store: RedisStore, redis_client: "redis.Redis"
) -> None:
    redis_client.hset(PLAN, "breaker:default", "{")
    store.resume_queue("default", "ops", "it was broken")
    assert store.overview().unreadable == ()
    with pytest.raises(RefusedError, match="not stopped"):
        store.resume_queue("default", "ops", "")


@pytest.mark.parametrize("text", REQUESTS)
def test_a_phase_whose_request_cannot_be_read_is_not_approved_and_is_named(
    store: RedisStore, redis_client: "redis.Redis", text: str
) -> None:
    digest = store.overview().phases[1].digest
    redis_client.hset(REQUESTED, "2", text.replace('"digest": "d"', f'"digest": "{digest}"'))
    (named,) = store.overview().unreadable
    assert (named.where, named.what) == ("approvals", "2")
    assert "moie approve 2" in named.remedy
    assert store.answer(2, True, "ada@a", "anew")
    assert store.overview().unreadable == ()
    assert [vote.who for vote in store.overview().approvals[2].yes] == ["ada@a"]


@pytest.mark.parametrize("phase", ["1", "7", "two"])
def test_what_is_no_request_of_any_phase_is_named_with_what_removes_it(
    store: RedisStore, redis_client: "redis.Redis", phase: str
) -> None:
    redis_client.hset(REQUESTED, phase, "no JSON" if phase != "two" else _sound())
    (named,) = store.overview().unreadable
    assert f"HDEL {REQUESTED} {phase}" in named.remedy


def _sound() -> str:
    return json.dumps(REQUEST | {"digest": "d"})


def test_records_that_can_be_read_are_not_named(store: RedisStore, redis_client: "redis.Redis") -> None:
    redis_client.hset(PLAN, "breaker:default", json.dumps(BREAKER))
    redis_client.hset(REQUESTED, mapping={"2": _sound(), "1": json.dumps({"digest": "d", "approved": True})})
    overview = store.overview()
    assert (overview.unreadable, list(overview.stopped), list(overview.approvals)) == ((), ["default"], [2])
    assert store.reserve("default", 1, "n").hints == (), "the queue is stopped"


def test_a_snapshot_leaves_out_what_cannot_be_read(store: RedisStore, redis_client: "redis.Redis") -> None:
    redis_client.hset(REQUESTED, mapping={"2": "{", "two": _sound()})
    saved = store.saved(store.capture())
    assert saved is not None
    assert saved.approvals == {}
    assert store.restore(saved, 1, "ops", "") == 2
    store.apply()
