"""Which entry a run belongs to, and how long it may be between two runs."""

from datetime import timedelta

import pytest
from celery import Celery
from celery.schedules import crontab, schedule

from moie_worker.doors.periodic import Periodic, longest_gap
from moie_worker.plan.letters import Watched


@pytest.fixture
def app() -> Celery:
    app = Celery("shop")
    app.conf.beat_schedule = {
        "quick": {"task": "scan", "schedule": 30, "args": (1,)},
        "slow": {"task": "scan", "schedule": crontab(minute=0, hour=6), "kwargs": {"deep": True}},
    }
    return app


def test_an_entry_is_found_by_task_and_arguments(app: Celery) -> None:
    periodic = Periodic(app)
    assert periodic.watched("scan", [1], {}) == Watched("task:scan:quick", timedelta(seconds=30), "quick")
    assert periodic.watched("scan", (), {"deep": True}).name == "task:scan:slow"
    assert periodic.watched("scan", [2], {}) == Watched("task:scan")
    assert periodic.watched("other", None, None) == Watched("task:other")


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
