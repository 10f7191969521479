"""Elements of queues and published messages by chance, and what must hold of how they are judged."""

# mypy: disable-error-code="no-untyped-call"

import json
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from random import Random
from typing import Any, NamedTuple

from kombu.connection import Connection
from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.transport.virtual import Message

from moie_worker.doors.poison_rules import HEADERS
from moie_worker.doors.poison_schema import broadcast_fault, message_fault
from tests.fuzz.damage import ODD, TOKENS, copied, damage_bytes, damage_value
from tests.integration.test_poison import GARBAGE, envelope

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = (
    *HEADERS, "eta", "expires", "compression", "lang", "body", "content-type", "content-encoding", "headers",
    "properties", "delivery_tag", "delivery_info", "body_encoding", "priority", "reply_to", "correlation_id",
    "exchange", "routing_key", "callbacks", "errbacks", "chain", "chord", "__type__", "__value__", "method",
    "arguments", "destination", "pattern", "matcher", "type", "hostname", "timestamp", "clock", "utcoffset", "pid",
)  # fmt: skip
VALUES = (
    "application/x-python-serialize", "application/json", "text/plain", "application/data", "application/x-yaml",
    "binary", "zlib", "rot13", "utf-16", "base64", "py", "hard.add", "hard.nothing", "celery.chord",
    {"__type__": "datetime", "__value__": "never"}, {"__type__": "bytes", "__value__": 7}, {"__type__": "x"},
    {"__type__": "decimal", "__value__": "9e999999"}, {"__type__": "uuid", "__value__": {}}, ["a"] * 3,
    [{"task": "hard.add", "args": [1]}], {"task": "hard.add"}, [[1], 2],
)  # fmt: skip
BODIES: tuple[Any, ...] = (
    [[1, 2], {}, {}], [[1, 2], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}],
)  # fmt: skip
EVENT = {"type": "worker-heartbeat", "hostname": "w", "timestamp": 1.5, "clock": 3, "utcoffset": 0, "pid": 1, "freq": 2}
CONTROL: dict[str, Any] = {"method": "ping", "arguments": {}, "destination": None, "pattern": None, "matcher": None}


class Sort(StrEnum):
    """How a payload was made."""

    TASK = "tasks, good ones and damaged"
    BODY = "tasks with damaged arguments and options"
    BYTES = "tasks with damaged bytes"
    NOISE = "bytes and signs of JSON in any order"
    EVENT = "published events, damaged"
    CONTROL = "published control messages, damaged"


QUEUED = {Sort.TASK: 40, Sort.BODY: 15, Sort.BYTES: 20, Sort.NOISE: 10}
WEIGHTS = QUEUED | {Sort.EVENT: 8, Sort.CONTROL: 7}


class Made(NamedTuple):
    """A payload."""

    sort: Sort
    data: bytes


def payload(seed: int, number: int, *, queued: bool = False) -> Made:
    """The payload of that number; with `queued`, one that lies in a queue."""
    rng = Random(f"{seed} payload {number}")
    weights = QUEUED if queued else WEIGHTS
    (sort,) = rng.choices(list(weights), list(weights.values()))
    return Made(sort, MAKERS[sort](rng))


def _fresh(body: Any, rng: Random) -> dict[str, Any]:
    message = envelope(body)
    task_id = f"{rng.getrandbits(128):032x}"
    message["headers"]["id"] = message["properties"]["correlation_id"] = task_id
    message["properties"]["delivery_tag"] = f"tag-{task_id}"
    return message


def _damaged(value: Any, rng: Random) -> Any:
    if rng.random() < 0.9:
        damage_value(value, rng, NAMES, ODD + VALUES)
    return value


def _task(rng: Random) -> bytes:
    return _text(_damaged(_fresh(None, rng), rng), rng)


def _body(rng: Random) -> bytes:
    return _text(_fresh(_damaged(copied(rng.choice(BODIES)), rng), rng), rng)


def _bytes(rng: Random) -> bytes:
    return damage_bytes(_text(_fresh(None, rng), rng), rng, rng.choice(GARBAGE))


def _noise(rng: Random) -> bytes:
    if rng.random() < 0.5:
        return rng.choice(GARBAGE) + rng.choice(GARBAGE)[: rng.randrange(40)]
    return rng.randbytes(rng.randrange(60)) + b"".join(rng.choices(TOKENS, k=rng.randrange(20)))


def _published(good: dict[str, Any], rng: Random) -> bytes:
    value = copied(good)
    inside = rng.random() < 0.6
    message = _fresh(_damaged(value, rng) if inside else value, rng)
    message["headers"] = {"clock": 1, "expires": None}
    return _text(message if inside else _damaged(message, rng), rng)


def _text(value: Any, rng: Random) -> bytes:
    return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


MAKERS: dict[Sort, Callable[[Random], bytes]] = {
    Sort.TASK: _task,
    Sort.BODY: _body,
    Sort.BYTES: _bytes,
    Sort.NOISE: _noise,
    Sort.EVENT: lambda rng: _published(EVENT, rng),
    Sort.CONTROL: lambda rng: _published(CONTROL, rng),
}


def fit(made: Made) -> bool:
    """Whether it is judged fit. Raises AssertionError, or what kombu raises, where kombu cannot take what is."""
    if made.sort in QUEUED:
        return queued_fit(made.data)
    fault = broadcast_fault(made.data, event=made.sort is Sort.EVENT)
    return _is_fit(fault) and readable(made.data)


def queued_fit(raw: bytes) -> bool:
    """The same of an element of a queue."""
    return _is_fit(message_fault(raw, NOW)) and readable(raw)


def _is_fit(fault: str | None) -> bool:
    assert fault != "", "unfit without a reason"
    return fault is None


def readable(raw: bytes) -> bool:
    """kombu makes a message of it; a body that it cannot decode is the consumer's to park."""
    message = Message(json.loads(raw), channel=_channel())
    try:
        message.decode()
    except (DecodeError, ContentDisallowed):
        return True
    return bool(message.delivery_tag)


@cache
def _channel() -> Any:
    return Connection("memory://").channel()
