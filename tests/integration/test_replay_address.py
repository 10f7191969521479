"""Whatever the application did with exchanges, prefixes and databases: its tasks come back to it."""

# mypy: disable-error-code="no-untyped-call"

from typing import Any

import pytest
import redis
from kombu.common import Broadcast
from kombu.entity import Exchange, Queue

from moie_worker.doors.task_letters import Origin, found, message_death, task_death
from moie_worker.errors import MoieError, RefusedError
from moie_worker.heart.dead_letters import Publisher
from moie_worker.plan.letters import Death, LetterKind
from moie_worker.settings import load
from tests.conftest import RedisServer
from tests.shop_kit import FORCED, shop_with

pytestmark = pytest.mark.integration


@pytest.fixture
def operator(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """What somebody says who only knows where the letters are."""
    monkeypatch.setenv("MOIE_REDIS_URL", redis_url)
    monkeypatch.delenv("MOIE_BROKER_URL", raising=False)
    return monkeypatch


def sends() -> Publisher:
    from moie_worker.doors.cli import broker  # it wants an environment

    return broker.Publisher.of(load())


def test_keys_with_a_prefix_and_steps_of_priority_are_those_of_the_application(
    operator: pytest.MonkeyPatch, broker_url: str, redis_url: str
) -> None:
    named = {"global_keyprefix": "shop:", "priority_steps": [0, 5], "sep": "-"}
    with shop_with(broker_url, redis_url, broker_transport_options=named) as shop:
        shop.pay.apply_async((7,), priority=4)
        shop.work()
        shop.replay(publisher=sends())
        assert shop.did == ["pay 7"]


def test_a_message_goes_back_under_the_prefix_of_its_application(
    operator: pytest.MonkeyPatch, broker_url: str, redis_url: str, redis_client: "redis.Redis"
) -> None:
    options = {"global_keyprefix": "shop:"}
    with shop_with(broker_url, redis_url, broker_transport_options=options, task_default_queue="celery") as shop:
        shop.post.letter(message_death("feeds", b"garbage", "no JSON"))
        redis_client.set("shop:feeds", "no list", ex=60)
        with pytest.raises(RefusedError, match=r"the broker refused message-.*WRONGTYPE"):
            shop.replay(FORCED, sends())
        redis_client.delete("shop:feeds")
        shop.replay(FORCED, sends())
    assert redis_client.lrange("shop:feeds", 0, -1) == ["garbage"]


def test_a_broker_beside_the_letters_has_to_be_named(
    operator: pytest.MonkeyPatch, redis_server: RedisServer, redis_url: str, redis_client: "redis.Redis"
) -> None:
    broker = redis_server.broker_url.replace("virtual_host=0", "virtual_host=1")
    with shop_with(broker, redis_url, task_default_queue="till") as shop:
        shop.pay.delay(7)
        shop.work()
        with pytest.raises(RefusedError, match="set MOIE_BROKER_URL"):
            shop.replay(publisher=sends())
        assert redis_client.exists("till") == 0
        operator.setenv("MOIE_BROKER_URL", redis_url.replace("db=0", "db=1"))
        shop.replay(publisher=sends())
        assert shop.did == ["pay 7"]


VIDEO = Queue("video", Exchange("media", type="topic"), routing_key="video.#")
AUDIT = Queue("audit", Exchange("media", type="topic"), routing_key="#")


def test_a_task_by_a_topic_goes_back_to_the_queue_whose_worker_had_it(
    operator: pytest.MonkeyPatch, broker_url: str, redis_url: str, redis_client: "redis.Redis"
) -> None:
    with shop_with(broker_url, redis_url, task_queues=[VIDEO]) as shop, shop.app.connection_for_write() as connection:
        AUDIT(connection).declare()
        shop.pay.apply_async((7,), queue="video", routing_key="video.upload")
        shop.work()
        assert redis_client.llen("audit") == 1
        shop.replay(publisher=sends())
        assert (shop.did, redis_client.llen("audit")) == (["pay 7"], 1)


def test_a_letter_without_its_queue_is_sent_to_those_that_its_exchange_leads_to(
    operator: pytest.MonkeyPatch, broker_url: str, redis_url: str, redis_client: "redis.Redis"
) -> None:
    payload: dict[str, Any] = {
        "task": "pay", "args": [7], "kwargs": {}, "id": "abc", "root_id": None, "headers": {}, "priority": None,
        "exchange": "media", "routing_key": "video.upload",
    }  # fmt: skip
    with shop_with(broker_url, redis_url, task_queues=[VIDEO]) as shop:
        shop.box.put(Death("abc", LetterKind.TASK, "pay", "no money", 1, payload))
        with pytest.raises(RefusedError, match="no queue is bound"):
            shop.replay(publisher=sends())
        with shop.app.connection_for_write() as connection:
            VIDEO(connection).declare()
        shop.replay(publisher=sends())
        assert shop.did == ["pay 7"]


def test_what_every_worker_got_is_not_put_into_a_list_that_nobody_reads(
    operator: pytest.MonkeyPatch, broker_url: str, redis_url: str, redis_client: "redis.Redis"
) -> None:
    everybody = Broadcast("news", queue="bcast.1")
    with shop_with(broker_url, redis_url, task_queues=[everybody]) as shop:
        origin = found(Origin(exchange="news", routing_key=""), shop.app)
        shop.post.letter(task_death("pay", "abc", [7], {}, ValueError("no money"), origin))
        with pytest.raises(RefusedError, match="every worker that listened"):
            shop.replay(publisher=sends())
        assert redis_client.exists("bcast.1") == 0


def test_what_the_broker_refuses_leaves_the_letter_open(
    operator: pytest.MonkeyPatch, broker_url: str, redis_url: str, redis_client: "redis.Redis"
) -> None:
    with shop_with(broker_url, redis_url, task_default_queue="till") as shop:
        shop.pay.delay(7)
        shop.work()
        redis_client.set("till", "no list", ex=60)
        with pytest.raises(MoieError, match="WRONGTYPE"):
            shop.replay(publisher=sends())
        redis_client.delete("till")
        shop.replay(publisher=sends())
        assert shop.did == ["pay 7"]
