"""What a message must look like before kombu and Celery may touch it.

kombu and Celery take the outer shape of a message on trust: some shapes end the worker, others sleep in its memory
for ever. Each check names what is wrong; the first one found is the reason of the dead letter.
"""

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from kombu.utils.json import loads as kombu_loads

LARGEST = 32 * 1024 * 1024  # bytes
DEEPEST = 100  # levels of nesting
ETA_AHEAD = timedelta(days=366)
LONGEST_ID = 255
COMPRESSED = "it is compressed: its size could not be known before it is unpacked"
# Python also knows codecs that unpack: a small message could become a huge one.
ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "latin-1", "iso-8859-1", "binary", "ascii-8bit"})

Check = Callable[[Any], bool]


class UnfitError(Exception):
    """The message is not fit for a worker; the text says why."""


def message_fault(raw: bytes | str, now: datetime) -> str | None:
    """Why an element of a queue is not fit, or None."""
    return _fault(lambda: _check_task_message(_envelope(raw), now))


def broadcast_fault(raw: bytes | str, *, event: bool) -> str | None:
    """Why a published control message (or an event) is not fit, or None."""
    return _fault(lambda: _check_broadcast(_envelope(raw), event))


def task_fault(headers: Any, now: datetime) -> str | None:
    """Why the headers of a message are not those of a task, or None; for brokers whose raw bytes nobody sees."""
    return _fault(lambda: _check_headers(headers, now))


def _fault(check: Callable[[], None]) -> str | None:
    try:
        check()
    except UnfitError as unfit:
        return str(unfit)
    except RecursionError:
        return f"nested deeper than {DEEPEST} levels"
    return None


def _envelope(raw: bytes | str) -> dict[str, Any]:
    envelope = _parsed(raw, "the message")
    if not isinstance(envelope, dict):
        raise UnfitError(f"the message is a {_kind(envelope)}, no object")
    _envelope_fields(envelope)
    _properties(envelope["properties"])
    return envelope


