"""Whatever lies in a queue is judged without an error, and what is judged fit can be read by kombu.

`make fuzz` tries a hundred thousand, which are made in a cheaper way; these shrink.
"""

# mypy: disable-error-code="no-untyped-call"

import bz2
import json
import lzma
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from kombu import compression
from kombu.connection import Connection
from kombu.exceptions import ContentDisallowed, DecodeError
from kombu.message import Message
from kombu.transport.virtual import Message as VirtualMessage

from moie_worker.adapters.clock import SystemClock
from moie_worker.doors.poison import harden
from moie_worker.doors.poison_rules import UnfitError
from moie_worker.doors.poison_schema import message_fault
from tests.integration.test_poison import envelope

NOW = SystemClock().now()
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


def places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, inner in value.items():
        yield (*path, name)
        if isinstance(inner, dict):
            yield from places(inner, (*path, name))


GOOD = envelope()
PLACES = sorted(places(GOOD))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good message in which some values are others, or gone."""
    message = json.loads(json.dumps(GOOD))
    for path in draw(st.lists(st.sampled_from(PLACES), max_size=3)):
        inside = message
        for name in path[:-1]:
            inside = inside.get(name) if isinstance(inside, dict) else None
        if not isinstance(inside, dict):
            continue
        inside.pop(path[-1], None)
        if draw(st.booleans()):
            inside[path[-1]] = draw(VALUES)
    return json.dumps(message).encode()


@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()) | damaged())
def test_any_bytes_are_judged_and_what_is_fit_is_read(raw: bytes) -> None:
    fault = message_fault(raw, NOW)
    if fault is not None:
        assert fault
        return
    with Connection("memory://") as connection:
        message = VirtualMessage(json.loads(raw), channel=connection.channel())
        try:
            message.decode()
        except (DecodeError, ContentDisallowed):
            return  # the consumer parks it
        assert message.delivery_tag


BOMB = b"\0" * (8 * 1024 * 1024)


@pytest.mark.parametrize("kind", ["application/x-bz2", "application/x-gzip", "application/x-lzma"])
def test_what_is_compressed_is_refused_before_it_is_unpacked_on_any_broker(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack = {
        "application/x-gzip": zlib.decompress,
        "application/x-bz2": bz2.decompress,
        "application/x-lzma": lzma.decompress,
    }
    monkeypatch.setattr(compression, "_decoders", dict(unpack))  # as kombu has them; another test may have hardened all
    packed, _ = compression.compress(BOMB, kind)
    assert Message(body=packed, headers={"compression": kind}).body == BOMB
    harden(Celery("bomb", broker="memory://"), "redis://127.0.0.1:1/0")
    message = Message(body=packed, headers={"compression": kind})
    assert message.body == packed
    (error,) = message.errors
    assert isinstance(error[1], UnfitError)
    assert compression.compress(BOMB, kind)[0] == packed, "sending is as it was"


def test_the_bombs_are_such() -> None:
    assert max(len(zlib.compress(BOMB)), len(bz2.compress(BOMB))) < len(BOMB) / 500
