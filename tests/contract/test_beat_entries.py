"""One tick after the other of a beat, on a real Redis: what it fires, what it hears, what it goes on without."""

import atexit
import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.beat import BeatLazyFunc
from celery.schedules import BaseSchedule
from kombu.exceptions import OperationalError
from pydantic import TypeAdapter

from moie_worker.adapters.redis.fleet import RedisFleet
from moie_worker.doors.entries import Due, key_before
from moie_worker.doors.hints import WORK, publisher
from moie_worker.doors.poison_schema import message_fault
from moie_worker.doors.scheduler import PlanScheduler
from moie_worker.errors import UnreachableError
from moie_worker.plan.fields import Id
from moie_worker.plan.flow import Hint
from moie_worker.plan.presence import Beat

SOON = timedelta(milliseconds=2)
KEPT = "moie:entries:shop"
CLEANUP = "celery.backend_cleanup"


class Moody(BaseSchedule):  # type: ignore[misc]
    """A schedule of an application's own that fails while it is told to."""

    fails = True

    def __repr__(self) -> str:
        return "moody"

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        if self.fails:
            raise LookupError("the calendar is away")
        return timedelta(hours=1)


class Nameless(BaseSchedule):  # type: ignore[misc]
    """A schedule without a text, so that nobody can say what it is kept under."""

    def __repr__(self) -> str:
        raise LookupError("no text")


class Shop:
    """Beats of applications on one Redis, which is broker and state."""

    def __init__(self, client: "redis.Redis", url: str, broker: str, stack: ExitStack) -> None:
        self.client, self._url, self._broker, self._stack = client, url, broker, stack

    def beat(
        self, task: str = "shop.tick", broker: str = "", backend: str | None = None, **entries: Any
    ) -> PlanScheduler:
        """A beat of an application `shop`; each of its entries fires at once, then as it says."""
        app = Celery("shop", broker=broker or self._broker, backend=backend, set_as_current=False)
        app.conf.moie_redis_url = self._url
        app.conf.beat_schedule = {
            name: {"task": task, "schedule": when, "options": {"first": "at_once"}} for name, when in entries.items()
        }
        app.tasks.pop(WORK, None)  # tasks of another application in this process are shared with this one
        made = PlanScheduler(app)
        self._stack.callback(app.close)
        self._stack.callback(made._system.client.close)
        self._stack.callback(atexit.unregister, made._say_gone)
        return made

    def messages(self) -> list[Any]:
        """The messages in the queue, the oldest first; takes them away."""
        messages: Any = self.client.lrange("celery", 0, -1)
        self.client.delete("celery")
        return [json.loads(message) for message in reversed(messages)]

    def fired(self) -> list[str]:
        """The entries whose messages lie in the queue, the oldest first; takes them away."""
        return [str(headers["moie_entry"]) for headers in self.headers()]

    def raw(self) -> list[bytes | str]:
        """All messages as they are, as above."""
        messages: Any = self.client.lrange("celery", 0, -1)
        self.client.delete("celery")
        return list(messages)

    def headers(self) -> list[dict[str, Any]]:
        """The headers of all messages, as above."""
        return [message["headers"] for message in self.messages()]

    def kept_before(self, beat: PlanScheduler, due: Due) -> str:
        """The due time of the one entry of a beat, as an earlier release kept it."""
        (entry,) = beat.schedule.values()
        self.client.hset(KEPT, key_before(entry), due.text())
        return key_before(entry)

    def hear_again(self, beat: PlanScheduler) -> None:
        """Let it look at the other beats in its next tick."""
        beat._said_at = float("-inf")


@pytest.fixture
def shop(redis_client: "redis.Redis", redis_url: str, broker_url: str) -> Iterator[Shop]:
    with ExitStack() as stack:
        yield Shop(redis_client, redis_url, broker_url, stack)
    redis_client.delete("celery", *redis_client.scan_iter("_kombu.*"))


@pytest.fixture
def tell(caplog: pytest.LogCaptureFixture) -> Callable[[str], int]:
    """How often something was said."""
    return lambda text: sum(text in record.getMessage() for record in caplog.records)


def test_a_beat_without_plans_leaves_rings_to_those_that_can_look(shop: Shop) -> None:
    fleet = RedisFleet(shop.client)
    fleet.ring("p")
    beat = shop.beat(hourly=3600.0)
    beat.tick()
    assert beat.tick() == 0.75, "it sleeps instead"
    assert fleet.listen(SOON) == {"p"}


