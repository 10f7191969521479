"""The way of heartbeats in Redis: the newest at each station, whoever writes it down."""

import json

import pytest
import redis

from moie_worker.adapters.redis.chain import RedisChain
from moie_worker.adapters.redis.keys import CHAIN
from moie_worker.plan.chain import Pulse, Station

SLOT = 1_700_000_000_123


@pytest.fixture
def chain(redis_client: "redis.Redis") -> RedisChain:
    return RedisChain(redis_client)


def pulse(slot: int) -> Pulse:
    return Pulse(f"heartbeat:{slot}", slot)


def test_before_anything_was_seen_the_trace_is_empty(chain: RedisChain) -> None:
    assert chain.trace() == {}


def test_a_station_keeps_the_newest_heartbeat_whatever_comes_late(chain: RedisChain) -> None:
    for slot in (SLOT, SLOT + 2, SLOT + 1):
        chain.mark(Station.BEGUN, pulse(slot), f"note {slot} – ü")
    mark = chain.trace()[Station.BEGUN]
    assert (mark.pulse, mark.note) == (pulse(SLOT + 2), f"note {SLOT + 2} – ü")


def test_the_same_heartbeat_again_has_the_newer_word(chain: RedisChain) -> None:
    chain.mark(Station.REFUSED, pulse(SLOT), "first")
    chain.mark(Station.REFUSED, pulse(SLOT), "second")
    assert chain.trace()[Station.REFUSED].note == "second"


def test_stations_are_apart_and_marked_with_the_time_of_redis(chain: RedisChain, redis_client: "redis.Redis") -> None:
    before = redis_client.time()[0] * 1000
    chain.mark(Station.SENT, pulse(SLOT), "default")
    chain.mark(Station.RECORDED, pulse(SLOT))
    trace = chain.trace()
    assert trace.keys() == {Station.SENT, Station.RECORDED}
    assert before <= trace[Station.SENT].at <= redis_client.time()[0] * 1000 + 1000


def test_a_station_of_a_newer_release_is_passed_over(chain: RedisChain, redis_client: "redis.Redis") -> None:
    redis_client.hset(CHAIN, "moon", json.dumps({"pulse": "p:1", "slot": 1, "at": 1, "note": ""}))
    assert chain.trace() == {}


def marked(slot: object) -> str:
    return json.dumps({"pulse": "heartbeat:1", "slot": slot, "at": SLOT, "note": ""})


DAMAGED = [
    "", "no JSON", "7", "{}", "[]", "null", '"slot"', "[" * 10_000, '{"slot": null}',
    marked("soon"), marked(None), marked(9e99), marked(SLOT * 2), marked([]), marked({}),
]  # fmt: skip


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_mark_is_not_seen_and_the_next_heartbeat_heals_it(
    chain: RedisChain, redis_client: "redis.Redis", damaged: str
) -> None:
    redis_client.hset(CHAIN, Station.REFUSED, damaged)
    chain.mark(Station.SENT, pulse(SLOT))
    assert chain.trace().keys() == {Station.SENT}
    chain.mark(Station.REFUSED, pulse(SLOT), "no")
    assert chain.trace()[Station.REFUSED].pulse == pulse(SLOT)
