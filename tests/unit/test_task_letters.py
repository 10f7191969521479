"""What the letter of a dead task keeps of what was to follow it, and what a replay does with that. Celery runs it."""

# mypy: disable-error-code="untyped-decorator,no-untyped-call"

from collections.abc import Iterator

import pytest
from celery import chain, chord, group
from kombu.common import Broadcast
from kombu.entity import Exchange, Queue, binding
from kombu.message import Message

from moie_worker.doors.task_letters import BEAT_HEADER, undelivered
from moie_worker.doors.task_replay import CeleryPublisher
from moie_worker.errors import RefusedError
from moie_worker.heart.dead_letters import DeadLetters
from moie_worker.plan.letters import Watched
from tests.shop_kit import ACT, FORCED, NoJobs, Shop, shop_with


@pytest.fixture
def shop() -> Iterator[Shop]:
    with shop_with() as shop:
        yield shop


def test_the_rest_of_a_chain_follows_the_replay(shop: Shop) -> None:
    chain(shop.pay.s(7), shop.tell.s("paid"), shop.tell.s("shipped")).apply_async()
    shop.work()
    assert shop.did == []
    shop.replay()
    assert shop.did == ["pay 7", "tell paid", "tell shipped"]


def test_callbacks_and_limits_are_those_of_the_call(shop: Shop) -> None:
    told = shop.tell.si("money came")
    shop.pay.apply_async((7,), link=told, link_error=shop.tell.si("no money"), time_limit=9, soft_time_limit=8)
    shop.work()
    assert shop.did == ["tell no money"]
    replayed, *_ = shop.replay()
    assert list(replayed.time_limits) == [9, 8]
    assert shop.did == ["tell no money", "pay 7", "tell money came"]


def test_the_letter_of_a_replay_keeps_them_for_the_next(shop: Shop) -> None:
    chain(shop.pay.s(7), shop.tell.s("paid")).apply_async()
    shop.work()
    DeadLetters(shop.box, NoJobs(), CeleryPublisher(shop.app)).replay(shop.letter().head.id, ACT)
    shop.work()
    assert shop.letter().head.deaths == 2
    shop.replay()
    assert shop.did == ["pay 7", "tell paid"]


@pytest.mark.parametrize(
    ("options", "letters", "put_back"),
    [
        ({}, 1, []),
        ({"acks_on_timeout": False}, 1, []),
        ({"acks_late": True}, 1, []),
        ({"acks_late": True, "acks_on_timeout": False}, 0, [True]),
        ({"acks_late": True, "acks_on_failure": False}, 1, []),
    ],
)
def test_a_hard_time_limit_is_a_letter_unless_celery_puts_the_task_back(
    shop: Shop, options: dict[str, bool], letters: int, put_back: list[bool]
) -> None:
    for name, value in options.items():
        setattr(shop.pay, name, value)
    shop.pay.apply_async((7,), headers={BEAT_HEADER: True})
    (request,) = shop.taken()
    shop.watcher.received(request=request)
    request.on_timeout(soft=False, timeout=3)
    assert (shop.box.count(), shop.put_back) == (letters, put_back)
    assert shop.post.runs == [Watched("task:pay")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("begins", ["a task", "a chain"])
def test_a_part_of_a_chord_that_failed_runs_alone_and_only_when_forced(shop: Shop, begins: str) -> None:
    part = shop.pay.s(7) if begins == "a task" else chain(shop.pay.s(7), shop.tell.s("paid"))
    chord(group(part, shop.tell.si("beside")), shop.tell.si("all done")).apply_async()
    shop.work()
    with pytest.raises(RefusedError, match="belonged to a chord"):
        shop.replay()
    shop.replay(FORCED)
    assert shop.did == ["tell beside", "pay 7", *(["tell paid"] if begins == "a chain" else [])]


def test_a_chain_in_pickle_is_kept_where_it_says_the_same_in_json(shop: Shop) -> None:
    shop.app.conf.update(task_serializer="pickle", accept_content=["pickle", "json"])
    chain(shop.pay.s(7), shop.tell.s("paid")).apply_async()
    shop.work()
    shop.replay()
    assert shop.did == ["pay 7", "tell paid"]


def test_callbacks_that_are_no_json_keep_a_task_from_being_replayed(shop: Shop) -> None:
    shop.app.conf.update(task_serializer="pickle", accept_content=["pickle", "json"])
    shop.pay.apply_async((7,), link=shop.tell.si({1, 2}))
    shop.work()
    with pytest.raises(RefusedError, match="callbacks are no JSON"):
        shop.replay()


@pytest.mark.parametrize(
    ("queue", "routing_key"),
    [
        (Queue("feeds", Exchange("tasks"), "feed.import"), "feed.import"),
        (Queue("feeds", Exchange("tasks", type="topic"), "feed.#"), "feed.import"),
        (Queue("feeds", bindings=[binding(Exchange("tasks"), "a"), binding(Exchange("tasks"), "b")]), "b"),
    ],
)
def test_a_message_is_kept_with_the_queue_that_its_exchange_led_to(shop: Shop, queue: Queue, routing_key: str) -> None:
    death = undelivered(shop.app, delivered(shop, queue, routing_key), "no task")
    assert (death.name, death.payload["queue"]) == ("feeds", "feeds")
    assert "not_replayable" not in death.payload


@pytest.mark.parametrize(
    ("queue", "why"),
    [
        (Queue("feeds", Exchange("tasks"), "other"), "no queue of its worker is bound to the exchange 'tasks'"),
        (Broadcast("feeds", exchange=Exchange("tasks", type="fanout")), "every worker that listened got it"),
    ],
)
def test_a_message_that_lay_in_no_known_queue_is_not_put_into_one(shop: Shop, queue: Queue, why: str) -> None:
    death = undelivered(shop.app, delivered(shop, queue, "feed.import"), "no task")
    assert why in death.payload["not_replayable"]


def delivered(shop: Shop, queue: Queue, routing_key: str) -> Message:
    """What a worker of this queue is given by its broker."""
    shop.app.conf.task_queues = [Queue("other"), queue]
    address = {"exchange": "tasks", "routing_key": routing_key}
    return Message(body=b"7", delivery_tag="tag", delivery_info=address, properties={}, headers={})


def test_what_takes_more_than_is_kept_is_counted_with_its_callbacks(shop: Shop) -> None:
    shop.pay.apply_async((7,), link=shop.tell.si("x" * 300_000))
    shop.work()
    with pytest.raises(RefusedError, match="bytes, at most 262,144 are kept"):
        shop.replay()
