"""Alerts stand once for everybody, and both of their ends are written down."""

from typing import Any

import pytest
import redis

from moie_worker.adapters.redis import keys
from moie_worker.adapters.redis.alerts import RedisAlerts


@pytest.fixture
def watchers(redis_client: "redis.Redis") -> list[RedisAlerts]:
    """Three that look at the same Redis."""
    return [RedisAlerts(redis_client) for _ in range(3)]


def events(client: "redis.Redis") -> list[tuple[str, str, str, str]]:
    rows: list[Any] = list(client.xrange(keys.EVENTS) or ())
    return [(row["event"], row["severity"], row["name"], row["message"]) for _, row in rows]


def test_of_several_watchers_one_raises_and_one_clears(
    watchers: list[RedisAlerts], redis_client: "redis.Redis"
) -> None:
    assert [watcher.raise_once("beat", "no beat – ü") for watcher in watchers] == [True, False, False]
    assert [watcher.clear_once("beat") for watcher in watchers] == [True, False, False]
    assert events(redis_client) == [
        ("raised", "critical", "beat", "no beat – ü"),
        ("cleared", "info", "beat", "no beat – ü"),
    ]


def test_everybody_sees_what_stands_with_its_first_message(watchers: list[RedisAlerts]) -> None:
    watchers[0].raise_once("a", "first")
    watchers[1].raise_once("a", "another")
    watchers[1].raise_once("b", "b")
    assert watchers[2].standing() == {"a": "first", "b": "b"}


def test_what_does_not_stand_is_not_cleared(watchers: list[RedisAlerts], redis_client: "redis.Redis") -> None:
    assert not watchers[0].clear_once("nothing")
    assert events(redis_client) == []


def test_what_comes_again_is_raised_again(watchers: list[RedisAlerts], redis_client: "redis.Redis") -> None:
    for _ in range(2):
        assert watchers[0].raise_once("a", "m")
        assert watchers[1].clear_once("a")
    assert [event for event, *_ in events(redis_client)] == ["raised", "cleared"] * 2
