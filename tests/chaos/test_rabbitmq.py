"""RabbitMQ carries the messages, Redis keeps the truth: what a broker loses, doubles or refuses costs time only."""

# mypy: disable-error-code="no-untyped-call"

import base64
import json
import time
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from amqp.exceptions import NotFound
from kombu.entity import Exchange, Queue

from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.errors import RefusedError
from moie_worker.plan.letters import LetterFilter
from moie_worker.plan.states import Place
from moie_worker.settings import load
from tests.chaos import oracle
from tests.chaos.test_poisonous import kills_its_process
from tests.farm import Farm, alone, farm_in, say, wait_until
from tests.faults import Figures
from tests.fuzz.payloads import payload
from tests.integration.test_poison import envelope
from tests.rabbit_kit import JSON, Content, Rabbit
from tests.shop_kit import FORCED, shop_with

pytestmark = [pytest.mark.chaos, pytest.mark.whole]

JOBS = 60
FROZEN_S = 12


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Rabbit]:
    rabbit = Rabbit(tmp_path)
    yield rabbit
    rabbit.close()


@pytest.fixture
def farm(broker: Rabbit) -> Iterator[Farm]:
    with farm_in() as made:
        made.settings["MOIE_BROKER_URL"] = broker.url
        yield made


@pytest.mark.fault(11)
@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_work_on_quorum_queues_goes_on_after_a_fault_of_the_broker(
    broker: Rabbit, farm: Farm, fault: str, figures: Figures
) -> None:
    for name in ("w1", "w2"):
        farm.worker(name)
    for name in ("b1", "b2"):
        farm.celery(name, "beat", "--pidfile=", "-n", f"{name}@test", "-l", "INFO")
    farm.ready("w1", "w2")
    ids = [f"j{number}" for number in range(JOBS)]
    farm.load(*[{"id": job, "task": "hold a lock", "verification_cmd": alone(farm, job, 0.5)} for job in ids])
    wait_until(lambda: farm.places().get(Place.COMPLETED, 0) > 4, "the first jobs are verified")
    broker.declare("default")
    began = time.monotonic()
    if fault == "killed":
        broker.kill()
        broker.start()
    else:
        with broker.frozen():
            time.sleep(FROZEN_S)
    up = time.monotonic()
    before = len(farm.told())
    wait_until(lambda: len(farm.told()) > before + 10, "jobs begin again", 40)
    again = time.monotonic() - up
    say(f"{fault}: RabbitMQ was away for {up - began:.1f} s; jobs began again {again:.1f} s after it came back")
    wait_until(lambda: farm.places() == {Place.COMPLETED: JOBS}, "every job is verified", 60)
    figures.recovery_s, figures.again = again, oracle.ended_well(farm, *ids)
    assert farm.journal("job.dead") == []


WORK = envelope()["headers"] | {"task": "moie.work"}
PACKED = zlib.compress(b"[[],{},{}]" + b" " * 2**24)
DEEP: dict[str, Any] = {}
for _ in range(300):
    DEEP = {"a": DEEP}
GARBAGE: list[tuple[bytes, dict[str, Any], Content]] = [
    (b"", {}, (None, None)),
    (b"\x00\xff", {}, (None, None)),
    (b"{", {}, JSON),
    (b"[[],{},{}]", {"task": 7, "id": "a"}, JSON),
    (b"[[],{},{}]", WORK | {"id": "half \ud800"}, JSON),
    (b"[[],{},{}]", WORK | {"eta": "9999-12-31T23:59:59"}, JSON),
    (b"[[],{},{}]", WORK | {"deep": DEEP}, JSON),
    (b"[[],{},{}]", WORK | {"stamps": datetime(9000, 1, 1)}, JSON),  # noqa: DTZ001 - AMQP knows no zones
    (b"cos\nsystem\n(S'true'\ntR.", WORK, ("application/x-python-serialize", "binary")),
    (PACKED, WORK, ("application/json", "zlib")),
    (PACKED, WORK | {"compression": "application/x-gzip"}, JSON),
]


@pytest.mark.fault(15)
def test_any_bytes_in_a_quorum_queue_are_letters_and_the_rest_flows(broker: Rabbit, farm: Farm, rng: Random) -> None:
    worker = farm.worker()
    farm.beat()
    farm.ready("w1")
    farm.load(*[{"id": f"j{n}", "task": "wait", "verification_cmd": "sleep 0.2"} for n in range(40)])
    for body, headers, content in GARBAGE:
        broker.publish(body, headers, ("", "default"), content)
    chance = [payload(rng.randrange(10**6), number, queued=True).data for number in range(100)]
    for raw in chance:
        broker.publish(raw, {}, ("", "default"))
    for body in (b"7", b"{", b'{"type": 7}'):
        broker.publish(body, {}, ("celeryev", "worker.heartbeat"))
    box = RedisDeadLetters(connect(farm.server.url), "default")
    parked = len(GARBAGE) + len(set(chance)) + 3
    wait_until(lambda: box.count() >= parked, f"{parked} letters, each with its bytes", 60)
    wait_until(lambda: farm.places() == {Place.COMPLETED: 40}, "the rest flows", 60)
    letters = [box.get(head.id) for head in box.page(LetterFilter(), limit=1000).heads]
    assert all(letter.head.reason for letter in letters)
    kept = {base64.b64decode(json.loads(base64.b64decode(one.payload["raw_base64"]))["body"]) for one in letters}
    assert kept >= {body for body, _, _ in GARBAGE} | set(chance)
    assert worker.poll() is None
    assert box.count() == parked


@pytest.mark.fault(4)
def test_a_job_that_kills_its_process_is_a_dead_letter_on_quorum_queues_too(broker: Rabbit, farm: Farm) -> None:
    kills_its_process(farm)


def test_a_task_of_another_application_goes_back_into_its_classic_queue_and_nothing_is_declared(
    broker: Rabbit, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOIE_REDIS_URL", redis_url)
    monkeypatch.setenv("MOIE_BROKER_URL", broker.url)
    from moie_worker.doors.cli.broker import Publisher  # it wants an environment

    video = Queue("video", Exchange("media", type="topic"), routing_key="video.#")
    options = {"confirm_publish": True}
    with shop_with(broker.url, redis_url, task_queues=[video], broker_transport_options=options) as shop:
        shop.pay.apply_async((7,), queue="video", routing_key="video.upload")
        shop.work()
        shop.replay(publisher=Publisher.of(load()))
        assert shop.did == ["pay 7"]
        with shop.app.connection_for_write() as connection:
            video(connection).delete()
            with pytest.raises(RefusedError, match="no queue 'video'"):
                shop.replay(FORCED, Publisher.of(load()))
            with connection.channel() as channel, pytest.raises(NotFound):
                channel.queue_declare("default", passive=True)
