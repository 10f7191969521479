"""Which entry a run belongs to, and how long it may be between two runs."""

from datetime import datetime, timedelta

import pytest
from celery import Celery
from celery.beat import BeatLazyFunc
from celery.schedules import crontab, schedule

from moie_worker.doors.periodic import Periodic, longest_gap
from moie_worker.plan.letters import Watched


@pytest.fixture
def app() -> Celery:
    app = Celery("shop")
    app.conf.beat_schedule = {
        "quick": {"task": "scan", "schedule": 30, "args": (1,)},
        "since": {"task": "scan", "schedule": 60, "args": (BeatLazyFunc(datetime.now),), "kwargs": {"deep": False}},
        "until": {"task": "scan", "schedule": 90, "args": (BeatLazyFunc(datetime.now),)},
        "slow": {"task": "scan", "schedule": crontab(minute=0, hour=6), "kwargs": {"deep": True}},
    }
    return app


def test_an_entry_is_found_by_task_and_arguments(app: Celery) -> None:
    periodic = Periodic(app)
    assert periodic.watched("scan", [1], {}) == Watched("task:scan:quick", timedelta(seconds=30), "quick")
    assert periodic.watched("scan", (), {"deep": True}).name == "task:scan:slow"
    assert periodic.watched("scan", [2, 3], {}) == Watched("task:scan")
    assert periodic.watched("other", None, None) == Watched("task:other")


def test_arguments_that_a_schedule_leaves_to_a_function_may_be_anything(app: Celery) -> None:
    periodic = Periodic(app)
    assert periodic.watched("scan", ["2026-03-01"], {}).entry == "until"
    assert periodic.watched("scan", ["2026-03-01"], {"deep": False}).entry == "since"
    assert periodic.watched("scan", ["2026-03-01"], {"deep": 7}) == Watched("task:scan")


def test_an_entry_that_a_message_names_is_found_whatever_its_arguments(app: Celery) -> None:
    periodic = Periodic(app)
    assert periodic.watched("scan", [1], {}, "until") == Watched("task:scan:until", timedelta(seconds=90), "until")
    assert periodic.watched("scan", [1], {}, "slow").entry == "slow"


@pytest.mark.parametrize("name", ["gone", "other", None, 7, ["until"]])
def test_an_entry_that_is_not_there_or_sends_something_else_is_looked_for_by_its_arguments(
    app: Celery, name: object
) -> None:
    app.conf.beat_schedule["other"] = {"task": "other", "schedule": 5}
    assert Periodic(app).watched("scan", [1], {}, name).entry == "quick"


@pytest.mark.parametrize(
    ("given", "gap"),
    [
        (timedelta(minutes=5), timedelta(minutes=5)),
        (90, timedelta(seconds=90)),
        (schedule(run_every=timedelta(hours=2)), timedelta(hours=2)),
        (crontab(minute="*/15"), timedelta(minutes=15)),
        (crontab(minute=0, hour=6), timedelta(days=1)),
        (crontab(minute=0, hour=6, day_of_week="mon-fri"), timedelta(days=3)),
    ],
)
def test_the_longest_gap_of_a_schedule(app: Celery, given: object, gap: timedelta) -> None:
    found = longest_gap(given, app)
    assert found is not None
    assert abs(found - gap) <= timedelta(seconds=2)


def test_a_schedule_that_cannot_say_has_no_interval(app: Celery) -> None:
    assert longest_gap(object(), app) is None
