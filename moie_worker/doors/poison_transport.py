"""kombu's Redis transport behind a sieve: what is not fit for a worker is parked before kombu reads it.

Redis has removed an element when its reply is read, so the dead letter is written at once, and kept in memory while
Redis refuses it. Only here are the true bytes of an element known.

Two ways in which a lost connection ended the worker are closed here too.
"""

# mypy: disable-error-code="no-untyped-call"

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kombu.connection import Connection
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual

from moie_worker.adapters.clock import SystemClock
from moie_worker.adapters.redis.asking import explain
from moie_worker.adapters.redis.connect import FORBIDDEN, FullError
from moie_worker.doors.poison_schema import broadcast_fault, message_fault
from moie_worker.doors.task_letters import message_death
from moie_worker.plan.letters import Death

log = logging.getLogger(__name__)

PARK = "park"  # the transport option: where the dead letters go
Park = Callable[[Death], None]
EXCHANGES = "exchanges"  # the transport option: what names the exchanges of Celery have
PUBLISHED = "it was published to whoever listened then, and lay in no queue"
SEPARATOR = kombu_redis.Channel.sep


@dataclass(frozen=True, slots=True)
class Exchanges:
    """To which Celery publishes what is no task."""

    events: str  # Celery's `event_exchange`
    control: str  # that of the mailbox, which is named after Celery's `control_exchange`


NameExchanges = Callable[[], Exchanges]


class SievedPubSub(kombu_redis.PrefixedRedisPubSub):
    """Reads what is published: control messages, events, and the tasks of `Broadcast` queues."""

    def __init__(self, *args: Any, park: Park, exchanges: NameExchanges, **options: Any) -> None:
        self._park = park
        self._exchanges = exchanges
        super().__init__(*args, **options)

    def parse_response(self, *args: Any, **options: Any) -> Any:
        """A published message that is not fit becomes one without data, which kombu passes over."""
        reply = super().parse_response(*args, **options)
        if not isinstance(reply, list) or not _text(reply[0]).endswith("message"):
            return reply
        channel, data = _text(reply[-2]), reply[-1]
        if fault := self._fault(channel, data):
            death = message_death(channel, _raw(data), fault)
            self._park(replace(death, payload={**death.payload, "not_replayable": PUBLISHED}))
            return [*reply[:-1], b""]
        return reply

    def _fault(self, channel: str, data: bytes | str) -> str | None:
        exchange, known = exchange_of(channel), self._exchanges()
        if exchange in (known.events, known.control):
            return broadcast_fault(data, event=exchange == known.events)
        return message_fault(data, SystemClock().now())


class SievedRedis(kombu_redis.PrefixedStrictRedis):
    """Reads what is popped from queues."""

    def __init__(self, *args: Any, park: Park, exchanges: NameExchanges, **options: Any) -> None:
        self._park = park
        self._exchanges = exchanges
        super().__init__(*args, **options)

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        """An element that is not fit becomes an empty reply, as of an empty queue."""
        reply = super().parse_response(connection, command_name, **options)
        if command_name == "BRPOP" and reply:
            queue, element = reply
            return None if self._parked(_text(queue), element) else reply
        return reply

    def rpop(self, name: Any, count: int | None = None) -> Any:
        """As of the parent class; what is not fit is parked."""
        reply = super().rpop(name, count)
        return None if isinstance(reply, bytes | str) and self._parked(_text(name), reply) else reply

    def _parked(self, queue: str, element: bytes | str) -> bool:
        fault = message_fault(element, SystemClock().now())
        if fault is None:
            return False
        self._park(message_death(queue.partition(SEPARATOR)[0], _raw(element), fault))
        return True

    def pubsub(self, **options: Any) -> SievedPubSub:
        """As of the parent class, behind the sieve."""
        sieved = functools.partial(SievedPubSub, park=self._park, exchanges=self._exchanges)
        return sieved(self.connection_pool, global_keyprefix=self.global_keyprefix, **options)


class BookOfTheFull(kombu_redis.QoS):
    """Notes which messages are in our hands. A Redis that is full takes no notes, and kombu would end the worker.

    Without the note a message is not offered again where this worker dies; without its removal it comes once more.
    """

    def append(self, message: Any, delivery_tag: str) -> None:
        """A message came."""
        try:
            super().append(message, delivery_tag)
        except FullError as error:
            log.warning("a message is not noted: %s", error)
            virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """It is done with."""
        try:
            super().ack(delivery_tag)
        except FullError as error:
            log.warning("the note of a message stays: %s", error)
            virtual.QoS.ack(self, delivery_tag)


class SievedChannel(kombu_redis.Channel):
    """Makes its clients behind the sieve."""

    QoS = BookOfTheFull
    from_transport_options: tuple[Any, ...] = (*kombu_redis.Channel.from_transport_options, PARK, EXCHANGES)
    park: Park
    exchanges: NameExchanges

    def _get_client(self) -> Any:
        super()._get_client()  # checks the version of redis-py
        prefix = self.global_keyprefix
        return functools.partial(SievedRedis, global_keyprefix=prefix, park=self.park, exchanges=self.exchanges)

    def close(self) -> None:
        """Through a connection that was given up nothing can be put back, and to try ends the worker.

        What it had in hand stays in Redis: kombu puts it back after its visibility timeout, beats offer jobs again
        before.
        """
        if self.connection is None or self.connection.client is None:
            self.do_restore = False
        super().close()


class SievedTransport(kombu_redis.Transport):
    """The transport of `redis://`, `rediss://` and `redis+socket://`.

    Rights are revoked and given back while workers run, so what is forbidden is tried again, as without a connection.
    """

    Channel = SievedChannel
    connection_errors = (*kombu_redis.Transport.connection_errors, FORBIDDEN)


class SievedSentinelChannel(SievedChannel, kombu_redis.SentinelChannel):
    """Finds its Redis through sentinels."""

    from_transport_options: tuple[Any, ...] = (
        *kombu_redis.SentinelChannel.from_transport_options,
        PARK,
        EXCHANGES,
    )

    def _get_pool(self, asynchronous: bool = False) -> Any:
        pool = super()._get_pool(asynchronous)
        explain(pool)
        return pool


class SievedSentinelTransport(kombu_redis.SentinelTransport):
    """The transport of `sentinel://`."""

    Channel = SievedSentinelChannel
    connection_errors = SievedTransport.connection_errors


SIEVED = {
    kombu_redis.Transport: SievedTransport,
    kombu_redis.SentinelTransport: SievedSentinelTransport,
}


class SievedConnection(Connection):
    """Puts the sieve into the transport that an address asks for.

    `broker_transport` could name the transport as well, but kombu ignores it for `redis+socket://` and shows its name
    in place of `redis` in addresses, which Flower then does not understand.
    """

    def get_transport_cls(self) -> Any:
        """See `Connection`. Other brokers have their own transports."""
        wanted = super().get_transport_cls()
        return SIEVED.get(wanted, wanted)


def exchange_of(channel: str) -> str:
    """The exchange of a channel of Redis, as kombu reads it from its name: `/0.celeryev/worker.heartbeat`."""
    name = channel.partition(".")[2] if channel.startswith("/") else channel
    return name.partition("/")[0]


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _raw(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
