"""From Celery's requests and messages to deaths."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from traceback import format_exception
from typing import Any

from celery import Celery
from kombu.utils.json import dumps as kombu_dumps
from kombu.utils.json import loads as kombu_loads

from moie_worker.doors.whence import is_fanout, queue_of
from moie_worker.heart.measure import describe
from moie_worker.plan.letters import Death, LetterKind

PAYLOAD_KEPT = 256 * 1024  # bytes of arguments, or of a raw message
TRACEBACK_KEPT = 16 * 1024  # characters, the end of it
REPLAY_OF = "moie_replay_of"  # header of a replayed task: the letter that it comes from
BEAT_HEADER = "celery_beat_task"
# What `apply_async` and `send_task` take beyond arguments and address, that a replay is given again.
FOLLOW = ("link", "link_error", "chain")
OPTIONS = (*FOLLOW, "time_limit", "soft_time_limit", "group_id", "group_index", "ignore_result")
OF_A_CHORD = (
    "it belonged to a chord, which failed with it: this task alone would run again, what the chord leads to would not"
)


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
    options: Mapping[str, Any] = field(default_factory=dict)  # see OPTIONS
    of_a_chord: bool = False
    queue: str = ""  # empty: it is not known
    fanout: bool = False  # every worker that listened got it

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
        options=_options_of(context),
        of_a_chord=bool(context.chord) or any("chord" in _options_in(step) for step in _steps(context.chain)),
    )


def found(origin: Origin, app: Celery) -> Origin:
    """The origin with the queue of the application that it means."""
    queue = queue_of(app, origin.exchange, origin.routing_key)
    return origin if queue is None else replace(origin, queue=queue.name, fanout=is_fanout(queue))


def _options_of(context: Any) -> dict[str, Any]:
    """What follows a task, and what limits it: as the one who sent it said."""
    hard, soft = (*(context.timelimit or ()), None, None)[:2]
    follow = (context.callbacks or None, context.errbacks or None, context.chain or None)
    told = (*follow, hard, soft, context.group, context.group_index, context.ignore_result)
    return {name: value for name, value in zip(OPTIONS, told, strict=True) if value is not None}


def _steps(chain: Any) -> list[Any]:
    return chain if isinstance(chain, list) else []


def _options_in(step: Any) -> Mapping[str, Any]:
    options = step.get("options") if isinstance(step, Mapping) else None
    return options if isinstance(options, Mapping) else {}


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
        **_arguments(args, kwargs, origin.options),
        "exchange": origin.exchange,
        "routing_key": origin.routing_key,
        "queue": origin.queue,
        "priority": origin.priority,
        "root_id": origin.root_id,
        "headers": dict(origin.headers),
        **({"only_forced": OF_A_CHORD} if origin.of_a_chord else {}),
        **({"fanout": True} if origin.fanout else {}),
    }
    evidence = {
        "traceback": "".join(format_exception(error))[-TRACEBACK_KEPT:],
        "worker": origin.hostname,
    }
    letter_id = str(origin.headers.get(REPLAY_OF) or task_id)
    return Death(letter_id, LetterKind.TASK, task, describe(error), origin.retries + 1, payload, evidence, task_id)


def _arguments(args: Any, kwargs: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    given = [list(args or ()), dict(kwargs or {}), _plain(options)]
    try:
        text: str = kombu_dumps(given)  # type: ignore[no-untyped-call]
        same: bool = kombu_loads(text) == given  # type: ignore[no-untyped-call]
    except (TypeError, ValueError, RecursionError) as error:
        return _unfit(given, f"its arguments or callbacks are no JSON: {describe(error)}")
    if not same:
        return _unfit(given, "its arguments or callbacks would be others as JSON")
    if len(text) > PAYLOAD_KEPT:
        return _unfit(given, f"its arguments and callbacks take {len(text):,} bytes, at most {PAYLOAD_KEPT:,} are kept")
    return dict(zip(("args", "kwargs", "options"), json.loads(text), strict=True))


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Signatures as JSON has them, and in no chord: that counts its parts, and would count one that failed twice."""
    follow = {name: [_signature(one) for one in _steps(options.get(name))] for name in FOLLOW}
    return {**options, **{name: steps for name, steps in follow.items() if steps}}


def _signature(step: Any) -> Any:
    options = {name: value for name, value in _options_in(step).items() if name != "chord"}
    return {**step, "args": list(step.get("args") or ()), "options": options} if isinstance(step, Mapping) else step


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


def undelivered(app: Celery, message: Any, reason: str) -> Death:
    """A broker's message that a worker of the application gave back or threw away."""
    delivery = message.delivery_info or {}
    exchange, routing_key = (str(delivery.get(name) or "") for name in ("exchange", "routing_key"))
    queue = queue_of(app, exchange, routing_key)
    tag = message.delivery_tag
    # Tags of Redis are unique; those of AMQP count from 1 on each channel and say nothing.
    death = message_death(
        queue.name if queue else routing_key, raw_of(message), reason, tag if isinstance(tag, str) else ""
    )
    if queue is not None and not is_fanout(queue):
        return death
    way = f"the exchange {exchange!r} with the routing key {routing_key!r}"
    lost = f"every worker that listened got it from {way}" if queue else f"no queue of its worker is bound to {way}"
    return replace(death, payload={"not_replayable": lost, **death.payload})


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