def test_a_beat_with_plans_takes_the_rings(shop: Shop) -> None:
    beat = shop.beat(hourly=3600.0)
    beat.app.tasks[WORK] = beat.app.tasks["celery.chain"]
    RedisFleet(shop.client).ring("p")
    assert beat.tick() == 0.0
    assert RedisFleet(shop.client).listen(SOON) == set()


def test_an_entry_whose_schedule_fails_keeps_no_other_and_is_said_once(shop: Shop, tell: Callable[[str], int]) -> None:
    moody = Moody()
    beat = shop.beat(a_moody=moody, b_nameless=Nameless(), c_often=0.001)
    for _ in range(3):
        beat.tick()
    assert set(shop.fired()) == {"c_often"}
    assert tell("a_moody does not fire") == tell("b_nameless does not fire") == 1
    assert tell("a tick met an error") == 0


def test_an_entry_whose_schedule_works_again_fires(shop: Shop) -> None:
    moody = Moody()
    beat = shop.beat(moody=moody)
    beat.tick()
    beat.tick()
    assert shop.fired() == []
    moody.fails = False
    beat.tick()
    assert shop.fired() == ["moody"]


@pytest.mark.parametrize("damaged", ["soon", "1!2!3", "9" * 30, "-1"])
def test_a_due_time_that_is_none_begins_anew(shop: Shop, tell: Callable[[str], int], damaged: str) -> None:
    beat = shop.beat(hourly=3600.0)
    (key,) = beat._firing.keyed()
    shop.client.hset(KEPT, key, damaged)
    beat.tick()
    beat.tick()
    assert shop.fired() == ["hourly"]
    assert Due.parse(str(shop.client.hget(KEPT, key))) is not None
    assert tell("is no due time") == 1


def test_applications_of_one_name_fire_all_slots_of_entries_that_are_alike(shop: Shop) -> None:
    for beat in (shop.beat(task="a.cleanup", cleanup=60.0), shop.beat(task="b.cleanup", cleanup=60.0)):
        beat.tick()
        beat.tick()
    assert [headers["task"] for headers in shop.headers()] == ["a.cleanup", "b.cleanup"]


@pytest.mark.parametrize("taken", [False, True])
def test_an_upgrade_keeps_the_due_times_of_entries(shop: Shop, taken: bool) -> None:
    beat = shop.beat(hourly=3600.0)
    now = RedisFleet(shop.client).now()
    due = Due(now - 10, taken=now - 500 if taken else None)
    before = shop.kept_before(beat, due)
    beat.tick()
    beat.tick()
    assert [headers["id"] for headers in shop.headers()] == [f"hourly:{due.slot}"]
    shop.hear_again(beat)
    beat.tick()
    assert shop.client.hkeys(KEPT) == list(beat._firing.keyed()), "the earlier key is gone"
    assert before not in beat._firing.keyed()


def test_an_upgrade_fires_nothing_early(shop: Shop) -> None:
    beat = shop.beat(hourly=3600.0)
    later = Due(RedisFleet(shop.client).now() + 60_000)
    shop.kept_before(beat, later)
    beat.tick()
    beat.tick()
    assert shop.fired() == []
    assert shop.client.hvals(KEPT) == [later.text()] * 2


def test_entries_are_left_to_beats_of_an_earlier_release_while_there_are_some(
    shop: Shop, tell: Callable[[str], int]
) -> None:
    beat, fleet = shop.beat(hourly=3600.0), RedisFleet(shop.client)
    due = Due(fleet.now() - 10)
    before = shop.kept_before(beat, due)
    fleet.beat_here(Beat("old", "h", 1, 0, entries=(before,)), timedelta(seconds=20))
    for _ in range(3):
        shop.hear_again(beat)
        beat.tick()
    assert shop.fired() == []
    assert tell("hourly is left to the beats of an earlier release") == 1
    fleet.beat_left("old")
    for _ in range(2):
        shop.hear_again(beat)
        beat.tick()
    assert [headers["id"] for headers in shop.headers()] == [f"hourly:{due.at}"]


