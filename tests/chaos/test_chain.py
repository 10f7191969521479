"""Each link of the chain beat → broker → worker → state → outside is cut in turn: its alert comes, and no other."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from moie_worker.adapters.redis import keys
from moie_worker.adapters.redis.chain import RedisChain
from moie_worker.plan.chain import Pulse, Station
from tests.farm import Farm, Server, say, wait_until
from tests.web_kit import Answer, ScriptedServer

pytestmark = pytest.mark.chaos

PATIENCE_S = 60.0
WAY = (Station.SENT, Station.RECEIVED, Station.BEGUN, Station.RECORDED)


class Chained:
    """One beat, one worker, a broker of its own; a heartbeat each second, and a limit that is short."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.broker: Server = farm.another_redis("broker")
        farm.settings |= {
            "MOIE_BROKER_URL": self.broker.url,
            "MOIE_HEARTBEAT_STALE": "3s",
            "MOIE_STALE_CHECK": "1s",
        }
        farm.load({"id": "1", "task": "nothing", "verification_cmd": "true"})
        farm.worker()
        farm.beat()
        self.flows()

    def flows(self) -> None:
        """Wait for a heartbeat that is due from now on to come through."""
        now = self.farm.fleet.now()
        chain = RedisChain(self.farm.server.client)

        def through() -> bool:
            trace = chain.trace()
            return all(station in trace and trace[station].pulse.slot > now for station in WAY)

        wait_until(through, "a heartbeat comes through", PATIENCE_S)

    def events(self) -> list[tuple[str, str]]:
        """What was raised and cleared, in order."""
        rows: list[Any] = list(self.farm.server.client.xrange(keys.EVENTS) or ())
        return [(row["event"], row["name"]) for _, row in rows]

    def standing(self) -> dict[str, str]:
        found: dict[str, str] = self.farm.server.client.hgetall(keys.ALERTS)  # type: ignore[assignment]
        return found

    def told(self, name: str) -> str:
        """Wait for an alert; returns its message."""
        took = wait_until(lambda: name in self.standing(), f"{name} is told", PATIENCE_S)
        say(f"{name} told after {took:.1f} s: {self.standing()[name]}")
        time.sleep(5)  # what follows from it would be told by now
        return self.standing()[name]

    def healed(self, name: str) -> None:
        """The alert goes, and it was the only one."""
        wait_until(lambda: not self.standing(), f"{name} is over", PATIENCE_S)
        assert self.events() == [("raised", name), ("cleared", name)]


@pytest.fixture
def chained(farm: Farm) -> Chained:
    return Chained(farm)


def test_one_id_is_seen_at_every_link(chained: Chained) -> None:
    chain = RedisChain(chained.farm.server.client)

    def same() -> bool:
        return len({mark.pulse for mark in chain.trace().values()}) == 1

    wait_until(same, "the same heartbeat at every station")
    assert chain.trace().keys() == set(WAY)
    (pulse,) = {mark.pulse for mark in chain.trace().values()}
    assert Pulse.of(pulse.id) == pulse
    written = chained.farm.journal("heartbeat")
    assert pulse.id in {entry.data["pulse"] for entry in written}, "its record names it too"
    assert "Traceback" not in chained.farm.log("w1") + chained.farm.log("b1")
    assert chained.events() == []


@pytest.mark.whole
@pytest.mark.fault(11)
def test_a_killed_beat_is_named(chained: Chained) -> None:
    chained.farm.kill("b1")
    assert "no beat is there" in chained.told("link:beat")
    chained.farm.beat()
    chained.healed("link:beat")


@pytest.mark.whole
@pytest.mark.fault(1)
def test_a_killed_worker_is_named_by_the_beat(chained: Chained) -> None:
    chained.farm.kill("w1")
    assert "no worker takes the queue default; gone without a word: w1@test" in chained.told("link:worker")
    chained.farm.worker()
    chained.healed("link:worker")


@pytest.mark.whole
def test_a_broker_that_does_not_answer_is_named(chained: Chained) -> None:
    with chained.broker.frozen():
        assert "the broker does not take heartbeat:" in chained.told("link:broker")
    chained.flows()
    chained.healed("link:broker")


@pytest.mark.whole
def test_a_queue_that_leads_nowhere_is_named_as_the_broker(chained: Chained) -> None:
    with consuming_nothing(chained):
        assert "does not reach w1@test" in chained.told("link:broker")
    chained.healed("link:broker")


@contextmanager
def consuming_nothing(chained: Chained) -> Iterator[None]:
    """The worker lives and says that it serves the queue; its messages go elsewhere."""
    control(chained, "cancel_consumer")
    try:
        yield
    finally:
        control(chained, "add_consumer")


def control(chained: Chained, order: str) -> None:
    process = chained.farm.celery(order, "control", order, "default")
    assert process.wait(30) == 0, chained.farm.log(order)


def read_only(chained: Chained) -> Callable[[], object]:
    client = chained.farm.server.client

    def say_to(rule: str) -> object:
        return client.execute_command("ACL", "SETUSER", "default", rule)  # type: ignore[no-untyped-call]

    say_to("-@write")
    return lambda: say_to("+@write")


@pytest.mark.whole
@pytest.mark.fault(7)
def test_a_state_that_is_frozen_is_told_by_the_worker_and_nothing_else_when_it_thaws(chained: Chained) -> None:
    worker = chained.farm.log
    with chained.farm.server.frozen():
        took = wait_until(lambda: "ALERT link:state" in worker("w1"), "the worker tells it", PATIENCE_S)
        say(f"link:state told after {took:.1f} s")
    chained.flows()
    wait_until(lambda: "RECOVERED link:state" in worker("w1"), "and its end", PATIENCE_S)
    assert worker("w1").count("ALERT ") == 1
    assert chained.events() == []


@pytest.mark.whole
@pytest.mark.fault(21)
def test_an_outside_that_does_not_take_the_ping_is_named_and_keeps_no_heartbeat(farm: Farm) -> None:
    ill = threading.Event()
    ill.set()
    with ScriptedServer(lambda _: Answer(500 if ill.is_set() else 200)) as server:
        farm.settings["MOIE_PING_URL"] = f"{server.url}/uuid"
        chained = Chained(farm)
        assert "127.0.0.1: it answers 500" in chained.told("link:outside")
        chained.flows()
        ill.clear()
        chained.healed("link:outside")


@pytest.mark.whole
@pytest.mark.fault(19)
def test_a_state_that_takes_no_writes_is_told_by_the_worker_itself(chained: Chained) -> None:
    allow = read_only(chained)
    try:
        took = wait_until(lambda: "ALERT link:state" in chained.farm.log("w1"), "the worker tells it", PATIENCE_S)
        say(f"link:state told after {took:.1f} s")
        time.sleep(10)
    finally:
        allow()
    chained.flows()
    wait_until(lambda: "RECOVERED link:state" in chained.farm.log("w1"), "and its end", PATIENCE_S)
    assert chained.farm.log("w1").count("ALERT ") == 1
    assert chained.events() == []
