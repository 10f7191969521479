"""`moie doctor --audit` names what somebody broke in Redis by hand, and nothing in a sound plan."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from moie_worker.adapters.redis.store import RedisStore
from moie_worker.heart.audit import LOADING, audit
from moie_worker.plan.flow import Settlement
from moie_worker.plan.invariants import REPAIR, Audit, Rule
from moie_worker.plan.states import Outcome, Place
from tests.contract.model import LEASE, cyclic, job, plan, receipt
from tests.simulator.seals import SEALER

TABLE = "moie:{looked}:"
JOBS = plan(
    job("done", 1), job("dead", 1), job("runs", 1), job("waits", 1), job("ready", 1), job("after", 1, needs=("runs",)),
    job("later", 2), cyclic("tick", 1),
)  # fmt: skip
Break = Callable[["redis.Redis", RedisStore], object]


@pytest.fixture
def store(redis_client: "redis.Redis") -> RedisStore:
    """A plan with a job in nearly every place, and a sealed receipt."""
    made = RedisStore(redis_client, "looked")
    made.load(JOBS, 0, "ops", "")
    made.apply()
    ends = {
        "done": (Outcome.PASSED, Place.COMPLETED), "dead": (Outcome.BROKEN, Place.DEAD),
        "waits": (Outcome.FAILED, Place.WAITING), "tick": (Outcome.PASSED, Place.TIMED),
    }  # fmt: skip
    for hint in made.reserve("default", 10, "n").hints:
        for attempt in made.begin(hint, hint.id, "w", LEASE):
            name = attempt.definition.id
            if name in ends:
                made.settle([_ending(attempt.token, name, *ends[name])], hint, done=True)
            elif name != "runs":
                made.release([attempt.token], hint, True)
    SEALER.seal(made, "looked", made.overview().now)
    return made


def _ending(token: str, name: str, outcome: Outcome, place: Place) -> Settlement:
    plain = Settlement(token, name, outcome, place, reason="broken" if place is Place.DEAD else "")
    if place is Place.TIMED:
        return replace(plain, due=9 * 10**12, slot=9 * 10**12, run=True)
    return replace(plain, receipt=receipt(token) if place is Place.COMPLETED else "")


def _packed(place: str) -> str:
    return f"{place}|1|1|0|0|0|0|0|0|0|0||"


def _other_receipt(client: "redis.Redis", _: RedisStore) -> None:
    client.delete(f"{TABLE}receipts")
    client.xadd(f"{TABLE}receipts", {"r": receipt("another")}, id="1-1")


BREAKS: dict[str, tuple[Break, Rule, str]] = {
    "no definition": (lambda c, s: c.hdel(f"{TABLE}defs:1", "ready"), Rule.READABLE, "ready"),
    "nobody in an order": (lambda c, s: c.zadd(f"{TABLE}timed", {"ghost": 1}), Rule.READABLE, "ghost"),
    "in two orders": (lambda c, s: c.zadd(f"{TABLE}timed", {"ready": 1}), Rule.PLACE, "ready"),
    "in no order": (lambda c, s: c.zrem(f"{TABLE}waiting:default", "waits"), Rule.PLACE, "waits"),
    "done and waiting": (lambda c, s: c.zadd(f"{TABLE}sent:default", {"done": 1}), Rule.PLACE, "done"),
    "no lease": (lambda c, s: c.delete(f"{TABLE}leases"), Rule.LEASE, "runs"),
    "no attempt": (lambda c, s: c.delete(f"{TABLE}attempts"), Rule.LEASE, "runs"),
    "a lease of nobody": (lambda c, s: c.zadd(f"{TABLE}leases", {"t": 9e12}), Rule.LEASE, "t"),
    "a lease that nobody took back": (
        lambda c, s: c.zadd(f"{TABLE}leases", {s.job("runs").token: 1}), Rule.LEASE, "-n-",
    ),
    "an attempt too many": (
        lambda c, s: (c.hset(f"{TABLE}attempts", "t", '{"job":"ready"}'), c.zadd(f"{TABLE}leases", {"t": 9e12})),
        Rule.LEASE, "t",
    ),
    "on no list": (lambda c, s: c.delete(f"{TABLE}parked:job:runs"), Rule.WAKE, "after"),
    "on a list without it": (
        lambda c, s: (c.zadd(f"{TABLE}parked:phase:2", {"x": 1}), c.zrem(f"{TABLE}parked:phase:2", "later")),
        Rule.WAKE, "later",
    ),
    "regressed and completed": (lambda c, s: c.zadd(f"{TABLE}regressed", {"done": 1}), Rule.REGRESSED, "done"),
    "no letter": (lambda c, s: c.delete(f"{TABLE}dead:job:dead"), Rule.LETTER, "dead"),
    "a job that is not counted": (lambda c, s: c.hincrby(f"{TABLE}counts", "2:job:parked", -1), Rule.SUM, ""),
    "counted elsewhere": (
        lambda c, s: (c.hincrby(f"{TABLE}counts", "1:job:ready", -1), c.hincrby(f"{TABLE}counts", "1:job:dead", 1)),
        Rule.SUM, "1",
    ),
    "a frontier ahead": (lambda c, s: c.hset(f"{TABLE}plan", "frontier", "2"), Rule.FRONTIER, ""),
    "a phase never reached": (lambda c, s: c.hset(f"{TABLE}plan", "reached", "0"), Rule.FRONTIER, ""),
    "a phase that closed early": (lambda c, s: c.zrem(f"{TABLE}phases:open", "2"), Rule.FRONTIER, "2"),
    "a breaker that is no JSON": (
        lambda c, s: c.hset(f"{TABLE}plan", "breaker:default", "{"), Rule.READABLE, "breaker:default",
    ),
    "a request that is none": (lambda c, s: c.hset(f"{TABLE}approvals", "1", '{"yes":[1]}'), Rule.READABLE, "1"),
    "another receipt": (_other_receipt, Rule.RECEIPT, "done"),
    "a receipt that is gone": (
        lambda c, s: c.xdel(f"{TABLE}receipts", s.receipts_after("", 1)[0].id), Rule.SEAL, "1",
    ),
}  # fmt: skip


def test_a_sound_plan_keeps_every_promise(store: RedisStore) -> None:
    assert audit(store) == Audit(jobs=8, attempts=1, receipts=1)


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_named(store: RedisStore, redis_client: "redis.Redis", name: str) -> None:
    act, rule, what = BREAKS[name]
    act(redis_client, store)
    found = [broken for broken in audit(store).broken if broken.rule is rule and what in broken.what]
    assert found, audit(store)
    assert all(broken.where and broken.message and broken.remedy for broken in found)


@pytest.mark.parametrize("name", BREAKS)
def test_what_a_heartbeat_is_said_to_repair_it_repairs(
    store: RedisStore, redis_client: "redis.Redis", name: str
) -> None:
    BREAKS[name][0](redis_client, store)
    repaired = [broken for broken in audit(store).broken if broken.remedy == REPAIR]
    store.audit(1000)
    store.reserve("default", 0, "n")
    store.rescue()
    assert not {(broken.rule, broken.what) for broken in repaired} & {
        (broken.rule, broken.what) for broken in audit(store).broken
    }


def test_the_page_names_every_rule() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/audit.md").read_text(encoding="utf-8")
    assert [rule for rule in Rule if f"| {rule} |" not in page] == []


def test_looking_changes_nothing(store: RedisStore, redis_client: "redis.Redis") -> None:
    redis_client.zadd(f"{TABLE}timed", {"ready": 1})
    before = {key: redis_client.dump(key) for key in redis_client.scan_iter()}
    audit(store)
    assert {key: redis_client.dump(key) for key in redis_client.scan_iter()} == before


def test_a_plan_that_is_loaded_is_not_judged(store: RedisStore) -> None:
    store.load(plan(job("done", 1)), 1, "ops", "")
    assert audit(store) == Audit(notes=(LOADING,))


def test_no_more_is_told_than_was_asked_for(store: RedisStore, redis_client: "redis.Redis") -> None:
    redis_client.zadd(f"{TABLE}timed", {f"ghost{n}": 1 for n in range(5)})
    found = audit(store, limit=3)
    assert (len(found.broken), found.cut) == (3, True)


def test_a_plan_of_many_pages_is_looked_through(redis_client: "redis.Redis") -> None:
    store = RedisStore(redis_client, "looked")
    store.load(plan(*(job(f"a{n:04}", 1) for n in range(1500)), job("b", 2)), 0, "ops", "")
    while store.apply():
        pass
    while store.reserve("default", 0, "none").more:
        pass
    assert audit(store) == Audit(jobs=1501)
    redis_client.zrem(f"{TABLE}ready:default:job", "a0777")
    assert [broken.what for broken in audit(store).broken] == ["a0777"]