@pytest.mark.parametrize(("broker", "times"), [("redis://:pass@elsewhere/0", 1), ("", 0)])
def test_beats_that_have_entries_in_common_and_other_brokers_are_told_of_once(
    shop: Shop, tell: Callable[[str], int], broker: str, times: int
) -> None:
    beat = shop.beat(hourly=3600.0)
    RedisFleet(shop.client).beat_here(shop.beat(hourly=3600.0, broker=broker)._presence, timedelta(seconds=20))
    for _ in range(3):
        shop.hear_again(beat)
        beat.tick()
    assert tell("Celery('name')") == times
    assert tell("pass") == 0


def test_arguments_that_a_schedule_leaves_to_a_function_are_those_of_the_moment(shop: Shop) -> None:
    beat, numbers = shop.beat(hourly=3600.0), count(1)
    entry = beat.schedule["hourly"]
    entry.args, entry.kwargs = (BeatLazyFunc(next, numbers), 7), {"n": BeatLazyFunc(next, numbers)}
    beat.tick()
    beat.tick()
    (message,) = shop.messages()
    assert json.loads(base64.b64decode(message["body"]))[:2] == [[1, 7], {"n": 2}]


@pytest.mark.parametrize(
    ("backend", "entries"), [("file", {"hourly", CLEANUP}), ("redis", {"hourly"}), ("", {"hourly"})]
)
def test_results_that_do_not_expire_by_themselves_are_cleaned_up(
    shop: Shop, tmp_path: Path, backend: str, entries: set[str]
) -> None:
    address = {"file": f"file://{tmp_path}", "redis": "redis://localhost"}.get(backend)
    beat = shop.beat(hourly=3600.0, backend=address)
    assert {entry.name for entry in beat._firing.keyed().values()} == entries


def test_what_goes_wrong_at_every_tick_is_said_once_until_it_was_over(
    shop: Shop, tell: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    beat = shop.beat(hourly=3600.0)
    with monkeypatch.context() as broken:
        broken.setattr(beat._firing.kept, "peek", refused)
        assert [beat.tick(), beat.tick(), beat.tick()] == [1.0] * 3
        assert tell("WRONGPASS") == 1
    assert beat.tick() == 0.0
    monkeypatch.setattr(beat._firing.kept, "peek", refused)
    beat.tick()
    assert tell("beat: Redis says WRONGPASS; it tries again every 1 s") == 2


def test_a_broker_that_stays_away_is_said_once_until_it_took_an_entry(
    shop: Shop, tell: Callable[[str], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    beat = shop.beat(often=0.001)
    beat.tick()
    for said in (1, 2):
        with monkeypatch.context() as broken:
            broken.setattr(beat._firing._delivery, "send", away)
            beat.tick()
            beat.tick()
        assert tell("the broker does not take often: away") == said
        beat.tick()
    assert shop.fired() == ["often"] * 2


def away(*_: object, **__: object) -> None:
    raise OperationalError("away")


def refused(_: object) -> None:
    raise UnreachableError("Redis says WRONGPASS")


@pytest.mark.parametrize("error", [KeyError("X"), OSError("no such file")])
def test_arguments_that_cannot_be_had_cost_a_slot_and_keep_no_other_entry(
    shop: Shop, tell: Callable[[str], int], error: Exception
) -> None:
    def fail() -> None:
        raise error

    beat = shop.beat(failing=3600.0, good=3600.0)
    beat.schedule["failing"].args = (BeatLazyFunc(fail),)
    beat.tick()
    beat.tick()
    assert shop.fired() == ["good"]
    assert tell("failing cannot be sent; its next slot will be tried") == 1
    assert tell("does not take") == 0


@pytest.mark.parametrize("job", ["א\u200f-1", "é", "a" * 200, "\u2066x"])
def test_a_hint_of_any_job_that_a_plan_may_have_is_fit_for_a_worker(shop: Shop, broker_url: str, job: str) -> None:
    assert TypeAdapter(Id).validate_python(job) == job
    with Celery(broker=broker_url, set_as_current=False) as app:
        publisher(app)("p", Hint("h", "celery", (job,)))
    (raw,) = shop.raw()
    assert message_fault(raw, datetime.now(UTC)) is None


@pytest.mark.parametrize("name", ["a\ttab", "a\nline", "\u202eturned"])
def test_the_message_of_an_entry_with_any_name_is_fit_for_a_worker(shop: Shop, name: str) -> None:
    entries: Any = {name: 3600.0}
    beat = shop.beat(**entries)
    beat.tick()
    beat.tick()
    (raw,) = shop.raw()
    assert message_fault(raw, datetime.now(UTC)) is None
