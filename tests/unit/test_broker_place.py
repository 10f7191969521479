"""Where a letter's broker is, and whether a replay would go there."""

from typing import Any

import pytest
from celery import Celery

from moie_worker.doors.broker_place import BrokerPlace, broker_facts, broker_of
from moie_worker.doors.task_replay import CeleryPublisher
from moie_worker.errors import RefusedError
from tests.shop_kit import shop_with

SENTINELS = "sentinel://:pw@one:26379;sentinel://two:26380"


def app_at(broker: str | list[str], **options: Any) -> Celery:
    app = Celery("shop", broker=broker, set_as_current=False)
    app.conf.broker_transport_options = options
    return app


@pytest.mark.parametrize(
    ("broker", "place"),
    [
        ("redis://:pw@shop/3", BrokerPlace("redis", "shop:6379", "3")),
        ("rediss://shop:1/0?ssl_cert_reqs=required", BrokerPlace("redis", "shop:1")),
        ("redis+socket://:pw@/run/r.sock?virtual_host=10", BrokerPlace("redis", "/run/r.sock", "10")),
        ("redis+socket:///run/r.sock", BrokerPlace("redis", "/run/r.sock")),
        ("amqp://me:pw@rabbit//", BrokerPlace("amqp", "rabbit:5672")),
        ("amqps://rabbit/live", BrokerPlace("amqp", "rabbit:5671", "live")),
        (["redis://first", "redis://second"], BrokerPlace("redis", "first:6379")),
        ("sqs://key:secret@", BrokerPlace("sqs", "")),
    ],
)
def test_the_place_of_a_broker_holds_no_login(broker: str | list[str], place: BrokerPlace) -> None:
    assert broker_of(app_at(broker)) == place


def test_a_group_of_sentinels_is_one_place_in_any_order() -> None:
    app = app_at(SENTINELS + "/2", master_name="main")
    app.conf.broker_url = "sentinel://:pw@two:26380/2;sentinel://one:26379/2"
    assert broker_of(app) == BrokerPlace.of("sentinel://:pw@one:26379,two:26380/2?master=main")


def test_what_a_letter_keeps_names_queues_and_hides_what_else_is_configured() -> None:
    app = app_at("redis://:pw@shop/3", global_keyprefix="shop:", priority_steps=range(3), socket_timeout=5)
    facts = broker_facts(app, "redis://:other@shop:6379/3")
    assert facts == {
        "kind": "redis", "at": "shop:6379", "part": "3", "holds_letters": True,
        "naming": {"global_keyprefix": "shop:", "priority_steps": [0, 1, 2]},
    }  # fmt: skip
    assert broker_facts(app_at(SENTINELS), "redis://shop") is None  # it does not name its group


@pytest.mark.parametrize(
    ("letters", "mine", "publisher", "refused"),
    [
        ("redis://shop/3", "redis://other/4", {"holds_letters": True}, ""),
        ("redis://shop/3", "redis://other/3", {"named": True}, "unset it"),
        ("redis://letters", "redis://letters", {"holds_letters": True}, "set MOIE_BROKER_URL"),
        ("redis://letters", "redis://localhost/3", {"named": True}, ""),
        ("redis://letters", "redis://localhost/4", {"named": True}, "came from the broker redis://shop:6379/3"),
        ("redis://letters", "amqp://shop/3", {"named": True}, "go to amqp://shop:5672/3"),
        ("redis://letters", "redis://me:pw@shop/3", {}, ""),
    ],
)
def test_a_replay_goes_to_the_broker_of_its_letter_or_says_what_to_set(
    letters: str, mine: str, publisher: dict[str, bool], refused: str
) -> None:
    facts = broker_facts(app_at("redis://:pw@shop/3"), letters)
    assert facts
    sends = CeleryPublisher(app_at(mine), **publisher)
    came = BrokerPlace(facts["kind"], facts["at"], facts["part"])
    if not refused:
        sends._check_place("t-1", came, facts)
        return
    with pytest.raises(RefusedError, match=refused):
        sends._check_place("t-1", came, facts)


def test_a_task_whose_queue_nobody_knows_is_not_sent_to_another() -> None:
    with shop_with() as shop:
        shop.pay.delay(7)
        (request,) = shop.work()
        assert shop.letter().payload["queue"] == request.delivery_info["routing_key"]
        shop.letter().payload.update({"queue": "", "routing_key": ""})  # type: ignore[attr-defined]
        with pytest.raises(RefusedError, match="nobody knows the queue"):
            shop.replay()


def test_an_application_that_names_no_broker_has_the_one_that_celery_takes() -> None:
    app = Celery("shop", set_as_current=False)
    assert broker_of(app) == BrokerPlace("amqp", "localhost:5672")
    facts = broker_facts(app, "redis://letters/0")
    assert facts is not None
    assert facts["holds_letters"] is False


def test_settings_that_cannot_be_read_cost_no_letter() -> None:
    assert broker_facts(app_at("redis://shop/0", priority_steps=7), "redis://shop/0") is None
