"""What the letter of a dead task keeps of what was to follow it, and what a replay does with that. Celery runs it."""

# mypy: disable-error-code="untyped-decorator,no-untyped-call"

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.worker.request import Request
from kombu.common import Broadcast
from kombu.entity import Exchange, Queue, binding
from kombu.message import Message
from kombu.serialization import prepare_accept_content

from moie_worker.adapters.memory_dead_letters import MemoryDeadLetters
from moie_worker.doors.post import Post
from moie_worker.doors.task_letters import undelivered
from moie_worker.doors.task_replay import CeleryPublisher
from moie_worker.doors.watch import Watcher
from moie_worker.errors import NotFoundError, RefusedError
from moie_worker.heart.dead_letters import Act, DeadLetters
from moie_worker.plan.letters import Death, Letter, LetterFilter, Measured, Watched

ACT = Act("ops")


class BoxHere(Post):
    """Keeps letters in memory."""

    def __init__(self, app: Celery) -> None:
        super().__init__(app)
        self.box = MemoryDeadLetters(lambda: datetime(2026, 3, 1, tzinfo=UTC))

    def letter(self, death: Death) -> None:
        self.box.put(death)

    def run(self, run_of: Watched, measured: Measured) -> None:
        raise AssertionError(f"{run_of} is no periodic task, and took {measured}")


class NoJobs:
    def replay(self, job: str, who: str, why: str) -> None:
        raise NotFoundError(job)

    def discard(self, job: str, who: str, why: str) -> None:
        raise NotFoundError(job)


class Shop:
    """An application, its worker and its operator in one process. Tasks of its workflows say what they did."""

    def __init__(self, name: str) -> None:
        self.app = Celery(name, broker="memory://", backend="cache+memory://", set_as_current=False)
        self.app.conf.task_default_queue = name
        self.did: list[str] = []
        self.broke = True
        self._define()
        self.post = BoxHere(self.app)
        self.watcher = Watcher(self.app, self.post)
        self.watcher.take(self.app.Task)
        self.watcher.connect()
        self.dead = DeadLetters(self.post.box, NoJobs(), CeleryPublisher(self.app))

    def _define(self) -> None:
        @self.app.task(name="pay", shared=False)
        def pay(amount: int) -> int:
            if self.broke:
                raise ValueError("no money")
            self.did.append(f"pay {amount}")
            return amount

        @self.app.task(name="tell", shared=False)
        def tell(*what: object) -> None:
            self.did.append(f"tell {what[-1]}")

        self.pay, self.tell = pay, tell

    def work(self) -> list[Request]:
        """Run what lies in the queue, and what that sends; returns what ran."""
        ran = []
        with self.app.connection_for_read() as connection:
            while message := connection.default_channel.basic_get(self.app.conf.task_default_queue, no_ack=True):
                message.accept = prepare_accept_content(self.app.conf.accept_content)
                ran.append(Request(message, app=self.app))
                ran[-1].execute()
        return ran

    def letter(self) -> Letter:
        (head,) = self.post.box.page(LetterFilter()).heads
        return self.post.box.get(head.id)

    def replay(self, act: Act = ACT) -> list[Any]:
        """The bank is back."""
        self.broke = False
        self.dead.replay(self.letter().head.id, act)
        return self.work()


NUMBERS = count()


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop(f"shop{next(NUMBERS)}")
    yield shop
    shop.watcher.disconnect()
    shop.app.close()


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
    shop.dead.replay(shop.letter().head.id, ACT)
    shop.work()
    assert shop.letter().head.deaths == 2
    shop.replay()
    assert shop.did == ["pay 7", "tell paid"]


@pytest.mark.parametrize("begins", ["a task", "a chain"])
def test_a_part_of_a_chord_that_failed_runs_alone_and_only_when_forced(shop: Shop, begins: str) -> None:
    part = shop.pay.s(7) if begins == "a task" else chain(shop.pay.s(7), shop.tell.s("paid"))
    chord(group(part, shop.tell.si("beside")), shop.tell.si("all done")).apply_async()
    shop.work()
    with pytest.raises(RefusedError, match="belonged to a chord"):
        shop.replay()
    shop.replay(Act("ops", force=True))
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
