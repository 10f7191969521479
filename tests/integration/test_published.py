"""What is published to whoever listens is judged by the exchange that it came to, not by words in a channel's name."""

# mypy: disable-error-code="no-untyped-call"

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from kombu.common import Broadcast
from kombu.entity import Exchange, Queue

from moie_worker.doors.poison_transport import EXCHANGES, PARK, Exchanges, SievedConnection
from moie_worker.plan.letters import Death
from tests.integration.test_poison import envelope

pytestmark = pytest.mark.integration

TASK = {"task": "hard.add", "id": "1", "retries": 0, "timelimit": [None, None]}
ARGUMENTS: list[object] = [[1, 2], {}, {}]
EVENT = {"type": "worker-heartbeat", "hostname": "w", "timestamp": 1.5, "clock": 3}
CONTROL: dict[str, object] = {"method": "ping", "arguments": {}, "destination": None}


@dataclass
class Radio:
    """A connection behind the sieve that hears some exchanges."""

    connection: SievedConnection
    redis: "redis.Redis"
    parked: list[Death]
    heard: list[Any] = field(default_factory=list)

    def listen(self, queue: Queue) -> None:
        consumer = self.connection.Consumer([queue], callbacks=[self._hear], accept=["json", "yaml"], no_ack=True)
        consumer.consume()
        while not self.redis.pubsub_numpat():
            with suppress(TimeoutError):
                self.connection.drain_events(timeout=0.01)

    def _hear(self, body: Any, _: Any) -> None:
        self.heard.append(body)

    def say(self, exchange: str, body: Any, routing_key: str = "", **options: Any) -> None:
        """Publish, and wait until it was taken or parked."""
        before = len(self.heard) + len(self.parked)
        where = Exchange(exchange, type="fanout")
        with self.connection.Producer() as producer:
            producer.publish(body, exchange=where, declare=[where], routing_key=routing_key, **options)
        while len(self.heard) + len(self.parked) == before:
            self.connection.drain_events(timeout=5)


@pytest.fixture
def radio(broker_url: str, redis_client: "redis.Redis") -> Iterator[Radio]:
    """The exchanges of events and of control messages have names of their own."""
    parked: list[Death] = []
    own = Exchanges(events="shop.ev", control="shop.pidbox")
    options = {PARK: parked.append, EXCHANGES: lambda: own}
    with SievedConnection(broker_url, transport_options=options) as connection:
        yield Radio(connection, redis_client, parked)


def fanout(exchange: str, routing_key: str = "") -> Queue:
    return Queue(f"to-{exchange}", Exchange(exchange, type="fanout"), routing_key=routing_key, auto_delete=True)


@pytest.mark.parametrize("name", ["broadcast_tasks", "celeryev", "celery.pidbox"])
def test_the_task_of_a_broadcast_queue_arrives_whatever_its_name(radio: Radio, name: str) -> None:
    radio.listen(Broadcast(name))
    radio.say(name, ARGUMENTS, headers=TASK)
    assert (radio.heard, radio.parked) == ([ARGUMENTS], [])


def test_what_is_no_task_in_a_broadcast_queue_is_parked(radio: Radio) -> None:
    radio.listen(Broadcast("broadcast_tasks"))
    radio.say("broadcast_tasks", [1], headers=TASK)
    assert [death.payload["queue"] for death in radio.parked] == ["/0.broadcast_tasks"]
    assert radio.heard == []


@pytest.mark.parametrize(
    ("exchange", "key", "body"), [("shop.ev", "worker.heartbeat", EVENT), ("shop.pidbox", "", CONTROL)]
)
def test_exchanges_of_other_names_than_those_of_celery_are_known_by_their_own(
    radio: Radio, exchange: str, key: str, body: object
) -> None:
    radio.listen(fanout(exchange, key))
    radio.say(exchange, body, key)
    assert (radio.heard, radio.parked) == ([body], [])
    radio.say(exchange, 7, key)
    assert len(radio.parked) == 1


def test_a_control_message_of_an_application_that_writes_yaml_arrives(radio: Radio) -> None:
    radio.listen(fanout("shop.pidbox"))
    radio.say("shop.pidbox", CONTROL, serializer="yaml")
    radio.say("shop.pidbox", CONTROL, serializer="yaml", headers={"clock": "late"})
    assert (radio.heard, len(radio.parked)) == ([CONTROL], 1)


def test_bytes_that_are_no_envelope_are_parked_on_any_channel(radio: Radio) -> None:
    radio.listen(Broadcast("broadcast_tasks"))
    radio.redis.publish("/0.broadcast_tasks", json.dumps(envelope() | {"body": 7}))
    while not radio.parked:
        radio.connection.drain_events(timeout=5)
    assert radio.heard == []
