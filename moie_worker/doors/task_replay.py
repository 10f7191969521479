"""From letters back to Celery's messages."""

# mypy: disable-error-code="no-untyped-call"

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu.entity import Exchange, Queue

from moie_worker.addresses import redact
from moie_worker.doors.broker_place import AMQP, REDIS, BrokerPlace, broker_of
from moie_worker.doors.task_letters import OPTIONS, REPLAY_OF
from moie_worker.errors import RefusedError, UnreachableError
from moie_worker.heart.measure import describe
from moie_worker.plan.letters import Letter

NAMELESS = Exchange("", type="direct")


@dataclass(frozen=True, slots=True)
class CeleryPublisher:
    """Implements `Publisher` with the broker of an application. Nothing is declared there: it is somebody else's."""

    app: Celery
    named: bool = False  # somebody said that it is this broker, by whatever name of its host
    holds_letters: bool = False  # the letters lie in it

    def task(self, letter: Letter, new_id: str) -> None:
        """See `Publisher`. The new task's parent is the one that died, its root the root of that.

        Raises RefusedError where the letter comes from another broker, or its queue is not known or is gone.
        """
        payload = letter.payload
        with self._producer(letter) as producer:
            for address in _addresses(letter, producer):
                self.app.send_task(
                    payload["task"],
                    args=payload["args"],
                    kwargs=payload["kwargs"],
                    task_id=new_id,
                    parent_id=payload["id"],
                    root_id=payload["root_id"] or payload["id"],
                    headers={**payload["headers"], REPLAY_OF: letter.head.id},
                    producer=producer,
                    declare=[],
                    **address,
                    **_options(payload),
                )

    def message(self, letter: Letter) -> None:
        """See `Publisher`. Raises RefusedError where the broker is no Redis: elsewhere a queue takes no raw bytes."""
        raw, queue = base64.b64decode(letter.payload["raw_base64"]), letter.payload["queue"]
        if not queue:
            raise RefusedError(f"nobody knows the queue of {letter.head.id}. `moie dead show` has its bytes")
        with self._producer(letter) as producer:
            if _kind(producer) != REDIS:
                raise RefusedError(
                    f"the raw message {letter.head.id} goes back to a Redis broker only. `moie dead show` has its bytes"
                )
            with producer.channel.conn_or_acquire() as client:  # not `channel.client`, which is made for the event loop
                client.lpush(queue, raw)

    @contextmanager
    def _producer(self, letter: Letter) -> Iterator[Any]:
        facts = letter.payload.get("broker")  # letters of earlier versions do not say it
        if facts:
            self._check_place(letter.head.id, BrokerPlace(facts["kind"], facts["at"], facts["part"]), facts)
        with self._publishing((facts or {}).get("naming")) as producer:
            connection = producer.connection
            try:
                yield producer
            except connection.channel_errors as error:
                raise RefusedError(f"the broker refused {letter.head.id}: {redact(describe(error))}") from None
            except connection.connection_errors as error:
                if isinstance(error, KeyError | OSError):  # kombu takes any KeyError for a broken connection
                    raise
                raise UnreachableError(f"the broker cannot be reached: {redact(describe(error))}") from None

    @contextmanager
    def _publishing(self, naming: Mapping[str, Any] | None) -> Iterator[Any]:
        """A producer of the pool, or one that gives queues the names that the letter's application gave them."""
        if not naming:
            with self.app.producer_or_acquire() as producer:
                yield producer
            return
        with self.app.connection_for_write(transport_options=dict(naming)) as connection:
            yield self.app.amqp.Producer(connection, auto_declare=False)

    def _check_place(self, letter_id: str, came: BrokerPlace, facts: Mapping[str, Any]) -> None:
        mine = broker_of(self.app)
        if mine == came:
            return
        if facts["holds_letters"]:
            if not self.holds_letters:
                raise RefusedError(
                    f"{letter_id} came from the Redis that holds the letters, and MOIE_BROKER_URL names {mine}: "
                    "unset it for this command"
                )
        elif not (self.named and mine.same_inside(came)):
            raise RefusedError(
                f"{letter_id} came from the broker {came}, and a replay would go to {mine}: "
                "set MOIE_BROKER_URL to the address of that broker for this command"
            )


def _options(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What follows the task, and limits it; letters of earlier versions do not know."""
    kept = payload.get("options", {})
    return {name: kept[name] for name in OPTIONS if name in kept}


def _kind(producer: Any) -> str:
    return str(producer.connection.transport.driver_type)


def _addresses(letter: Letter, producer: Any) -> Iterator[dict[str, Any]]:
    """The queue itself where it is known: an exchange may lead to others as well, and which it is nobody here knows."""
    payload = letter.payload
    priority = {} if payload["priority"] is None else {"priority": payload["priority"]}
    for address in _queues(letter, producer):
        yield address | priority


def _queues(letter: Letter, producer: Any) -> Iterator[dict[str, Any]]:
    exchange, routing_key = letter.payload["exchange"], letter.payload["routing_key"]
    # The nameless exchange delivers to the queue of that name.
    queue = letter.payload.get("queue") or ("" if exchange else routing_key)
    if queue and letter.payload.get("fanout") and _kind(producer) == REDIS:
        raise RefusedError(
            f"every worker that listened got {letter.head.id}, and on Redis it lay in no queue: call it again"
        )
    if queue:
        _check_queue(queue, producer)
        yield _to_queue(queue)
    elif not exchange:
        raise RefusedError(f"nobody knows the queue of {letter.head.id}")
    elif _kind(producer) == REDIS:
        yield from map(_to_queue, _bound(letter.head.id, producer.channel.get_table(exchange), exchange, routing_key))
    else:
        yield {"exchange": exchange, "routing_key": routing_key, "exchange_type": "topic"}


def _to_queue(queue: str) -> dict[str, Any]:
    return {"queue": Queue(queue, NAMELESS, queue)}


def _check_queue(queue: str, producer: Any) -> None:
    """RabbitMQ drops in silence what is for a queue that is gone. The question spoils its channel where it is."""
    if _kind(producer) == AMQP:
        with producer.connection.channel() as channel:
            channel.queue_declare(queue, passive=True)


def _bound(letter_id: str, table: Any, exchange: str, routing_key: str) -> list[str]:
    """kombu's own answer depends on the type of the exchange, which only those know who declared it."""
    found = {
        queue
        for key, pattern, queue in table
        if (re.match(pattern, routing_key) if pattern else key == routing_key)
    }  # fmt: skip
    if not found:
        raise RefusedError(
            f"{letter_id} came by the exchange {exchange!r} with the routing key {routing_key!r}, and no queue is "
            "bound for that: start a worker that binds it"
        )
    return sorted(found)
