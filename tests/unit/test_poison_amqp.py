"""What a broker other than Redis delivers: properties that cannot be read, encodings that unpack, the old protocol."""

# mypy: disable-error-code="no-untyped-call"

import base64
import json
import struct
from typing import Any

import pytest
from amqp import method_framing
from celery import Celery
from kombu.message import Message
from kombu.transport.pyamqp import Message as AmqpMessage

from moie_worker.adapters.clock import SystemClock
from moie_worker.doors.poison import harden
from moie_worker.doors.poison_amqp import GuardedMessage, unreadable
from moie_worker.doors.poison_schema import LARGEST, delivered_event_fault, delivered_fault
from moie_worker.doors.task_letters import undelivered
from tests.integration.test_poison import envelope

HEADERS, BODY, TABLE = envelope()["headers"], b"[[1, 2], {}, {}]", 0x2000


def table(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def nested(levels: int) -> bytes:
    content = b""
    for _ in range(levels):
        content = b"\x01aF" + table(content)
    return content


def taken(flags: int, properties: bytes) -> AmqpMessage:
    """What kombu makes of a message with these properties, once an application in the process is hardened."""
    harden(Celery("guarded", broker="memory://"), "redis://127.0.0.1:1/0")
    assert method_framing.Message is GuardedMessage
    message = GuardedMessage()
    message.inbound_header(struct.pack(">HHQH", 60, 0, 0, flags) + properties)
    message.body, message.delivery_info = BODY, {"delivery_tag": 1, "routing_key": "celery"}
    return AmqpMessage(message)


UNREADABLE: dict[str, tuple[int, bytes]] = {
    "nested as deep as Python goes": (TABLE, table(nested(3000))),
    "nested deeper than is written": (TABLE, table(nested(120))),
    "a time in no calendar": (TABLE, table(b"\x01aT" + b"\xff" * 8)),
    "an unknown kind": (TABLE, table(b"\x01a?")),
    "a name that is no UTF-8": (TABLE, table(b"\x01\xffV")),
    "cut short": (TABLE, struct.pack(">I", 1000) + b"\x01a"),
}


@pytest.mark.parametrize(("flags", "properties"), UNREADABLE.values(), ids=UNREADABLE)
def test_properties_that_cannot_be_read_are_set_aside_and_kept(flags: int, properties: bytes) -> None:
    message = taken(flags, properties)
    why = unreadable(message)
    assert why
    assert "cannot be read" in why
    letter = undelivered(Celery("guarded"), message, why)
    kept = json.loads(base64.b64decode(letter.payload["raw_base64"]))
    assert base64.b64decode(kept["headers"]["moie_properties"]).endswith(properties)
    assert base64.b64decode(kept["body"]) == BODY


def test_good_properties_are_read_as_ever() -> None:
    message = taken(TABLE, table(nested(3) + b"\x04taskS" + table(b"hard.add")))
    assert unreadable(message) is None
    assert message.headers == {"a": {"a": {"a": {}}}, "task": "hard.add"}


def fault(body: bytes = BODY, headers: object = HEADERS, encoding: str | None = "utf-8", kind: str = "") -> str | None:
    message = Message(
        body=body,
        headers=headers,
        content_encoding=encoding,
        content_type=kind or "application/json",
        accept={"application/json"},
    )
    return delivered_fault(message, SystemClock().now())


def old(**fields: object) -> bytes:
    """A task as Celery 3 wrote it."""
    return json.dumps({"task": "hard.add", "id": "a", "args": [], "kwargs": {}, "retries": 0, **fields}).encode()


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("not an encoding", lambda: fault(encoding="zlib")),
        ("not an encoding", lambda: fault(encoding="bz2_codec")),
        ("not an encoding", lambda: fault(encoding="punycode")),
        ("at most", lambda: fault(b" " * (LARGEST + 1))),
        ("half a sign", lambda: fault(headers=HEADERS | {"id": "\ud800"})),
        ("'id' is missing", lambda: fault(headers={"task": "hard.add"})),
        ("more than 366 days", lambda: fault(old(eta="9999-12-31T23:59:59"), {})),
        ("no time", lambda: fault(old(expires={"a": 1}), {})),
        ("'id' is not", lambda: fault(old(id=7), {})),
    ],
)
def test_what_kombu_made_a_message_of_is_judged_again(said: str, found: Any) -> None:
    assert said in str(found())


def test_good_messages_of_both_protocols_are_fit_and_what_is_none_is_left_to_celery() -> None:
    assert fault() is fault(encoding=None) is fault(old(eta="2020-01-01T00:00:00"), {}) is None
    assert fault(b"{", {}) is fault(b"7", {}) is fault(b"x", {}, kind="application/x-python-serialize") is None


@pytest.mark.parametrize("body", [b"7", b"[1]", b"{", b"{}", b'{"type": 7}', b"null"])
def test_events_that_are_none_are_said_to_be(body: bytes) -> None:
    assert delivered_event_fault(Message(body=body, content_type="application/json", accept={"application/json"}))


def test_a_good_event_is_fit() -> None:
    event = {"type": "worker-heartbeat", "hostname": "w", "timestamp": 1.5, "clock": 3}
    message = Message(body=json.dumps(event).encode(), content_type="application/json", accept={"application/json"})
    assert delivered_event_fault(message) is None
