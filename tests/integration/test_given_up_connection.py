"""A broker's connection that was given up while a message was in hand: nothing ends because of it, nothing is lost."""

# mypy: disable-error-code="no-untyped-call"

import pytest
import redis

from moie_worker.doors.poison_transport import EXCHANGES, PARK, Exchanges, SievedConnection
from moie_worker.plan.letters import Death

pytestmark = pytest.mark.integration

CELERY = Exchanges("celeryev", "celery.pidbox")
HEADERS = {"lang": "py", "task": "t", "id": "1", "retries": 0, "timelimit": [None, None]}


def take_one(connection: SievedConnection) -> None:
    """Publish a task and take it, without saying that it is done."""
    queue = connection.SimpleQueue("work").queue
    with connection.Producer() as producer:
        producer.publish([[], {}, {}], routing_key="work", exchange="", headers=HEADERS, correlation_id="1")
    assert queue.bind(connection.default_channel).get(no_ack=False) is not None


@pytest.fixture
def connection(broker_url: str) -> SievedConnection:
    parked: list[Death] = []
    return SievedConnection(broker_url, transport_options={PARK: parked.append, EXCHANGES: lambda: CELERY})


def test_closing_it_leaves_the_message_where_kombu_finds_it_again(
    connection: SievedConnection, redis_client: "redis.Redis"
) -> None:
    take_one(connection)
    connection.transport.client = None  # as Celery does with a connection that it lost
    connection.default_channel.close()
    assert redis_client.hlen("unacked") == 1


def test_closing_a_good_one_puts_the_message_back(connection: SievedConnection, redis_client: "redis.Redis") -> None:
    take_one(connection)
    connection.release()
    assert (redis_client.llen("work"), redis_client.hlen("unacked")) == (1, 0)
