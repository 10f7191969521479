"""A breaker or a request that somebody wrote over is named, stops nothing, and is mended by what it is about.

What else cannot be read, as after a newer release, stops its own plan at most.
"""

import json
from datetime import timedelta
from typing import Any

import pytest
import redis

from moie_worker.adapters.redis import keys
from moie_worker.adapters.redis.chain import RedisChain
from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.adapters.redis.fleet import RedisFleet
from moie_worker.adapters.redis.snapshots import RedisShelf
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.alerts.watch import Persistence, Watch
from moie_worker.errors import DamagedError, RefusedError
from moie_worker.heart.dispatch import Dispatcher
from moie_worker.heart.heartbeat import beat_all
from moie_worker.plan.flow import Answer, Settlement
from moie_worker.plan.letters import LetterFilter
from moie_worker.plan.pace import Pace
from moie_worker.plan.presence import Worker
from moie_worker.plan.states import Outcome, Place
from tests.contract.model import LEASE, job, plan
from tests.unit.heart_kit import HeldAlerts

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


def _phase(**changes: Any) -> str:
    fields = {"id": 1, "name": "one", "approval": False, "digest": "d", "persons": 1, "expires_ms": 1} | changes
    return json.dumps({name: value for name, value in fields.items() if value is not None})


Damage = tuple[str, str, str]  # key of the plan, field, what somebody wrote there
OF_A_PLAN: dict[str, Damage] = {
    "a place of another release": ("counts", "1:job:resting", "1"),
    "a count that is no number": ("counts", "1:job:ready", "many"),
    "a phase that lacks a field": ("phases", "1", _phase(digest=None)),
    "a phase that is no JSON": ("phases", "1", "{"),
    "a flag that is no number": ("plan", "sovereign_at", "soon"),
    "queues that are no JSON": ("plan", "queues", "default"),
}
OF_A_JOB: dict[str, Damage] = {
    "a state of another release": ("state", "a", "resting|1|1|0|0|0|0|0|0|0|0||"),
    "no state": ("state", "a", "nothing"),
    "evidence that is no JSON": ("evidence", "a", "{"),
    "a definition that lacks a field": ("defs:1", "a", '{"id":"a"}'),
}


class Two:
    """A plan that somebody damages, and one that is well."""

    def __init__(self, client: "redis.Redis", hurt: RedisStore) -> None:
        self.client, self.hurt, self.well = client, hurt, RedisStore(client, "well")
        self.well.load(plan(job("w", 1)), 0, "ops", "")
        self.well.apply()
        self.fleet = RedisFleet(client)
        for name in ("hurt", "well"):
            self.fleet.add_plan(name)

    def damage(self, damage: Damage) -> None:
        key, field, text = damage
        self.client.hset(f"moie:{{hurt}}:{key}", field, text)

    def store(self, name: str) -> RedisStore:
        return self.hurt if name == "hurt" else self.well


@pytest.fixture
def two(redis_client: "redis.Redis", store: RedisStore) -> Two:
    return Two(redis_client, store)


@pytest.mark.parametrize("damage", OF_A_PLAN.values(), ids=OF_A_PLAN)
def test_a_plan_that_cannot_be_read_leaves_the_others_their_heartbeats_offers_and_alerts(
    two: Two, damage: Damage
) -> None:
    two.damage(damage)
    with pytest.raises(DamagedError, match="of plan hurt in Redis cannot be read"):
        two.hurt.overview()
    beaten = beat_all(two.fleet, two.store, "me")
    assert list(beaten.without) == ["hurt"]
    assert two.well.overview().flags.beats == 1
    offered: list[str] = []
    two.fleet.worker_here(Worker("w", "h", 1, ("default",), 9, 0), LEASE)
    Dispatcher(two.fleet, two.store, lambda name, hint: offered.append(name)).sweep()
    assert "well" in offered
    alerts = HeldAlerts()
    letters, pace = lambda name: RedisDeadLetters(two.client, name), Pace(timedelta(minutes=10))
    watch = Watch(two.fleet, two.store, letters, RedisChain(two.client), alerts, pace, _bad=Persistence(timedelta()))
    watch.look()
    assert "plan hurt cannot be read" in alerts.messages["plan:hurt"]


@pytest.mark.parametrize("damage", OF_A_JOB.values(), ids=OF_A_JOB)
def test_a_job_that_cannot_be_read_is_named_and_silences_no_other_plan(two: Two, damage: Damage) -> None:
    two.damage(damage)
    with pytest.raises(DamagedError, match=r"job a of plan hurt in Redis cannot be read"):
        two.hurt.job("a")
    with pytest.raises(DamagedError):
        list(two.hurt.all_jobs())
    beat_all(two.fleet, two.store, "me")
    assert two.well.overview().flags.beats == 1


def test_a_field_of_a_newer_release_is_passed_over(store: RedisStore, redis_client: "redis.Redis") -> None:
    redis_client.hset("moie:{hurt}:phases", "1", _phase(colour="blue"))
    assert store.overview().phases[0].name == "one"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}'])
def test_presence_and_traces_that_cannot_be_read_are_passed_over(
    redis_client: "redis.Redis", two: Two, text: str
) -> None:
    two.fleet.worker_here(Worker("well", "h", 1, ("default",), 1, 0), LEASE)
    two.fleet.worker_here(Worker("hurt", "h", 1, ("default",), 1, 0), LEASE)
    redis_client.set(keys.worker("hurt"), text or "null", ex=9)
    redis_client.hset(keys.CHAIN, "sent", text)
    workers, gone = two.fleet.workers()
    assert ([worker.name for worker in workers], gone) == (["well"], [])
    assert RedisChain(redis_client).trace() == {}


def test_what_cannot_be_read_of_letters_and_snapshots_is_named_or_left_out(
    store: RedisStore, redis_client: "redis.Redis"
) -> None:
    box = RedisDeadLetters(redis_client, "hurt")
    redis_client.zadd("moie:{hurt}:dead", {"task:x": 1})
    redis_client.hset("moie:{hurt}:dead:task:x", mapping={"id": "task:x", "kind": "plant", "last_at": "1"})
    with pytest.raises(DamagedError, match="a dead letter of plan hurt"):
        box.page(LetterFilter())
    redis_client.hset("moie:{hurt}:snapshots", "20260101T000000Z-manual", "{")
    assert RedisShelf(redis_client, "hurt").index() == []
    number = store.capture()
    redis_client.hset(f"moie:{{hurt}}:capture:{number}:plan", "meta", "{")
    with pytest.raises(DamagedError, match="a capture of plan hurt"):
        store.saved(number)
