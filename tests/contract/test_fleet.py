"""Who is there: presence that ends by itself, and the bell that wakes beats."""

import json
import time
from dataclasses import asdict
from datetime import timedelta

import pytest
import redis

from moie_worker.adapters.redis import keys
from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.fleet import MISSED_FOR, RedisFleet
from moie_worker.errors import UnreachableError
from moie_worker.plan.presence import Beat, Worker, slots

TTL = timedelta(seconds=20)
MOMENT = timedelta(milliseconds=1)


@pytest.fixture
def fleet(redis_client: "redis.Redis") -> RedisFleet:
    return RedisFleet(redis_client)


def worker(name: str, *queues: str) -> Worker:
    return Worker(name, "host", 7, queues or ("default",), 4, 123)


def test_a_worker_is_there_as_it_described_itself(fleet: RedisFleet) -> None:
    said = worker("w@ü", "default", "scan")
    fleet.worker_here(said, TTL)
    assert fleet.workers() == ([said], [])


def test_a_worker_that_ends_in_order_is_not_missed(fleet: RedisFleet) -> None:
    fleet.worker_here(worker("w"), TTL)
    fleet.worker_left("w")
    fleet.worker_left("w")
    assert fleet.workers() == ([], [])


def test_a_worker_that_went_without_a_word_is_missed_until_it_is_back(
    fleet: RedisFleet, redis_client: "redis.Redis"
) -> None:
    for name in ("w1", "w2"):
        fleet.worker_here(worker(name), TTL)
    redis_client.pexpire(keys.worker("w1"), 0)  # its time is over
    assert fleet.workers() == ([worker("w2")], ["w1"])
    fleet.worker_here(worker("w1"), TTL)
    assert fleet.workers() == ([worker("w1"), worker("w2")], [])


def test_who_is_gone_for_a_day_is_missed_no_more(fleet: RedisFleet, redis_client: "redis.Redis") -> None:
    fleet.worker_here(worker("pod-1"), TTL)
    redis_client.pexpire(keys.worker("pod-1"), 0)
    redis_client.zincrby(keys.WORKERS, -MISSED_FOR.total_seconds() * 1000 + 60_000, "pod-1")
    assert fleet.workers() == ([], ["pod-1"])
    redis_client.zincrby(keys.WORKERS, -61_000, "pod-1")
    assert fleet.workers() == ([], [])


def test_presence_is_renewed_for_its_time(fleet: RedisFleet, redis_client: "redis.Redis") -> None:
    fleet.worker_here(worker("w"), TTL)
    fleet.worker_here(worker("w"), 2 * TTL)
    assert 39_000 < redis_client.pttl(keys.worker("w")) <= 40_000


def test_beats_are_there_with_the_entries_they_fire(fleet: RedisFleet, redis_client: "redis.Redis") -> None:
    first, second = Beat("b1", "h", 1, 5, ("heartbeat",), timedelta(seconds=1.5)), Beat("b2", "h", 2, 6)
    fleet.beat_here(first, TTL)
    fleet.beat_here(second, TTL)
    assert fleet.beats() == ([first, second], [])
    redis_client.pexpire(keys.beat("b2"), 0)
    assert fleet.beats() == ([first], ["b2"])
    fleet.beat_left("b2")
    assert fleet.beats() == ([first], [])


def test_beats_and_workers_of_older_and_newer_releases_are_understood(
    fleet: RedisFleet, redis_client: "redis.Redis"
) -> None:
    old = {"name": "b", "host": "h", "pid": 2, "started_at": 6, "entries": []}
    new = old | {"heartbeat_s": 15.0, "mood": "good"}
    for record, heartbeat in ((old, None), (new, timedelta(seconds=15))):
        fleet.beat_here(Beat("b", "h", 2, 6), TTL)
        redis_client.set(keys.beat("b"), json.dumps(record), keepttl=True)
        assert fleet.beats() == ([Beat("b", "h", 2, 6, heartbeat=heartbeat)], [])
    fleet.worker_here(worker("w"), TTL)
    redis_client.set(keys.worker("w"), json.dumps(asdict(worker("w")) | {"mood": "good"}), keepttl=True)
    assert fleet.workers() == ([worker("w")], [])


def test_workers_and_beats_of_one_name_are_two(fleet: RedisFleet) -> None:
    fleet.worker_here(worker("x"), TTL)
    assert fleet.beats() == ([], [])
    fleet.beat_left("x")
    assert fleet.workers() == ([worker("x")], [])


def test_only_workers_of_a_queue_have_slots_for_it(fleet: RedisFleet) -> None:
    for each in (worker("a"), worker("b", "default", "scan"), worker("c", "scan")):
        fleet.worker_here(each, TTL)
    there, _ = fleet.workers()
    assert [slots(there, queue) for queue in ("default", "scan", "nobody")] == [8, 8, 0]


def test_plans_are_known_once_and_in_order(fleet: RedisFleet) -> None:
    for name in ("q", "p", "q"):
        fleet.add_plan(name)
    assert fleet.plans() == ["p", "q"]


def test_a_ring_wakes_one_listener_once(fleet: RedisFleet) -> None:
    fleet.ring("p")
    assert fleet.listen(TTL) == {"p"}
    assert fleet.listen(MOMENT) == set()


def test_one_listener_hears_of_all_plans_that_rang(fleet: RedisFleet) -> None:
    for plan in ("p", "q", "p"):
        fleet.ring(plan)
    assert fleet.listen(TTL) == {"p", "q"}


def test_rings_that_nobody_hears_do_not_pile_up(fleet: RedisFleet, redis_client: "redis.Redis") -> None:
    for _ in range(50):
        fleet.ring("p")
    assert redis_client.zcard(keys.RINGS) == 1


def test_time_is_that_of_redis(fleet: RedisFleet, redis_client: "redis.Redis") -> None:
    before = redis_client.time()[0] * 1000
    assert before <= fleet.now() <= redis_client.time()[0] * 1000 + 1000


def test_who_was_ended_while_it_listened_goes_at_once_and_says_so(redis_url: str) -> None:
    with connect(redis_url) as client:
        fleet = RedisFleet(client)
        fleet.beat_here(Beat("b", "h", 1, 0), TTL)
        listening = client.connection_pool.get_connection()
        listening.send_command("BZPOPMIN", keys.RINGS, "2")
        client.connection_pool.release(listening)  # as a signal leaves it: nobody reads the answer
        began = time.monotonic()
        fleet.beat_left("b")
        assert fleet.beats() == ([], [])
        assert time.monotonic() - began < 1.5, "it did not wait for what it had listened for"


def test_a_redis_that_is_away_is_said_to_be(tmp_path: object) -> None:
    fleet = RedisFleet(connect(f"unix://{tmp_path}/nobody.sock"))
    for ask in (fleet.plans, fleet.workers, fleet.beats, fleet.now):
        with pytest.raises(UnreachableError, match="cannot be reached"):
            ask()


def test_a_wait_longer_than_the_client_is_patient_ends_without_an_error(redis_url: str) -> None:
    impatient = RedisFleet(connect(redis_url, deadline=timedelta(seconds=2)))
    assert not impatient.listen(timedelta(seconds=60))


def test_that_plans_were_looked_at_is_known_for_two_seconds(fleet: RedisFleet, redis_client: "redis.Redis") -> None:
    assert not fleet.was_swept()
    fleet.swept()
    assert fleet.was_swept()
    assert 1_000 < redis_client.pttl(keys.SWEPT) <= 2_000
