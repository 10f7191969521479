"""Which queue a message came from: what brokers deliver names an exchange and a routing key only."""

# mypy: disable-error-code="no-untyped-call"

import re
from collections.abc import Iterator

from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.transport.virtual.exchange import TopicExchange

FANOUT = "fanout"


def queue_of(app: Celery, exchange: str, routing_key: str) -> Queue | None:
    """The queue of this worker that a message came from; None where that cannot be said, or where it was in none."""
    queues = list(app.amqp.queues.consume_from.values())
    if not exchange:  # the nameless exchange delivers to the queue of that name
        return next(
            (queue for queue in queues if queue.name == routing_key), Queue(routing_key) if routing_key else None
        )
    return next((queue for queue in queues if _takes(queue, exchange, routing_key)), None)


def is_fanout(queue: Queue) -> bool:
    """Whether everybody has a queue of his own for the same messages; on Redis these lie in none."""
    return queue.exchange is not None and bool(queue.exchange.type == FANOUT)


def _takes(queue: Queue, exchange: str, routing_key: str) -> bool:
    return any(
        where is not None and where.name == exchange and bound(where.type, key or "", routing_key)
        for where, key in _bindings(queue)
    )


def _bindings(queue: Queue) -> Iterator[tuple[Exchange | None, str | None]]:
    yield queue.exchange, queue.routing_key
    for binding in queue.bindings:
        yield binding.exchange, binding.routing_key


def bound(kind: str, key: str, routing_key: str) -> bool:
    """Whether a binding with this key, to an exchange of this kind, takes what has this routing key."""
    if kind == "topic":
        return re.match(TopicExchange(None).key_to_pattern(key), routing_key) is not None
    return kind == FANOUT or key == routing_key
