"""Due times of ordinary entries: of any number of beats, one advances each."""

import json

import pytest
import redis

from moie_worker.adapters.redis.entries import RedisEntries


@pytest.fixture
def beats(redis_client: "redis.Redis") -> list[RedisEntries]:
    return [RedisEntries(redis_client, "shop") for _ in range(3)]


def test_an_entry_is_made_once(beats: list[RedisEntries]) -> None:
    assert [beat.advance("e", "", f"{number}") for number, beat in enumerate(beats)] == [True, False, False]
    assert beats[2].peek(["e", "unknown"])[1] == {"e": "0"}


def test_an_entry_is_advanced_by_one_of_those_that_saw_it(beats: list[RedisEntries]) -> None:
    beats[0].advance("e", "", "1")
    assert [beat.advance("e", "1", "2") for beat in beats] == [True, False, False]
    assert not beats[0].advance("e", "1", "3")


def test_firing_pushes_the_message_with_the_advance(beats: list[RedisEntries], redis_client: "redis.Redis") -> None:
    beats[0].advance("e", "", "1")
    assert [beat.fire("e", "1", "2", "celery", "a message – ü") for beat in beats] == [True, False, False]
    assert redis_client.lrange("celery", 0, -1) == ["a message – ü"]
    assert beats[0].peek(["e"])[1] == {"e": "2"}
    redis_client.delete("celery")


def fired(beats: list[RedisEntries], slot: int, supersedes: str = "e") -> str:
    """The message of a slot, sent."""
    message = json.dumps({"body": "", "headers": {"moie_entry": "e", "id": f"e:{slot}"}})
    assert beats[0].fire("e", f"{slot}", f"{slot + 1}", "celery", message, supersedes=supersedes)
    return message


def test_a_message_takes_the_place_of_the_one_before_that_nobody_took(
    beats: list[RedisEntries], redis_client: "redis.Redis"
) -> None:
    beats[0].advance("e", "", "1")
    messages = [fired(beats, slot) for slot in range(1, 5)]
    assert redis_client.lrange("celery", 0, -1) == messages[-1:]
    messages.append(fired(beats, 5, supersedes=""))
    assert redis_client.lrange("celery", 0, -1) == messages[:-3:-1], "what does not say so lies beside it"
    redis_client.delete("celery")


@pytest.mark.parametrize("other", ["", "no JSON", "[]", '{"headers": 1}', '{"headers": {"moie_entry": "f"}}', "{}"])
def test_a_message_takes_the_place_of_no_other(
    beats: list[RedisEntries], redis_client: "redis.Redis", other: str
) -> None:
    beats[0].advance("e", "", "1")
    older = fired(beats, 1)
    redis_client.lpush("celery", other)
    assert redis_client.lrange("celery", 0, -1) == [other, older]
    newer = fired(beats, 2)
    assert redis_client.lrange("celery", 0, -1) == [newer, other, older]
    redis_client.delete("celery")


def test_who_comes_second_takes_nothing_away(beats: list[RedisEntries], redis_client: "redis.Redis") -> None:
    beats[0].advance("e", "", "1")
    message = fired(beats, 1)
    assert not beats[1].fire("e", "1", "2", "celery", "another", supersedes="e")
    assert redis_client.lrange("celery", 0, -1) == [message]
    redis_client.delete("celery")


def test_an_entry_that_was_dropped_fires_nothing(beats: list[RedisEntries], redis_client: "redis.Redis") -> None:
    beats[0].advance("e", "", "1")
    beats[1].drop(["e"])
    assert not beats[0].fire("e", "1", "2", "celery", "m")
    assert not redis_client.exists("celery")


def test_names_are_listed_and_dropped(beats: list[RedisEntries]) -> None:
    for name in ("b", "a", "c"):
        beats[0].advance(name, "", "1")
    beats[0].drop([])
    assert beats[1].names() == ["a", "b", "c"]
    beats[1].drop(["a", "c", "unknown"])
    assert beats[2].names() == ["b"]


def test_peeking_tells_the_time_of_redis(beats: list[RedisEntries], redis_client: "redis.Redis") -> None:
    before = redis_client.time()[0] * 1000
    now, nothing = beats[0].peek([])
    assert before <= now <= redis_client.time()[0] * 1000 + 1000
    assert nothing == {}


def test_applications_know_nothing_of_each_other(beats: list[RedisEntries], redis_client: "redis.Redis") -> None:
    beats[0].advance("e", "", "1")
    other = RedisEntries(redis_client, "other")
    assert other.names() == []
    other.drop(["e"])
    assert beats[0].names() == ["e"]
