"""How the message of a slot gets to its broker, on a real Redis: who runs the application's code, and what it sends."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from celery import Celery, Task, signals
from kombu.entity import Exchange, Queue

from moie_worker.doors.delivery import RESERVED_MS
from moie_worker.doors.entries import Due
from moie_worker.doors.scheduler import PlanScheduler
from moie_worker.plan.times import Ms
from tests.contract.test_beat_entries import KEPT, Shop

FANNED = Exchange("fanned", type="direct")  # type: ignore[no-untyped-call]
QUEUE: Any = Queue


class AlreadyQueuedError(Exception):
    """What a task raises that is to be queued once."""


class Once(Task):  # type: ignore[misc]
    """Takes a lock when it is sent, as `celery-once` does; a worker would release it."""

    locked: list[str]
    before: Callable[[], object] | None = None  # something that happens while it has the lock

    def apply_async(self, *args: Any, **options: Any) -> Any:
        self.locked.append(str(options["task_id"]))
        if len(self.locked) > 1:
            raise AlreadyQueuedError
        while_locked, Once.before = Once.before, None
        if while_locked is not None:
            while_locked()
        return super().apply_async(*args, **options)


class Counting(Task):  # type: ignore[misc]
    """Counts how often it is sent; with `sends` off it decides against it."""

    sent: list[str]
    sends = True

    def apply_async(self, *args: Any, **options: Any) -> Any:
        self.sent.append(str(options["task_id"]))
        return super().apply_async(*args, **options) if self.sends else None


def tick(*_: object) -> None:
    """No worker runs it here."""


@pytest.fixture
def shop(redis_client: "redis.Redis", redis_url: str, broker_url: str) -> Iterator[Shop]:
    with ExitStack() as stack:
        yield Shop(redis_client, redis_url, broker_url, stack)
    redis_client.delete("celery", "a", "b", *redis_client.scan_iter("_kombu.*"))


def beats(shop: Shop, base: type[Any] = Task, **fields: Any) -> tuple[PlanScheduler, PlanScheduler]:
    """Two beats of one application, whose hourly entry is due; each knows of the other."""
    pair = shop.beat(hourly=3600.0), shop.beat(hourly=3600.0)
    for beat in pair:
        beat.app.task(name="shop.tick", shared=False, base=base, **fields)(tick)
        beat._say_here()
    pair[0].tick()  # begins with the entry
    shop.hear_again(pair[0])
    pair[0]._say_here()
    return pair


def looks(beat: PlanScheduler, monkeypatch: pytest.MonkeyPatch, later: Ms = 0) -> None:
    """A beat looks at its entries, some time later."""
    peek = beat._firing.kept.peek

    def shifted(names: Any) -> Any:
        now, kept = peek(names)
        return now + later, kept

    with monkeypatch.context() as patched:
        patched.setattr(beat._firing.kept, "peek", shifted)
        beat._firing.fire()


def kept(shop: Shop) -> Due | None:
    (text,) = shop.client.hvals(KEPT)
    return Due.parse(str(text))


def ids(shop: Shop) -> list[str]:
    return [str(headers["id"]) for headers in shop.headers()]


def test_only_the_beat_that_has_the_slot_lets_a_task_take_its_lock(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    locked: list[str] = []
    one, two = beats(shop, Once, locked=locked)
    Once.before = lambda: looks(two, monkeypatch)
    looks(one, monkeypatch)
    assert ids(shop) == locked
    assert len(locked) == 1


def test_a_message_whose_making_takes_long_is_sent_though_others_cannot_send_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked: list[str] = []
    one, two = beats(shop, Once, locked=locked)
    Once.before = lambda: looks(two, monkeypatch, RESERVED_MS)
    looks(one, monkeypatch)
    assert ids(shop) == locked[:1]
    assert len(locked) == 2


def test_a_message_whose_making_takes_long_comes_twice_under_its_id_rather_than_not_at_all(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    one, two = beats(shop, Counting, sent=sent)
    send = one._firing._delivery.send

    def slow(*args: Any) -> None:
        looks(two, monkeypatch, RESERVED_MS)
        send(*args)

    monkeypatch.setattr(one._firing._delivery, "send", slow)
    looks(one, monkeypatch)
    assert ids(shop) == sent
    assert len(sent) == 2
    assert len(set(sent)) == 1


def test_what_a_beat_had_that_died_is_sent_by_another_under_its_id(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    one, two = beats(shop, Counting, sent=sent)
    with monkeypatch.context() as dying:
        dying.setattr(one._firing._delivery, "send", end)
        with pytest.raises(SystemExit):
            looks(one, monkeypatch)
    looks(two, monkeypatch)
    assert ids(shop) == []
    looks(two, monkeypatch, RESERVED_MS)
    assert ids(shop) == sent
    assert len(sent) == 1


def end(*_: object) -> None:
    raise SystemExit


def test_what_one_beat_cannot_send_is_left_to_another_for_a_second(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = beats(shop)
    one.schedule["hourly"].args = (object(),)
    before = kept(shop)
    looks(one, monkeypatch)
    looks(one, monkeypatch, RESERVED_MS - 100)
    assert kept(shop) == before
    looks(two, monkeypatch)
    assert before is not None
    assert ids(shop) == [f"hourly:{before.slot}"]


@pytest.mark.parametrize("base", [Task, Counting])
def test_what_no_beat_can_send_is_given_up_after_a_second(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, base: type[Any]
) -> None:
    pair = beats(shop, base, sent=[])
    before = kept(shop)
    for beat in pair:
        beat.schedule["hourly"].args = (object(),)
        looks(beat, monkeypatch)
    assert kept(shop) == before
    looks(pair[0], monkeypatch, RESERVED_MS + 100)
    after = kept(shop)
    assert after is not None
    assert before is not None
    assert (after.slot - before.slot, ids(shop)) == (3_600_000, [])


def test_what_the_only_beat_cannot_send_is_given_up_at_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    beat = shop.beat(hourly=3600.0)
    beat.tick()
    before = kept(shop)
    beat.schedule["hourly"].args = (object(),)
    looks(beat, monkeypatch)
    assert kept(shop) != before


def test_a_task_that_decides_against_being_sent_is_asked_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    one, two = beats(shop, Counting, sent=sent, sends=False)
    for beat in (one, two, one):
        looks(beat, monkeypatch)
    assert (len(sent), ids(shop)) == (1, [])


def test_a_message_for_two_queues_is_made_once_and_reaches_both(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    one, two = beats(shop, Counting, sent=sent)
    with one.app.connection_for_write() as connection:
        for name in ("a", "b"):
            QUEUE(name, FANNED, routing_key="both")(connection.default_channel).declare()
    for beat in (one, two):
        beat.schedule["hourly"].options |= {"exchange": "fanned", "routing_key": "both"}
    for beat in (one, two, one):
        looks(beat, monkeypatch)
    assert len(sent) == 1
    assert [shop.client.llen(name) for name in ("a", "b")] == [1, 1]


def test_events_of_what_is_sent_come_with_the_message_and_stop_no_superseding(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = beats(shop)
    client: Any = shop.client
    with client.pubsub() as events:
        events.psubscribe("*celeryev*")
        for beat in pair:
            beat.app.conf.task_send_sent_event = True
            beat.schedule["hourly"].options["supersede"] = True
        for hours in (0, 1):
            for beat in pair:
                looks(beat, monkeypatch, hours * 3_600_000)
        told = iter(lambda: events.get_message(timeout=0.05), None)
        heard = [json.loads(message["data"])["headers"] for message in told if message["type"] == "pmessage"]
    assert len(ids(shop)) == 1, "the newest took the place of the one before"
    assert len(heard) == 2, "one for each slot"


def test_listeners_of_publishes_hear_of_what_is_sent_only(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    def listener(headers: dict[str, Any], **_: object) -> None:
        heard.append(str(headers["id"]))
        looks(two, monkeypatch)

    one, two = beats(shop)
    signals.after_task_publish.connect(listener)
    try:
        looks(one, monkeypatch)
    finally:
        signals.after_task_publish.disconnect(listener)
    assert ids(shop) == heard
    assert len(heard) == 1


def test_an_application_that_runs_tasks_where_they_are_called_has_no_beat(capsys: pytest.CaptureFixture[str]) -> None:
    app = Celery("shop", broker="memory://", set_as_current=False)
    app.conf.task_always_eager = True
    PlanScheduler(app, lazy=True)
    with pytest.raises(SystemExit) as ended:
        PlanScheduler(app)
    assert ended.value.code == 2
    assert "moie-worker: task_always_eager is set" in capsys.readouterr().err
