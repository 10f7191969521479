"""What a message must look like before kombu and Celery may touch it.

kombu and Celery take the outer shape of a message on trust: some shapes end the worker, others sleep in its memory
for ever. Each check names what is wrong; the first one found is the reason of the dead letter.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from kombu.utils.json import loads as kombu_loads

from moie_worker.doors.poison_rules import (
    HEADERS,
    SHORT,
    UnfitError,
    encoding_of_texts,
    integer,
    kind_of,
    none_or,
    number,
    of_kind,
    require,
    short,
)
from moie_worker.plan.texts import printable

LARGEST = 32 * 1024 * 1024  # bytes
DEEPEST = 100  # levels of nesting
ETA_AHEAD = timedelta(days=366)
COMPRESSED = "it is compressed: its size could not be known before it is unpacked"


def message_fault(raw: bytes | str, now: datetime) -> str | None:
    """Why an element of a queue is not fit, or None."""
    return _fault(lambda: _check_task_message(_envelope(raw), now))


def broadcast_fault(raw: bytes | str, *, event: bool) -> str | None:
    """Why a published control message (or an event) is not fit, or None."""
    return _fault(lambda: _check_broadcast(_envelope(raw), event))


def delivered_fault(message: Any, now: datetime) -> str | None:
    """Why a message that kombu made is not fit, or None; for brokers whose raw bytes nobody sees."""
    return _fault(lambda: _check_delivered(message, now))


def delivered_event_fault(message: Any) -> str | None:
    """Why a published event that kombu made a message of is not fit, or None."""
    return _fault(lambda: _check_published(message.headers, _payload(message), event=True))


def _fault(check: Callable[[], None]) -> str | None:
    try:
        check()
    except UnfitError as unfit:
        return printable(str(unfit))
    except RecursionError:
        return f"nested deeper than {DEEPEST} levels"
    return None


def _envelope(raw: bytes | str) -> dict[str, Any]:
    envelope = _parsed(raw, "the message")
    if not isinstance(envelope, dict):
        raise UnfitError(f"the message is a {kind_of(envelope)}, no object")
    _envelope_fields(envelope)
    _properties(envelope["properties"])
    _writable({name: value for name, value in envelope.items() if name != "body"})
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


def _writable(value: Any) -> None:
    """Half a sign in JSON's words, such as \\ud800, is read and can never be written: nobody could keep the message."""
    if isinstance(value, str):
        try:
            _ = value.isascii() or value.encode()
        except UnicodeEncodeError as error:
            raise UnfitError(f"it holds U+{ord(value[error.start]):04X}, which is half a sign") from None
    below = [*value.keys(), *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in below:
        _writable(one)


def _envelope_fields(envelope: Mapping[str, Any]) -> None:
    require(envelope, "properties", of_kind(dict), "an object")
    require(envelope, "headers", of_kind(dict), "an object")
    require(envelope, "body", of_kind(str), "a text")
    require(envelope, "content-type", short, SHORT)
    require(envelope, "content-encoding", encoding_of_texts, "an encoding of texts")


def _properties(properties: Mapping[str, Any]) -> None:
    require(properties, "delivery_tag", lambda tag: short(tag) and bool(tag), SHORT)
    require(properties, "delivery_info", of_kind(dict), "an object")
    require(properties, "body_encoding", lambda name: name in (None, "base64"), "base64")
    require(properties, "priority", none_or(integer), "a whole number")
    for name in ("reply_to", "correlation_id"):
        require(properties, name, none_or(short), SHORT)
    info = properties["delivery_info"]
    for name in ("exchange", "routing_key"):
        # kombu takes both without asking, and would take their absence for a lost connection.
        if name not in info:
            raise UnfitError(f"{name!r} is missing")
        require(info, name, none_or(short), SHORT)


def _check_task_message(envelope: Mapping[str, Any], now: datetime) -> None:
    headers = envelope["headers"]
    body = _body(envelope)
    if "task" not in headers:
        # Replies, and the old protocol: the worker's own handler tells them apart.
        return
    _check_headers(headers, now)
    if envelope["content-type"] == "application/json":
        _task_body(_parsed(body, "the body"))


def _check_delivered(message: Any, now: datetime) -> None:
    encoding, size = message.content_encoding, len(message.body or b"")
    if encoding and not encoding_of_texts(encoding):
        raise UnfitError("'content-encoding' is not an encoding of texts")
    if size > LARGEST:
        raise UnfitError(f"the body has {size:,} bytes, at most {LARGEST:,} are taken")
    _writable(message.headers)
    if not isinstance(message.headers, Mapping) or "task" in message.headers:
        _check_headers(message.headers, now)
    elif isinstance(body := _payload(message), Mapping) and "task" in body:  # the old protocol has all of it there
        _check_headers(body, now)


def _payload(message: Any) -> Any:
    try:
        return message.payload
    except Exception:  # noqa: BLE001 - Celery's own handler meets it again and parks the message
        return None


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
        raise UnfitError(f"the headers are a {kind_of(headers)}, no object")
    for name, (check, wanted) in HEADERS.items():
        require(headers, name, check, wanted)
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
            raise UnfitError(f"the body has a {kind_of(part)} where a {kind.__name__} belongs")
    for name in ("callbacks", "errbacks", "chain"):
        require(body[2], name, none_or(of_kind(list)), "a list")
    require(body[2], "chord", none_or(of_kind(dict)), "an object")


def _check_broadcast(envelope: Mapping[str, Any], event: bool) -> None:
    body = _body(envelope)
    if envelope["content-type"] == "application/json":
        _check_published(envelope["headers"], _parsed(body, "the body"), event)
    else:
        # Of an application with another `task_serializer`: kombu reads what the application accepts, and no other.
        _check_published_headers(envelope["headers"])


def _check_published(headers: Mapping[str, Any], body: Any, event: bool) -> None:
    _check_published_headers(headers)
    if not event:
        _control(body)
        return
    for one in body if isinstance(body, list) else [body]:
        _event(one)


def _check_published_headers(headers: Mapping[str, Any]) -> None:
    for name in ("clock", "expires"):
        require(headers, name, none_or(number), "a number")
    require(headers, "hostname", none_or(short), SHORT)


def _control(body: Any) -> None:
    if not isinstance(body, dict):
        raise UnfitError(f"the body is a {kind_of(body)}, no object")
    require(body, "method", short, SHORT)
    require(body, "arguments", none_or(of_kind(dict)), "an object")
    require(body, "destination", none_or(of_kind(list)), "a list")
    require(body, "reply_to", none_or(of_kind(dict)), "an object")


def _event(body: Any) -> None:
    if not isinstance(body, dict):
        raise UnfitError(f"an event is a {kind_of(body)}, no object")
    for name in ("type", "hostname"):
        require(body, name, short, SHORT)
    for name in ("timestamp", "clock"):
        require(body, name, number, "a number")
    for name in ("utcoffset", "pid", "freq", "local_received", "processed", "active"):
        require(body, name, none_or(number), "a number")
