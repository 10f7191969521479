"""What every notebook promises: the twin in memory and the one in Redis."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from moie_worker.adapters.items import MAX_VERSION
from moie_worker.adapters.memory_notebook import MemoryNotebook
from moie_worker.adapters.redis.keys import Keys
from moie_worker.adapters.redis.notebook import RedisNotebook
from moie_worker.ports import Item, Notebook

MS = timedelta(milliseconds=1)
S = timedelta(seconds=1)
DAY = timedelta(days=1)


class HandClock:
    """Moves by hand only."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


@dataclass
class Case:
    """A notebook, its time, and a way to let a few milliseconds pass."""

    book: Notebook
    now: Callable[[], datetime]
    let_pass: Callable[[timedelta], None]


def memory_case() -> Case:
    clock = HandClock()

    def let_pass(span: timedelta) -> None:
        clock.time += span

    return Case(MemoryNotebook(clock), clock.now, let_pass)


def redis_case(client: Any) -> Case:
    def now() -> datetime:
        seconds, micros = client.time()
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros)

    def let_pass(span: timedelta) -> None:
        end = now() + span
        while now() < end:
            pass

    return Case(RedisNotebook(client, Keys("test")), now, let_pass)


@pytest.fixture(params=["memory", "redis", "redis-bytes"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    if request.param == "memory":
        yield memory_case()
        return
    url = request.getfixturevalue("redis_url")
    with redis.Redis.from_url(url, decode_responses=request.param == "redis") as client:
        yield redis_case(client)


def item(key: str, version: int = 1, **fields: str) -> Item:
    return Item(key, version, fields)


def test_what_is_new_is_told_once(case: Case) -> None:
    first = case.book.publish_new("t", [item("a"), item("b")], 10)
    assert [(found.key, found.version) for found in first] == [("a", 1), ("b", 1)]
    assert case.book.publish_new("t", [item("a"), item("b")], 10) == []
    assert [found.key for found in case.book.publish_new("t", [item("b"), item("c")], 10)] == ["c"]


def test_a_higher_version_is_new_and_says_what_was_seen_before(case: Case) -> None:
    case.book.publish_new("t", [item("a", 2)], 10)
    assert case.book.publish_new("t", [item("a", 1)], 10) == []
    (again,) = case.book.publish_new("t", [item("a", 10, title="x")], 10)
    assert again == Item("a", 10, {"title": "x", "before": "2"})
    assert case.book.publish_new("t", [item("a", 9)], 10) == []


def test_the_same_key_twice_in_one_call_counts_by_its_versions(case: Case) -> None:
    found = case.book.publish_new("t", [item("a", 1), item("a", 1), item("a", 2)], 10)
    assert [(one.version, one.fields["before"]) for one in found] == [(1, ""), (2, "1")]


def test_the_stream_holds_the_new_ones_in_order_with_their_fields(case: Case) -> None:
    start = case.now() - MS
    case.book.publish_new("t", [item("a", title="Ünïcode ✓ \n\t\"'\\"), item("b", 3, empty="")], 10)
    entries = case.book.published("t", start)
    assert [fields for _, fields in entries] == [
        {"key": "a", "version": "1", "before": "", "title": "Ünïcode ✓ \n\t\"'\\"},
        {"key": "b", "version": "3", "before": "", "empty": ""},
    ]
    assert all(start <= at <= case.now() for at, _ in entries)
    assert case.book.published("t", case.now() + DAY) == []
    assert len(case.book.published("t", datetime(1970, 1, 1, tzinfo=UTC) - DAY)) == 2


def test_the_stream_keeps_the_newest_only_and_forgets_no_key(case: Case) -> None:
    case.book.publish_new("t", [item(f"k{n}") for n in range(7)], 3)
    assert [fields["key"] for _, fields in case.book.published("t", case.now() - DAY)] == ["k4", "k5", "k6"]
    assert case.book.publish_new("t", [item("k0")], 3) == []


def test_what_was_not_given_for_the_longest_time_is_forgotten_first(case: Case) -> None:
    def given(*keys: str) -> list[str]:
        case.let_pass(2 * MS)
        return [found.key for found in case.book.publish_new("t", [item(key) for key in keys], 10, remember=4)]

    assert given("old", "gone") == ["old", "gone"]
    for n in range(10):
        assert given("old", f"k{n}") == [f"k{n}"], "what is still found is never new again, however old"
    assert given("k9", "k8") == []
    assert given("gone") == ["gone"]
    assert given("k7") == ["k7"], "of five the one that was given longest ago"


def test_a_topic_remembers_as_many_as_it_was_told(case: Case) -> None:
    for n in range(20):
        case.book.publish_new("t", [item(f"k{n}")], 100, remember=4)
    assert _remembered(case) == (4, 4)


def _remembered(case: Case) -> tuple[int, int]:
    if isinstance(case.book, MemoryNotebook):
        number = len(case.book._seen["t"])
        return number, number
    assert isinstance(case.book, RedisNotebook)
    client: Any = case.book._client
    return client.hlen("moie:{test}:note:t:seen"), client.zcard("moie:{test}:note:t:sighted")


def test_topics_know_nothing_of_each_other(case: Case) -> None:
    case.book.publish_new("t", [item("a")], 10)
    assert len(case.book.publish_new("u", [item("a")], 10)) == 1
    assert len(case.book.published("t", case.now() - DAY)) == 1
    assert case.book.turn("t", S) == case.book.turn("u", S) == timedelta(0)


def test_large_versions_keep_their_digits(case: Case) -> None:
    case.book.publish_new("t", [item("a", MAX_VERSION - 1)], 10)
    assert case.book.publish_new("t", [item("a", MAX_VERSION - 1)], 10) == []
    assert len(case.book.publish_new("t", [item("a", MAX_VERSION)], 10)) == 1
    versions = [fields["version"] for _, fields in case.book.published("t", case.now() - DAY)]
    assert versions == [str(MAX_VERSION - 1), str(MAX_VERSION)]


def test_a_version_that_cannot_be_kept_is_refused_with_everything_beside_it(case: Case) -> None:
    with pytest.raises(ValueError, match="beyond"):
        case.book.publish_new("t", [item("a"), item("b", MAX_VERSION + 1)], 10)
    assert len(case.book.publish_new("t", [item("a")], 10)) == 1


def test_nothing_to_publish(case: Case) -> None:
    assert case.book.publish_new("t", [], 10) == []
    assert case.book.published("t", case.now() - DAY) == []


def test_a_thousand_items_at_once(case: Case) -> None:
    assert len(case.book.publish_new("t", [item(f"k{n}", title="x" * 500) for n in range(1000)], 2000)) == 1000


def test_two_at_once_publish_each_item_once(case: Case) -> None:
    found: list[Item] = []
    barrier = threading.Barrier(4)

    def publish() -> None:
        barrier.wait()
        for n in range(50):
            found.extend(case.book.publish_new("t", [item(f"k{n}"), item(f"k{n + 1}")], 1000))

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.key for one in found) == sorted(f"k{n}" for n in range(51))
    assert len(case.book.published("t", case.now() - DAY)) == 51


def test_turns_stand_in_line(case: Case) -> None:
    waits = [case.book.turn("t", 3 * S) for _ in range(3)]
    assert waits[0] == timedelta(0)
    assert 2 * S < waits[1] <= 3 * S
    assert 5 * S < waits[2] <= 6 * S


def test_a_turn_is_free_again_after_the_interval(case: Case) -> None:
    case.book.turn("t", 2 * MS)
    case.let_pass(4 * MS)
    assert case.book.turn("t", 2 * MS) == timedelta(0)


def test_a_topic_is_held_by_one(case: Case) -> None:
    with case.book.exclusive("t", S) as first:
        with case.book.exclusive("t", S) as second, case.book.exclusive("u", S) as other:
            assert (first, second, other) == (True, False, True)
        with case.book.exclusive("t", S) as third:
            assert not third
    with case.book.exclusive("t", S) as again:
        assert again


def test_a_topic_is_given_back_when_the_holder_fails(case: Case) -> None:
    with pytest.raises(RuntimeError, match="boom"), case.book.exclusive("t", S):
        raise RuntimeError("boom")
    with case.book.exclusive("t", S) as again:
        assert again


def test_an_expired_hold_is_free_and_its_old_holder_takes_nothing_away(case: Case) -> None:
    with case.book.exclusive("t", 2 * MS) as first:
        case.let_pass(4 * MS)
        with case.book.exclusive("t", 10 * S) as second:
            assert first
            assert second
            stale = case.book.exclusive("t", S)
            with stale as third:
                assert not third
    with case.book.exclusive("t", S) as again:
        assert again


def test_the_late_end_of_an_expired_hold_does_not_free_the_new_one(case: Case) -> None:
    late = case.book.exclusive("t", 2 * MS)
    assert late.__enter__()
    case.let_pass(4 * MS)
    with case.book.exclusive("t", 10 * S) as second:
        late.__exit__(None, None, None)
        with case.book.exclusive("t", S) as third:
            assert (second, third) == (True, False)
