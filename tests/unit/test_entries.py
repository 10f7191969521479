"""When the ordinary entries of a beat schedule are due, asked of Celery's own schedules."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery import Celery, Task, signals
from celery.beat import BeatLazyFunc, ScheduleEntry
from celery.schedules import BaseSchedule, crontab, schedule

from beat_schedule import BEAT_SCHEDULE
from moie_worker.doors.entries import Due, at_most_once, first, following, is_made_unseen, options, sent_to, supersedes
from moie_worker.doors.entries import key as key_of
from moie_worker.doors.hints import HEARTBEAT
from moie_worker.plan.times import moment, ms_of

NOON = ms_of(datetime(2026, 3, 1, 12, tzinfo=UTC))


def entry(
    when: Any, *, name: str = "e", zone: str = "UTC", task: str = "shop.tick", broker: Any = "memory://",
    default_queue: str = "celery", **chosen: Any,
) -> ScheduleEntry:  # fmt: skip
    app = Celery("shop", broker=broker, set_as_current=False)
    app.conf.update(timezone=zone, task_default_queue=default_queue)
    if isinstance(when, BaseSchedule):
        when.app = app
    return ScheduleEntry(name=name, task=task, schedule=when, options=chosen, app=app)


def key(made: ScheduleEntry) -> str:
    return key_of(made, sent_to(made.app))


def local_slots(when: Any, zone: str, after: datetime, number: int) -> list[str]:
    """The next slots as clocks in a zone show them."""
    made = entry(when, zone=zone)
    at, found = ms_of(after), list[str]()
    for _ in range(number):
        at = following(made, at, at)
        found.append(moment(at).astimezone(ZoneInfo(zone)).isoformat(sep=" ", timespec="minutes"))
    return found


def test_an_interval_begins_one_interval_after_it_was_first_seen() -> None:
    assert first(entry(10.0), NOON) == NOON + 10_000


def test_an_entry_may_ask_to_begin_at_once() -> None:
    now = entry(10.0, first="at_once")
    assert first(now, NOON) == NOON
    assert following(now, NOON, NOON) == NOON + 10_000


def test_an_interval_keeps_its_rhythm_however_late_a_beat_looks() -> None:
    every = entry(timedelta(seconds=0.5))
    assert following(every, NOON, NOON) == NOON + 500
    assert following(every, NOON, NOON + 499) == NOON + 500
    assert following(every, NOON, NOON + 500) == NOON + 1_000
    assert following(every, NOON, NOON + 7_777) == NOON + 8_000


def test_an_interval_relative_to_the_clock_falls_on_its_hours() -> None:
    assert local_slots(schedule(timedelta(hours=1), relative=True), "UTC", moment(NOON + 1000), 2) == [
        "2026-03-01 13:00+00:00",
        "2026-03-01 14:00+00:00",
    ]


def test_a_crontab_leaves_out_what_nobody_fired() -> None:
    minutely = entry(crontab())
    assert following(minutely, NOON, NOON) == NOON + 60_000
    assert following(minutely, NOON, NOON + 3_600_000 + 1) == NOON + 3_660_000


def test_a_crontab_is_in_the_time_zone_of_its_application() -> None:
    assert local_slots(crontab(hour=6, minute=0), "Asia/Tokyo", moment(NOON), 1) == ["2026-03-02 06:00+09:00"]
    assert local_slots(crontab(hour=6, minute=0), "UTC", moment(NOON), 1) == ["2026-03-02 06:00+00:00"]


@pytest.mark.parametrize(
    ("when", "after", "slots"),
    [
        pytest.param(
            crontab(hour=2, minute=30),
            datetime(2026, 3, 28, tzinfo=UTC),
            ["2026-03-28 02:30+01:00", "2026-03-29 03:30+02:00", "2026-03-30 02:30+02:00"],
            id="a time that is skipped runs once",
        ),
        pytest.param(
            crontab(hour=2, minute=30),
            datetime(2026, 10, 24, 12, tzinfo=UTC),
            ["2026-10-25 02:30+02:00", "2026-10-26 02:30+01:00"],
            id="a time that comes twice runs once",
        ),
        pytest.param(
            crontab(minute="*/30"),
            datetime(2026, 3, 29, 0, 20, tzinfo=UTC),
            ["2026-03-29 01:30+01:00", "2026-03-29 03:00+02:00", "2026-03-29 03:30+02:00"],
            id="half hours go over the jump",
        ),
        pytest.param(
            crontab(minute="*/30"),
            datetime(2026, 10, 24, 23, 50, tzinfo=UTC),
            ["2026-10-25 02:00+02:00", "2026-10-25 02:30+02:00", "2026-10-25 03:00+01:00"],
            id="half hours of a doubled hour run once",
        ),
    ],
)
def test_daylight_saving_days(when: crontab, after: datetime, slots: list[str]) -> None:
    assert local_slots(when, "Europe/Berlin", after, len(slots)) == slots


class Silent(BaseSchedule):  # type: ignore[misc]
    """A schedule of an application's own, without a text of its own."""

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        return last_run_at + timedelta(seconds=7) - self.now()  # type: ignore[no-any-return]