def _parsed(raw: bytes | str, what: str) -> Any:
    if len(raw) > LARGEST:
        raise UnfitError(f"{what} has {len(raw):,} bytes, at most {LARGEST:,} are taken")
    try:
        # Strictly: kombu would put other signs in place of what is no UTF-8, and run a task that nobody sent.
        text = raw.decode() if isinstance(raw, bytes) else raw
        # kombu's own reader, since it makes values of its own kinds on the way and must be able to.
        value = kombu_loads(text)  # type: ignore[no-untyped-call]
    except UnicodeDecodeError as error:
        raise UnfitError(f"{what} is no UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise UnfitError(f"{what} is no JSON: {error}") from None
    except RecursionError:
        raise
    except Exception as error:  # noqa: BLE001 - readers of kombu's typed values raise whatever they like
        raise UnfitError(f"{what} cannot be read: {type(error).__name__}: {error}") from None
    _shallow(value, DEEPEST)
    return value


def _shallow(value: Any, left: int) -> None:
    if not left:
        raise RecursionError
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in below:
        _shallow(one, left - 1)


def _envelope_fields(envelope: Mapping[str, Any]) -> None:
    _require(envelope, "properties", _is(dict), "an object")
    _require(envelope, "headers", _is(dict), "an object")
    _require(envelope, "body", _is(str), "a text")
    _require(envelope, "content-type", _short, "a short text")
    _require(envelope, "content-encoding", _encoding, "an encoding of texts")


def _properties(properties: Mapping[str, Any]) -> None:
    _require(properties, "delivery_tag", lambda tag: _short(tag) and bool(tag), "a short text")
    _require(properties, "delivery_info", _is(dict), "an object")
    _require(properties, "body_encoding", lambda name: name in (None, "base64"), "base64")
    _require(properties, "priority", _none_or(_integer), "a whole number")
    for name in ("reply_to", "correlation_id"):
        _require(properties, name, _none_or(_short), "a short text")
    info = properties["delivery_info"]
    for name in ("exchange", "routing_key"):
        # kombu takes both without asking, and would take their absence for a lost connection.
        if name not in info:
            raise UnfitError(f"{name!r} is missing")
        _require(info, name, _none_or(_short), "a short text")


def _check_task_message(envelope: Mapping[str, Any], now: datetime) -> None:
    headers = envelope["headers"]
    body = _body(envelope)
    if "task" not in headers:
        # Replies, and the old protocol: the worker's own handler tells them apart.
        return
    _check_headers(headers, now)
    if envelope["content-type"] == "application/json":
        _task_body(_parsed(body, "the body"))


def _body(envelope: Mapping[str, Any]) -> bytes:
    if "compression" in envelope["headers"]:
        raise UnfitError(COMPRESSED)
    text: str = envelope["body"]
    if envelope["properties"].get("body_encoding") != "base64":
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnfitError(f"the body is no base64: {error}") from None


def _check_headers(headers: Any, now: datetime) -> None:
    if not isinstance(headers, Mapping):
        raise UnfitError(f"the headers are a {_kind(headers)}, no object")
    for name, (check, wanted) in HEADERS.items():
        _require(headers, name, check, wanted)
    for name in ("eta", "expires"):
        _time(headers, name, now)


def _time(headers: Mapping[str, Any], name: str, now: datetime) -> None:
    given = headers.get(name)
    if given is None:
        return
    try:
        at = given if isinstance(given, datetime) else datetime.fromisoformat(given)
        ahead = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    except (TypeError, ValueError, OverflowError):
        raise UnfitError(f"header {name!r} is no time") from None
    if name == "eta" and ahead > ETA_AHEAD:
        # It would lie in the worker's memory, unacknowledged, until then.
        raise UnfitError(f"header 'eta' is more than {ETA_AHEAD.days} days ahead")


def _task_body(body: Any) -> None:
    if not isinstance(body, list) or len(body) != 3:
        raise UnfitError("the body is no list of arguments, keyword arguments and options")
    for part, kind in zip(body, (list, dict, dict), strict=True):
        if not isinstance(part, kind):
            raise UnfitError(f"the body has a {_kind(part)} where a {kind.__name__} belongs")
    for name in ("callbacks", "errbacks", "chain"):
        _require(body[2], name, _none_or(_is(list)), "a list")
    _require(body[2], "chord", _none_or(_is(dict)), "an object")


def _check_broadcast(envelope: Mapping[str, Any], event: bool) -> None:
    headers = envelope["headers"]
    for name in ("clock", "expires"):
        _require(headers, name, _none_or(_number), "a number")
    _require(headers, "hostname", _none_or(_short), "a short text")
    if envelope["content-type"] != "application/json":
        raise UnfitError("it is no JSON")
    body = _parsed(_body(envelope), "the body")
    if not event:
        _control(body)
        return
    for one in body if isinstance(body, list) else [body]:
        _event(one)


def _control(body: Any) -> None:
    if not isinstance(body, dict):
        raise UnfitError(f"the body is a {_kind(body)}, no object")
    _require(body, "method", _short, "a short text")
    _require(body, "arguments", _none_or(_is(dict)), "an object")
    _require(body, "destination", _none_or(_is(list)), "a list")
    _require(body, "reply_to", _none_or(_is(dict)), "an object")


def _event(body: Any) -> None:
    if not isinstance(body, dict):
        raise UnfitError(f"an event is a {_kind(body)}, no object")
    for name in ("type", "hostname"):
        _require(body, name, _short, "a short text")
    for name in ("timestamp", "clock"):
        _require(body, name, _number, "a number")
    for name in ("utcoffset", "pid", "freq", "local_received", "processed", "active"):
        _require(body, name, _none_or(_number), "a number")


def _require(values: Mapping[str, Any], name: str, check: Check, wanted: str) -> None:
    if not check(values.get(name)):
        raise UnfitError(f"{name!r} is {'missing' if name not in values else 'not ' + wanted}")


def _is(kind: type) -> Check:
    return lambda value: isinstance(value, kind)


def _none_or(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _short(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_ID


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53


def _number(value: Any) -> bool:
    return _integer(value) or (isinstance(value, float) and math.isfinite(value))


def _limits(value: Any) -> bool:
    pair = isinstance(value, list | tuple) and len(value) == 2
    return pair and all(one is None or (_number(one) and one >= 0) for one in value)


def _encoding(value: Any) -> bool:
    return _short(value) and value.lower() in ENCODINGS


def _kind(value: Any) -> str:
    return type(value).__name__


_ID = (lambda value: _short(value) and bool(value), "a short text")
_TEXT = (_none_or(_is(str)), "a text")
_NAME = (_none_or(_short), "a short text")
HEADERS: Mapping[str, tuple[Check, str]] = {
    "task": _ID,
    "id": _ID,
    "retries": (_none_or(lambda value: _integer(value) and value >= 0), "a whole number"),
    "timelimit": (_none_or(_limits), "two numbers"),
    "shadow": _NAME,
    "group": _NAME,
    "root_id": _NAME,
    "parent_id": _NAME,
    "origin": _NAME,
    "group_index": (_none_or(_integer), "a whole number"),
    "replaced_task_nesting": (_none_or(_integer), "a whole number"),
    "argsrepr": _TEXT,
    "kwargsrepr": _TEXT,
    "ignore_result": (_none_or(_is(bool)), "true or false"),
    "stamped_headers": (_none_or(_is(list)), "a list"),
    "stamps": (_none_or(_is(dict)), "an object"),
}
