"""Anything whatever is pushed into the queue of a real worker; it lives, and every element is a dead letter."""

# mypy: disable-error-code="no-untyped-call"

import base64
import copy
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis
from celery import Celery

from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.doors.poison import harden
from moie_worker.plan.letters import LetterFilter, LetterHead, LetterKind
from tests.celery_kit import Start, wait_until

pytestmark = pytest.mark.integration

Edit = Callable[[dict[str, Any]], object]


def envelope(body: object = None, **headers: object) -> dict[str, Any]:
    """A good message, as kombu writes it."""
    task_id = str(uuid4())
    task = {"lang": "py", "task": "hard.add", "id": task_id, "retries": 0, "timelimit": [None, None]}
    text = json.dumps([[1, 2], {}, {}] if body is None else body)
    return {
        "body": base64.b64encode(text.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {**task, **headers},
        "properties": {
            "correlation_id": task_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
        },
    }


def edited(edit: Edit, **headers: object) -> bytes:
    message = envelope(**headers)
    edit(message)
    return json.dumps(message).encode()


def with_headers(**headers: object) -> bytes:
    return json.dumps(envelope(**headers)).encode()


BODIES: list[object] = [{}, [], [1], "text", [[], []], [{}, [], {}], [[], {}, None], [[], {}, {"callbacks": 7}]]

GARBAGE: list[bytes] = [
    b"",
    b"\x00",
    b"garbage",
    b"\xff\xfe\x00\x01",
    b"{",
    b"[]",
    b"{}",
    b"null",
    b"0",
    b"1e999",
    b"NaN",
    b'"text"',
    b"9" * 5000,
    b"[" * 100_000,
    b'{"a":' * 5000,
    b'{"__type__": "datetime", "__value__": "never"}',
    b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01x\x94.",
    *(edited(lambda m, name=name: m.pop(name)) for name in ("body", "headers", "properties", "content-type")),  # type: ignore[misc]
    edited(lambda m: m["properties"].pop("delivery_tag")),
    edited(lambda m: m["properties"].pop("delivery_info")),
    edited(lambda m: m["properties"]["delivery_info"].pop("exchange")),
    edited(lambda m: m["properties"].update(delivery_tag=None)),
    edited(lambda m: m["properties"].update(delivery_tag="\ud800")),
    edited(lambda m: m["properties"].update(delivery_info="text")),
    edited(lambda m: m["properties"].update(body_encoding="zip")),
    edited(lambda m: m["properties"].update(priority="high")),
    edited(lambda m: m.update(headers=[])),
    edited(lambda m: m.update(headers=None)),
    edited(lambda m: m.update(body="***")),
    edited(lambda m: m.update(body=7)),
    edited(lambda m: m.update({"content-type": "application/x-python-serialize"})),
    edited(lambda m: m.update({"content-type": "text/nothing"})),
    edited(lambda m: m.update({"content-encoding": "zlib"})),
    edited(lambda m: m.update({"content-encoding": 3})),
    edited(lambda m: m["headers"].update(compression="application/x-gzip")),
    *(json.dumps(envelope(body)).encode() for body in BODIES),
    with_headers(timelimit="text"),
    with_headers(timelimit=[1]),
    with_headers(timelimit=["a", "b"]),
    with_headers(retries="many"),
    with_headers(eta="never"),
    with_headers(eta=7),
    with_headers(eta="9999-12-31T23:59:59"),
    with_headers(expires={"a": 1}),
    with_headers(expires="soon"),
    with_headers(task=None),
    with_headers(task=["hard.add"]),
    with_headers(task="hard.nothing"),
    with_headers(id=None),
    with_headers(id={"a": 1}),
    with_headers(id="x" * 100_000),
    with_headers(id="x\x1b[2J"),
    with_headers(group="two\nlines"),
    edited(lambda m: m.update({"content-type": "x\x9b2J"})),
    with_headers(shadow=[1]),
    with_headers(group=5),
    with_headers(root_id=[]),
    with_headers(argsrepr=7),
    with_headers(ignore_result="yes"),
    with_headers(stamps=1, stamped_headers=2),
    with_headers(shadow="é").replace(b"\\u00e9", b"\xe9"),
    edited(lambda m: m["headers"].clear()),
]


@pytest.fixture
def box(redis_url: str) -> RedisDeadLetters:
    return RedisDeadLetters(connect(redis_url), "default")


@pytest.fixture
def hard(broker_url: str) -> Celery:
    """The sending side: plain Celery."""
    return Celery("hard", broker=broker_url)


def heads(box: RedisDeadLetters) -> list[LetterHead]:
    return list(box.page(LetterFilter(), limit=1000).heads)


def ready(hard: Celery) -> None:
    """A worker listens to control messages."""
    wait_until(lambda: hard.control.ping(timeout=0.5), "a worker that answers")


def add(hard: Celery, client: "redis.Redis", left: int) -> None:
    """A good task runs."""
    key = f"celery-task-meta-{hard.send_task('hard.add', [left, 1]).id}"
    wait_until(lambda: client.exists(key), "the result of a good task")
    assert json.loads(str(client.get(key)))["result"] == left + 1


@pytest.mark.fault(15)
def test_every_shape_of_garbage_is_a_letter_and_the_worker_goes_on(
    start: Start, hard: Celery, box: RedisDeadLetters, redis_client: "redis.Redis", broker_url: str, redis_url: str
) -> None:
    worker = start("hardened_app", "worker", "-c1", TEST_BROKER=broker_url, TEST_LETTERS=redis_url)
    for number, garbage in enumerate(GARBAGE):
        redis_client.lpush("celery", garbage)
        if number % 10 == 0:
            hard.send_task("hard.add", [number, 1])
    add(hard, redis_client, 41)
    assert len(set(GARBAGE)) == len(GARBAGE) >= 60
    wait_until(lambda: box.count() == len(GARBAGE), f"{len(GARBAGE)} letters")
    found = heads(box)
    assert all(head.kind is LetterKind.MESSAGE and head.reason and head.name for head in found)
    raw = {base64.b64decode(box.get(head.id).payload["raw_base64"]) for head in found}
    assert b"garbage" in raw
    assert worker.poll() is None
    assert redis_client.llen("celery") == 0
    assert redis_client.hlen("unacked") == 0


def test_garbage_on_the_channels_of_control_events_and_broadcasts_is_a_letter(
    start: Start, hard: Celery, box: RedisDeadLetters, redis_client: "redis.Redis", broker_url: str, redis_url: str
) -> None:
    worker = start("hardened_app", "worker", "-c1", TEST_BROKER=broker_url, TEST_LETTERS=redis_url, TEST_EVENTS="ev")
    ready(hard)
    channels = {"/0.celery.pidbox", "/0.ev/worker.heartbeat", "/0.everyone/all"}
    wait_until(lambda: redis_client.pubsub_numpat() == len(channels), "a worker that listens to all of them")
    shapes = [b"7", b"[]", b"garbage", b"\xff", b"{}", with_headers(id=7)]
    bodies = [json.dumps(message).encode() for message in events()]
    given = [(channel, shape) for channel in channels for shape in (shapes if "all" in channel else shapes + bodies)]
    for channel, shape in given:
        assert redis_client.publish(channel, shape) == 1
    ready(hard)
    add(hard, redis_client, 1)
    assert redis_client.publish("/0.everyone/all", with_headers(id="to-all")) == 1
    wait_until(lambda: redis_client.exists("celery-task-meta-to-all"), "the result of a task that all workers got")
    wait_until(lambda: box.count() == len(given), f"{len(given)} letters")
    assert {head.name for head in heads(box)} == channels
    assert all("in no queue" in box.get(head.id).payload["not_replayable"] for head in heads(box))
    assert worker.poll() is None


def events() -> list[dict[str, Any]]:
    """Envelopes that are right around bodies that are wrong."""
    good = envelope()
    good["headers"] = {"hostname": "other@host"}
    wrong: list[dict[str, Any]] = []
    for body in (7, "text", None, [1], {"type": 7}, {"type": "worker-heartbeat", "hostname": "o", "timestamp": "x"}):
        message = copy.deepcopy(good)
        message["body"] = base64.b64encode(json.dumps(body).encode()).decode()
        wrong.append(message)
    return wrong


def test_the_same_bytes_twice_are_one_letter_that_died_twice(
    start: Start, hard: Celery, box: RedisDeadLetters, redis_client: "redis.Redis", broker_url: str, redis_url: str
) -> None:
    redis_client.lpush("celery", b"garbage", b"garbage")
    start("hardened_app", "worker", "-c1", TEST_BROKER=broker_url, TEST_LETTERS=redis_url)
    wait_until(lambda: [head.deaths for head in heads(box)] == [2], "one letter of two deaths")


def test_a_key_prefix_changes_nothing(
    start: Start, box: RedisDeadLetters, redis_client: "redis.Redis", broker_url: str, redis_url: str
) -> None:
    start("hardened_app", "worker", "-c1", TEST_BROKER=broker_url, TEST_LETTERS=redis_url, TEST_PREFIX="pre-")
    redis_client.lpush("pre-celery", b"garbage")
    sender = Celery("hard", broker=broker_url)
    sender.conf.broker_transport_options = {"global_keyprefix": "pre-"}
    sender.send_task("hard.nothing")
    wait_until(lambda: {head.name for head in heads(box)} == {"celery"} and box.count() == 2, "both letters")


def test_what_is_asked_for_one_by_one_is_parked_with_its_queue(
    box: RedisDeadLetters, redis_client: "redis.Redis", broker_url: str, redis_url: str
) -> None:
    redis_client.lpush("pre-feeds", b"garbage")
    app = Celery("hard", broker=broker_url, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": "pre-"}
    harden(app, redis_url)
    with app.connection_for_read() as connection:
        assert connection.default_channel.basic_get("feeds") is None
    assert [head.name for head in heads(box)] == ["feeds"]


@pytest.mark.fault(15)
def test_random_damage_to_good_messages_never_ends_the_worker(
    start: Start,
    hard: Celery,
    box: RedisDeadLetters,
    redis_client: "redis.Redis",
    broker_url: str,
    redis_url: str,
    tmp_path: Path,
) -> None:
    worker = start("hardened_app", "worker", "-c1", TEST_BROKER=broker_url, TEST_LETTERS=redis_url)
    dice = random.Random(20260301)
    for _ in range(300):
        redis_client.lpush("celery", damaged(with_headers(), dice))
    add(hard, redis_client, 1)
    assert worker.poll() is None
    assert box.count() > 100
    assert "Connection to broker lost" not in (tmp_path / "worker.log").read_text()
    wait_until(lambda: redis_client.hlen("unacked") == 0, "nothing left unacknowledged")


def damaged(good: bytes, dice: random.Random) -> bytes:
    """Some bytes of it are others, or it ends early."""
    message = bytearray(good)
    for _ in range(dice.randint(1, 4)):
        message[dice.randrange(len(message))] = dice.randrange(256)
    return bytes(message[: dice.randrange(len(message))] if dice.random() < 0.1 else message)


PACKED = zlib.compress(b"[[1, 2], {}, {}]")
CLEARS = "x\x1b[2J"  # a terminal, where it is shown
OLD_FAR_AHEAD = b'{"task": "hard.add", "id": "old", "args": [1, 2], "kwargs": {}, "eta": "9999-12-31T23:59:59"}'


def test_without_the_sieve_the_consumer_parks_what_reaches_it(
    start: Start,
    hard: Celery,
    box: RedisDeadLetters,
    redis_client: "redis.Redis",
    broker_url: str,
    redis_url: str,
    tmp_path: Path,
) -> None:
    shapes = [
        with_headers(task="hard.nothing"),
        with_headers(timelimit="text"),
        with_headers(eta="9999-12-31T23:59:59"),
        with_headers(id=None),
        with_headers(expires="soon"),
        json.dumps(envelope([1])).encode(),
        edited(lambda m: m.update({"content-type": "application/x-python-serialize"})),
        edited(lambda m: m["headers"].clear()),
        edited(lambda m: m.update(body=base64.b64encode(b"{").decode())),
        edited(lambda m: m.update(body=base64.b64encode(zlib.compress(b"0" * 2**24)).decode()), compression="zlib"),
        edited(lambda m: m.update({"content-encoding": "zlib", "body": base64.b64encode(PACKED).decode()})),
        with_headers(task="half \ud800"),
        with_headers(moie_unreadable=f"{CLEARS}, says somebody"),
        edited(lambda m: m.update({"content-type": CLEARS})),
        edited(lambda m: (m["headers"].clear(), m.update(body=base64.b64encode(OLD_FAR_AHEAD).decode()))),
    ]
    start("hardened_app", "worker", "-c1", TEST_BROKER=broker_url, TEST_LETTERS=redis_url, TEST_LAYER="consumer")
    for shape in shapes:
        redis_client.lpush("celery", shape)
    add(hard, redis_client, 1)
    wait_until(lambda: box.count() == len(shapes), f"{len(shapes)} letters: {[head.reason for head in heads(box)]}")
    wait_until(lambda: redis_client.hlen("unacked") == 0, "nothing left unacknowledged")
    said = (tmp_path / "worker.log").read_text()
    assert said.count("x\N{REPLACEMENT CHARACTER}[2J") >= 2
    assert "\x1b" not in said


def test_without_the_sieve_events_that_are_none_are_parked(
    start: Start, hard: Celery, box: RedisDeadLetters, redis_client: "redis.Redis", broker_url: str, redis_url: str
) -> None:
    worker = start(
        "hardened_app", "worker", "-c1", TEST_BROKER=broker_url, TEST_LETTERS=redis_url, TEST_LAYER="consumer"
    )
    ready(hard)
    wrong = events()
    for event in wrong:
        assert redis_client.publish("/0.celeryev/worker.heartbeat", json.dumps(event)) == 1
    add(hard, redis_client, 1)
    wait_until(lambda: box.count() == len(wrong), f"{len(wrong)} letters: {[head.reason for head in heads(box)]}")
    assert worker.poll() is None
