"""`celery beat -S plan` for an application that has periodic tasks of its own and no plan."""

import signal
import subprocess
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest

from moie_worker.doors.entries import Due
from moie_worker.plan.times import Ms
from tests.farm import Farm, Server, wait_until

pytestmark = pytest.mark.integration

APP = "tests.ordinary_app"
KEPT = "moie:entries:shop"


class Shop:
    """The application, with what its tasks have told."""

    def __init__(self, farm: Farm, broker: Server) -> None:
        self.farm = farm
        self.told = Path(farm.directory / "ticks")
        farm.settings |= {"SHOP_BROKER": broker.broker_url, "SHOP_TOLD": str(self.told)}

    def worker(self) -> None:
        self.farm.celery("shop", "worker", "-c", "1", "-l", "INFO", app=APP)

    def beat(self, name: str, *more: str, **env: str) -> "subprocess.Popen[bytes]":
        return self.farm.celery(name, "beat", "--pidfile=", "-l", "INFO", *more, app=APP, env=env)

    def slots(self, entry: str) -> list[Ms]:
        """The slots of an entry for which its task ran, by the ids of the messages."""
        lines = self.told.read_text().split("\n") if self.told.exists() else []
        ids = [line.split()[1] for line in lines if line.startswith(f"{entry} ")]
        assert all(one.startswith(f"{entry}:") for one in ids)
        return [int(one.removeprefix(f"{entry}:")) for one in ids]

    def kept_under(self) -> list[str]:
        """Under which entries are kept."""
        return [str(key) for key in self.farm.server.client.hkeys(KEPT)]

    def kept(self) -> dict[str, Due]:
        """Name -> what Redis keeps of an entry."""
        found: dict[str, Any] = self.farm.server.client.hgetall(KEPT)  # type: ignore[assignment]
        dues = {key.partition(":")[2]: Due.parse(text) for key, text in found.items()}
        return {name: due for name, due in dues.items() if due is not None}

    def wait_for(self, entry: str, number: int) -> None:
        wait_until(lambda: len(self.slots(entry)) >= number, f"{entry} ran {number} times")

    def dies(self, entry: str, when: str) -> None:
        """A beat lives until it is killed at this moment; then another takes over."""
        dying = self.beat("dying", "-S", "tests.dying_beats:Dying", SHOP_DIES=f"{entry} {when}")
        wait_until(lambda: dying.poll() is not None, "the beat died")
        assert dying.wait() == -signal.SIGKILL


@pytest.fixture
def shop(farm: Farm) -> Shop:
    return Shop(farm, farm.server)


@pytest.fixture
def shop_elsewhere(farm: Farm) -> Shop:
    """Its broker is another Redis than the one of the due times."""
    return Shop(farm, farm.another_redis("broker"))


def test_two_beats_fire_every_slot_once_though_one_is_killed(shop: Shop) -> None:
    shop.worker()
    shop.beat("b1")
    shop.beat("b2")
    shop.wait_for("often", 3)
    (minutely,) = [key for key in shop.kept_under() if key.endswith(":minutely")]
    past = shop.farm.fleet.now() // 60_000 * 60_000 - 60_000
    shop.farm.server.client.hset(KEPT, minutely, Due(past).text())  # nobody wants to wait for a minute
    shop.farm.kill("b1")
    shop.wait_for("often", 6)
    shop.farm.stop("shop")
    for entry in ("often", "once"):
        slots = shop.slots(entry)
        assert slots == list(range(slots[0], slots[-1] + 1, 1000))
    assert shop.slots("minutely")[0] == past
    assert shop.kept()["minutely"].at >= past + 120_000, "the minutes without a beat were left out"


def test_a_beat_killed_while_it_makes_a_message_has_done_nothing(shop: Shop) -> None:
    shop.dies("often", "after")
    due = shop.kept()["often"]
    shop.beat("b1")
    shop.worker()
    shop.wait_for("often", 2)
    assert due.taken is None
    assert shop.slots("often").count(due.slot) == 1


@pytest.mark.parametrize(("when", "times"), [("before", 1), ("after", 2)])
def test_with_another_broker_a_message_is_repeated_under_its_id_and_never_lost(
    shop_elsewhere: Shop, when: str, times: int
) -> None:
    shop = shop_elsewhere
    shop.dies("often", when)
    due = shop.kept()["often"]
    assert due.taken is not None
    shop.beat("b1")
    shop.worker()
    shop.wait_for("often", times + 2)
    slots = Counter(shop.slots("often"))
    assert slots.pop(due.slot) == times
    assert set(slots.values()) == {1}


@pytest.mark.parametrize(("when", "times"), [("before", 0), ("after", 1)])
def test_an_entry_sent_at_most_once_is_never_repeated(shop_elsewhere: Shop, when: str, times: int) -> None:
    shop = shop_elsewhere
    shop.dies("once", when)
    died_at = shop.kept()["once"].at - 1000
    shop.beat("b1")
    shop.worker()
    shop.wait_for("once", times + 2)
    slots = Counter(shop.slots("once"))
    assert slots.pop(died_at, 0) == times
    assert set(slots.values()) == {1}


def test_a_changed_schedule_holds_at_once_and_a_removed_entry_goes(shop: Shop) -> None:
    shop.worker()
    shop.beat("old", SHOP_EVERY="600")
    wait_until(lambda: set(shop.kept()) == {"often", "minutely", "once"}, "all entries are kept")
    shop.beat("new", SHOP_EVERY="0.5", SHOP_WITHOUT="minutely")
    shop.wait_for("often", 3)  # though the old beat still keeps its own
    assert len(shop.kept_under()) == 4
    shop.farm.stop("old")
    wait_until(lambda: len(shop.kept_under()) == 2, "what nobody declares is gone")
    assert set(shop.kept()) == {"often", "once"}
    assert set(shop.slots("minutely")) <= {slot // 60_000 * 60_000 for slot in shop.slots("often")}


def test_a_frozen_beat_sends_one_message_for_the_slots_it_missed(shop: Shop) -> None:
    shop.worker()
    beat = shop.beat("b1")
    shop.wait_for("often", 2)
    beat.send_signal(signal.SIGSTOP)
    time.sleep(5)
    beat.send_signal(signal.SIGCONT)
    before = len(shop.slots("often"))
    shop.wait_for("often", before + 3)
    slots = shop.slots("often")
    gaps = [after - slot for slot, after in pairwise(slots)]
    assert len(slots) == len(set(slots))
    assert len([gap for gap in gaps if gap > 1000]) == 1, gaps
    assert max(gaps) >= 4000


def test_beat_answers_a_ping_and_ends_at_once_when_asked(shop: Shop) -> None:
    shop.beat("b1")
    wait_until(lambda: "Connected to" in shop.farm.log("b1"), "beat listens")
    ping = shop.farm.celery("ping", "inspect", "ping", "-d", f"celerybeat@{gethostname()}", app=APP)
    ping.wait()
    assert "celerybeat@" in shop.farm.log("ping")
    assert "pong" in shop.farm.log("ping")
    assert shop.farm.stop("b1") < 5
    assert shop.farm.fleet.beats() == ([], [])
