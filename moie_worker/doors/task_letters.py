"""From Celery's requests and messages to deaths, and from letters back to Celery's messages."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from traceback import format_exception
from typing import Any

from celery import Celery
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.json import loads as kombu_loads

from moie_worker.errors import RefusedError
from moie_worker.heart.measure import describe
from moie_worker.plan.letters import Death, Letter, LetterKind

PAYLOAD_KEPT = 256 * 1024  # bytes of arguments, or of a raw message
TRACEBACK_KEPT = 16 * 1024  # characters, the end of it
REPLAY_OF = "moie_replay_of"  # header of a replayed task: the letter that it comes from
BEAT_HEADER = "celery_beat_task"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a task came from: what is needed to send it again."""

    exchange: str = ""
    routing_key: str = ""
    priority: int | None = None
    retries: int = 0
    root_id: str = ""
    hostname: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict)  # the application's own ones

    @property
    def periodic(self) -> bool:
        """Whether beat sent it."""
        return self.headers.get(BEAT_HEADER) is True


def origin_of(context: Any) -> Origin:
    """Read a request's context (`Task.request` in the process that ran it)."""
    delivery = context.delivery_info or {}
    return Origin(
        exchange=delivery.get("exchange") or "",
        routing_key=delivery.get("routing_key") or "",
        priority=delivery.get("priority"),
        retries=context.retries or 0,
        root_id=context.root_id or "",
        hostname=context.hostname or "",
        headers={name: value for name, value in (context.headers or {}).items() if _is_json(value)},
    )


def _is_json(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def task_death(task: str, task_id: str, args: Any, kwargs: Any, error: BaseException, origin: Origin) -> Death:
    """A task that is out of retries. A replayed one that dies again is the letter that it came from."""
    payload = {
        "task": task,
        "id": task_id,
        **_arguments(args, kwargs),
        "exchange": origin.exchange,
        "routing_key": origin.routing_key,
        "priority": origin.priority,
        "root_id": origin.root_id,
        "headers": dict(origin.headers),
    }
    evidence = {
        "traceback": "".join(format_exception(error))[-TRACEBACK_KEPT:],
        "worker": origin.hostname,
    }
    letter_id = str(origin.headers.get(REPLAY_OF) or task_id)
    return Death(letter_id, LetterKind.TASK, task, describe(error), origin.retries + 1, payload, evidence, task_id)


def _arguments(args: Any, kwargs: Any) -> dict[str, Any]:
    given = [list(args or ()), dict(kwargs or {})]
    try:
        text: str = kombu_dumps(given)  # type: ignore[no-untyped-call]
        same: bool = kombu_loads(text) == given  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, RecursionError) as error:
        return _unfit(given, f"its arguments are no JSON: {describe(error)}")
    if not same:
        return _unfit(given, "its arguments would be others as JSON")
    if len(text) > PAYLOAD_KEPT:
        return _unfit(given, f"its arguments take {len(text):,} bytes, at most {PAYLOAD_KEPT:,} are kept")
    kept_args, kept_kwargs = json.loads(text)
    return {"args": kept_args, "kwargs": kept_kwargs}


def _unfit(given: list[Any], why: str) -> dict[str, Any]:
    half = PAYLOAD_KEPT // 2
    return {"args_repr": repr(given[0])[:half], "kwargs_repr": repr(given[1])[:half], "not_replayable": why}


def message_death(queue: str, raw: bytes, reason: str, death: str = "", **evidence: Any) -> Death:
    """Bytes in a queue that no worker can take for a task. The same bytes in the same queue are the same letter."""
    digest = hashlib.sha256(queue.encode() + b"\0" + raw).hexdigest()
    payload: dict[str, Any] = {
        "queue": queue,
        "bytes": len(raw),
        "raw_base64": base64.b64encode(raw[:PAYLOAD_KEPT]).decode("ascii"),
    }
    if len(raw) > PAYLOAD_KEPT:
        payload["not_replayable"] = f"it has {len(raw):,} bytes, at most {PAYLOAD_KEPT:,} are kept"
    return Death(f"message-{digest[:32]}", LetterKind.MESSAGE, queue, reason, 1, payload, evidence, death)


def undelivered(message: Any, reason: str) -> Death:
    """A broker's message that the worker gave back or threw away."""
    delivery = message.delivery_info or {}
    tag = message.delivery_tag
    # Tags of Redis are unique; those of AMQP count from 1 on each channel and say nothing.
    death = tag if isinstance(tag, str) else ""
    return message_death(str(delivery.get("routing_key") or ""), raw_of(message), reason, death)


def raw_of(message: Any) -> bytes:
    """The message as it lay in its queue where the transport keeps that, else its envelope."""
    envelope = getattr(message, "_raw", None)
    if envelope is None:
        envelope = {
            "body": base64.b64encode(_bytes(message.body)).decode("ascii"),
            "content-type": message.content_type,
            "content-encoding": message.content_encoding,
            "headers": message.headers,
            "properties": {**(message.properties or {}), "body_encoding": "base64"},
        }
    return json.dumps(envelope, default=repr).encode()


def _bytes(body: object) -> bytes:
    return bytes(body) if isinstance(body, bytes | bytearray | memoryview) else str(body).encode()


@dataclass(frozen=True, slots=True)
class CeleryPublisher:
    """Implements `Publisher` with the broker of an application."""

    app: Celery

    def task(self, letter: Letter, new_id: str) -> None:
        """See `Publisher`. The new task's parent is the one that died, its root the root of that."""
        payload = letter.payload
        self.app.send_task(
            payload["task"],
            args=payload["args"],
            kwargs=payload["kwargs"],
            task_id=new_id,
            parent_id=payload["id"],
            root_id=payload["root_id"] or payload["id"],
            headers={**payload["headers"], REPLAY_OF: letter.head.id},
            **_address(payload),
        )

    def message(self, letter: Letter) -> None:
        """See `Publisher`. Raises RefusedError where the broker is no Redis: elsewhere a queue takes no raw bytes."""
        raw = base64.b64decode(letter.payload["raw_base64"])
        with self.app.connection_for_write() as connection:
            if connection.transport.driver_type != "redis":
                raise RefusedError(
                    f"the raw message {letter.head.id} goes back to a Redis broker only. `moie dead show` has its bytes"
                )
            channel = connection.default_channel
            channel.client.lpush(letter.payload["queue"], raw)


def _address(payload: Mapping[str, Any]) -> dict[str, Any]:
    priority: dict[str, Any] = {} if payload["priority"] is None else {"priority": payload["priority"]}
    if payload["exchange"]:
        return {"exchange": payload["exchange"], "routing_key": payload["routing_key"], **priority}
    # The nameless exchange delivers to the queue of that name; without one the application's routes decide.
    return {"queue": payload["routing_key"], **priority} if payload["routing_key"] else priority
