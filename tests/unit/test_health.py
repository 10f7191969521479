"""Health of cyclic jobs and of the heartbeat, at its exact boundaries."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moie_worker.plan.health import (
    Figures,
    History,
    figures,
    heartbeat_health,
    job_health,
    percent,
    stale_after,
    status_line,
)
from moie_worker.plan.states import Health

NOW = 1_800_000_000_000
TEN_MINUTES = timedelta(minutes=10)


def ran(ago: timedelta = timedelta(0), kept: int = 10, failed: int = 0, runs: int = 10, failures: int = 0) -> History:
    return History(runs, failures, kept, failed, NOW - ago // timedelta(milliseconds=1))


def judged(history: History, interval: timedelta = TEN_MINUTES) -> Health:
    return job_health(history, interval, NOW)[0]


def test_no_history_is_unknown() -> None:
    assert job_health(History(), TEN_MINUTES, NOW) == (Health.UNKNOWN, "has not run yet")


def test_exactly_thirty_minutes_is_not_stale() -> None:
    assert judged(ran(timedelta(minutes=30))) is Health.HEALTHY
    assert judged(ran(timedelta(minutes=30, milliseconds=1))) is Health.STALE


def test_a_long_interval_allows_three_of_it() -> None:
    day = timedelta(days=1)
    assert judged(ran(timedelta(hours=72)), day) is Health.HEALTHY
    assert judged(ran(timedelta(hours=72, milliseconds=1)), day) is Health.STALE
    assert stale_after(timedelta(minutes=10)) == timedelta(minutes=30)
    assert stale_after(timedelta(minutes=11)) == timedelta(minutes=33)


@pytest.mark.parametrize(
    ("kept", "failed", "expected"),
    [
        (100, 10, Health.HEALTHY),
        (100, 11, Health.UNHEALTHY),
        (10, 1, Health.HEALTHY),
        (10, 2, Health.UNHEALTHY),
        (9, 1, Health.UNHEALTHY),
        (1, 1, Health.UNHEALTHY),
        (1, 0, Health.HEALTHY),
    ],
)
def test_exactly_a_tenth_failed_is_healthy(kept: int, failed: int, expected: Health) -> None:
    assert judged(ran(kept=kept, failed=failed)) is expected


def test_only_the_kept_window_judges_and_the_lifetime_is_told_beside_it() -> None:
    health, message = job_health(ran(kept=100, failed=0, runs=1000, failures=500), TEN_MINUTES, NOW)
    assert health is Health.HEALTHY
    assert "0 of 100 runs failed (0.0 %, lifetime 50.0 %)" in message


def test_stale_is_told_before_unhealthy_and_says_both() -> None:
    health, message = job_health(ran(timedelta(hours=23, minutes=25), kept=10, failed=5), TEN_MINUTES, NOW)
    assert health is Health.STALE
    assert "23 h 25 min ago, allowed are 30 min" in message
    assert "5 of 10 runs failed" in message


def test_a_run_of_the_future_is_fresh() -> None:
    assert judged(ran(timedelta(minutes=-5))) is Health.HEALTHY


QUARTER = timedelta(minutes=15)


def test_a_heartbeat_of_exactly_its_limit_is_healthy() -> None:
    assert heartbeat_health(None, NOW, QUARTER)[0] is Health.UNKNOWN
    assert heartbeat_health(NOW - 15 * 60_000, NOW, QUARTER)[0] is Health.HEALTHY
    assert heartbeat_health(NOW - 15 * 60_000 - 1, NOW, QUARTER)[0] is Health.STALE
    assert heartbeat_health(NOW - 61_000, NOW, timedelta(minutes=1))[0] is Health.STALE
    assert heartbeat_health(NOW + 1, NOW, QUARTER)[0] is Health.HEALTHY


def test_a_beat_of_yesterday_is_not_called_healthy() -> None:
    health, message = heartbeat_health(NOW - (23 * 60 + 25) * 60_000, NOW, QUARTER)
    assert (health, message) == (
        Health.STALE,
        "last heartbeat 23 h 25 min ago, allowed are 15 min: is beat running?",
    )


def test_figures() -> None:
    history = History(1000, 1, 100, 7, NOW - 119_999, tuple(range(1, 21)))
    assert figures(history, NOW) == Figures(1000, 1, 93.0, 99.9, 5.5)
    assert figures(History(), NOW) == Figures(0, None, None, None, None)


@pytest.mark.parametrize(
    ("part", "whole", "expected"), [(2, 3, 66.7), (1, 3, 33.3), (9999, 10000, 99.9), (1, 10000, 0.1), (0, 5, 0.0)]
)
def test_a_percentage_has_one_decimal_and_hides_no_failure(part: int, whole: int, expected: float) -> None:
    assert percent(part, whole) == expected


def test_the_status_line() -> None:
    assert status_line("5.1", Health.STALE, "last run 45 min ago") == "5.1: stale - last run 45 min ago"


@given(
    st.integers(1, 100).flatmap(lambda kept: st.tuples(st.just(kept), st.integers(0, kept))),
    st.timedeltas(timedelta(0), timedelta(days=400)),
    st.timedeltas(timedelta(seconds=1), timedelta(days=100)),
)
def test_every_history_has_the_one_health_that_the_rule_says(
    window: tuple[int, int], ago: timedelta, interval: timedelta
) -> None:
    kept, failed = window
    history = ran(ago, kept, failed, kept, failed)
    age_ms = NOW - (history.last_run or 0)
    health, message = job_health(history, interval, NOW)
    if age_ms > max(30 * 60_000, 3 * interval / timedelta(milliseconds=1)):
        assert health is Health.STALE
    else:
        assert health is (Health.UNHEALTHY if failed / kept > 0.1 else Health.HEALTHY)
    assert "\n" not in message
