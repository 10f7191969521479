"""What the run log keeps: the twin in memory and the real one answer alike."""

from datetime import UTC, datetime, timedelta

import pytest

from moie_worker.adapters.memory_dead_letters import MemoryRunLog
from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.run_log import RedisRunLog
from moie_worker.plan.letters import Measured, Watched
from moie_worker.ports import RunLog

SCAN = Watched("task:shop.scan", timedelta(minutes=10), "nightly")
GOOD = Measured(1.5, 0.25, 2048)
BAD = Measured(0.5, error="OSError: disk")


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(params=["memory", "redis"])
def log(request: pytest.FixtureRequest) -> RunLog:
    if request.param == "memory":
        return MemoryRunLog(_now)
    return RedisRunLog(connect(request.getfixturevalue("redis_url")), "default")


def test_what_never_ran_has_no_history(log: RunLog) -> None:
    history = log.history("nothing")
    assert (history.runs, history.kept, history.last_at) == (0, 0, None)
    assert log.watched() == []


def test_a_run_keeps_time_cost_and_error(log: RunLog) -> None:
    log.record(SCAN, GOOD)
    log.record(SCAN, BAD)
    history = log.history(SCAN.name)
    assert [run.measured for run in history.recent] == [BAD, GOOD]
    assert (history.runs, history.failures, history.kept_failures) == (2, 1, 1)
    assert history.last_at is not None
    assert abs(history.last_at - _now()) < timedelta(minutes=1)


def test_of_101_runs_100_are_kept_and_101_counted(log: RunLog) -> None:
    for number in range(101):
        log.record(SCAN, BAD if number in (0, 100) else GOOD)
    history = log.history(SCAN.name)
    assert (history.runs, history.kept) == (101, 100)
    assert (history.failures, history.kept_failures) == (2, 1)


def test_names_are_listed_with_what_is_known_of_them(log: RunLog) -> None:
    other = Watched("task:a")
    log.record(SCAN, GOOD)
    log.record(other, GOOD)
    log.record(SCAN, GOOD)
    assert log.watched() == [other, SCAN]


def test_a_forgotten_name_starts_again(log: RunLog) -> None:
    log.record(SCAN, BAD)
    log.forget(SCAN.name)
    log.forget(SCAN.name)
    assert log.watched() == []
    log.record(SCAN, GOOD)
    assert (log.history(SCAN.name).runs, log.history(SCAN.name).failures) == (1, 0)