def test_a_schedule_of_an_applications_own_is_asked() -> None:
    assert following(entry(Silent()), NOON, NOON) == NOON + 7_000


@pytest.mark.parametrize("make", [lambda: 10.0, lambda: crontab(hour=6), lambda: schedule(60, relative=True), Silent])
def test_every_process_keeps_a_schedule_under_the_same_key(make: Any) -> None:
    assert key(entry(make())) == key(entry(make()))


def test_entries_that_differ_have_keys_that_differ() -> None:
    different = [
        entry(0.25),
        entry(0.5),
        entry(0.5, name="f"),
        entry(schedule(0.5, relative=True)),
        entry(crontab(hour=6)),
        entry(crontab(hour=6), zone="Asia/Tokyo"),
        entry(Silent()),
        entry(0.5, task="other.tick"),
        entry(0.5, default_queue="other"),
        entry(0.5, broker="redis://h/1"),
        entry(0.5, broker="amqp://h/other"),
    ]
    assert len({key(one) for one in different}) == len(different)


@pytest.mark.parametrize(
    "spelt",
    [
        ["redis://h/1", "redis://:pass@other:6380/1", "redis+socket:///run/r.sock?virtual_host=1", "rediss://h/1?x=y",
         "sentinel://a:26379/1;sentinel://b:26379/1"],
        ["redis://h", "redis://h/0", "redis://h/", "redis+socket:///run/r.sock"],
        ["amqp://a:b@one//", "amqp://two", "amqp://three:5672/"],
        ["amqp://one/shop", "amqp://two/shop", ["amqp://one/shop", "amqp://two/shop"]],
    ],
)  # fmt: skip
def test_beats_of_one_application_may_reach_its_broker_under_different_names(spelt: list[Any]) -> None:
    assert len({key(entry(0.5, broker=broker)) for broker in spelt}) == 1


@pytest.mark.parametrize("due", [Due(NOON), Due(NOON + 1_000, taken=NOON)])
def test_what_is_kept_is_read_again(due: Due) -> None:
    assert Due.parse(due.text()) == due
    assert due.slot == NOON


def test_a_message_is_known_by_its_entry_and_slot() -> None:
    chosen = options(entry(1.0, queue="q", headers={"a": 1}, delivery="at_most_once", first="at_once"), NOON)
    assert chosen == {
        "queue": "q",
        "headers": {"a": 1, "celery_beat_task": True, "moie_entry": "e"},
        "task_id": f"e:{NOON}",
    }


def test_a_message_that_will_be_superseded_waits_until_a_heartbeat_would_be_late() -> None:
    chosen = options(entry(600.0, supersede=True), NOON)
    assert chosen["expiration"] == 900, "seconds, as kombu takes them"
    assert supersedes(entry(600.0, supersede=True)) == "e"
    assert "supersede" not in chosen
    assert "expiration" not in options(entry(600.0), NOON)
    assert options(entry(600.0, supersede=True, expiration=5), NOON)["expiration"] == 5


def test_the_heartbeats_of_our_own_beats_supersede_each_other() -> None:
    (heartbeat,) = [one for one in BEAT_SCHEDULE.values() if one["task"] == HEARTBEAT]
    assert supersedes(entry(heartbeat["schedule"], **heartbeat["options"]))


def test_an_entry_is_sent_at_least_once_unless_it_says_otherwise() -> None:
    assert at_most_once(entry(1.0, delivery="at_most_once"))
    assert not at_most_once(entry(1.0))


def tick(*_: object) -> None: ...


class Locking(Task):  # type: ignore[misc]
    """Does something of its own when it is sent."""

    def apply_async(self, *args: Any, **options: Any) -> Any:
        return super().apply_async(*args, **options)


def test_a_message_is_made_unseen_where_only_celery_makes_it() -> None:
    made = entry(1.0)
    assert is_made_unseen(made.app, made), "of a task that this application does not have"
    made.app.task(name="shop.tick", shared=False)(tick)
    assert is_made_unseen(made.app, made)


@pytest.mark.parametrize("kind", ["class", "instance", "application", "argument", "named argument"])
def test_code_of_the_application_that_runs_when_a_message_is_made_is_seen(kind: str) -> None:
    made = entry(1.0)
    if kind == "application":
        made.app.send_task = lambda *args, **options: None
    elif kind != "argument":
        task = made.app.task(name="shop.tick", shared=False, base=Locking if kind == "class" else Task)(tick)
        if kind == "instance":
            task.apply_async = lambda *args, **options: None
    made.args = (BeatLazyFunc(print),) if kind == "argument" else ()
    made.kwargs = {"n": BeatLazyFunc(print)} if kind == "named argument" else {}
    assert not is_made_unseen(made.app, made)


@pytest.mark.parametrize("signal", [signals.before_task_publish, signals.after_task_publish])
def test_who_listens_to_publishes_sees_each_message_that_is_made(signal: Any) -> None:
    def listener(**_: object) -> None: ...

    made = entry(1.0)
    signal.connect(listener)
    assert not is_made_unseen(made.app, made)
    signal.disconnect(listener)
    assert is_made_unseen(made.app, made)
