"""Slots of a job: due, missed, caught up, and what follows a run."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moie_worker.plan.schedule import (
    COUNTED,
    Fire,
    Skip,
    Timetable,
    after_run,
    due_at,
    grace_of,
    is_missed,
    latest_slot,
    next_slot,
    period,
    resolve,
)
from moie_worker.plan.states import CatchUp, Overlap
from moie_worker.plan.times import Ms

MIN = 60_000
TEN = Timetable(every=timedelta(minutes=10))
CRON_TEN = Timetable(cron="*/10 * * * *")
BOTH = pytest.mark.parametrize("table", [TEN, CRON_TEN], ids=["every", "cron"])


def test_every_is_anchored_to_the_first_slot() -> None:
    table = Timetable(every=timedelta(seconds=7), anchor=1_000)
    assert next_slot(table, 0) == 1_000
    assert next_slot(table, 999) == 1_000
    assert next_slot(table, 1_000) == 8_000
    assert next_slot(table, 8_001) == 15_000


def test_a_year_away_at_every_second_costs_nothing() -> None:
    table = Timetable(every=timedelta(seconds=1))
    year = 366 * 86_400_000
    assert latest_slot(table, 0, year + 1) == year
    assert resolve(table, 0, year + 1, CatchUp.NONE) == Skip(year + 1_000, 366 * 86_400 + 1)


def test_a_year_away_at_a_cron_of_minutes_is_cheap_and_counted_to_a_limit() -> None:
    table = Timetable(cron="* * * * *", timezone="Europe/Vienna")
    now = 365 * 86_400_000 + 1
    assert latest_slot(table, 0, now) == now - 1
    assert resolve(table, 0, now, CatchUp.ONCE) == Fire(now - 1, now - 1 + MIN, COUNTED)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"every": timedelta(seconds=1), "cron": "* * * * *"},
        {"every": timedelta(0)},
        {"every": timedelta(seconds=-1)},
        {"cron": "61 * * * *"},
        {"cron": "* * * * *", "timezone": "Nowhere"},
    ],
)
def test_a_timetable_that_means_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Timetable(**wrong)  # type: ignore[arg-type]


@BOTH
def test_a_slot_on_time_fires_and_arms_the_following(table: Timetable) -> None:
    assert resolve(table, 0, 0, CatchUp.NONE) == Fire(0, 10 * MIN)
    assert resolve(table, 0, 5 * MIN, CatchUp.NONE) == Fire(0, 10 * MIN)


@BOTH
def test_a_slot_that_has_not_come_is_waited_for(table: Timetable) -> None:
    assert resolve(table, 10 * MIN, 10 * MIN - 1, CatchUp.ALL) == Skip(10 * MIN)


@BOTH
def test_later_than_half_the_period_is_missed(table: Timetable) -> None:
    assert not is_missed(table, 0, 5 * MIN)
    assert is_missed(table, 0, 5 * MIN + 1)
    assert resolve(table, 0, 5 * MIN + 1, CatchUp.NONE) == Skip(10 * MIN, 1)
    assert resolve(table, 0, 5 * MIN + 1, CatchUp.ONCE) == Fire(0, 10 * MIN)


def test_grace_is_at_most_an_hour_unless_given() -> None:
    daily = Timetable(cron="0 0 * * *")
    assert grace_of(daily, 0) == timedelta(hours=1)
    assert is_missed(daily, 0, 60 * MIN + 1)
    assert not is_missed(daily, 0, 120 * MIN, timedelta(hours=2))
    assert grace_of(TEN, 0) == timedelta(minutes=5)


def test_the_next_slot_ends_any_grace() -> None:
    assert is_missed(TEN, 0, 10 * MIN, timedelta(days=1))


@BOTH
def test_none_runs_nothing_of_what_was_missed(table: Timetable) -> None:
    assert resolve(table, 0, 41 * MIN, CatchUp.NONE) == Skip(50 * MIN, 5)
    assert resolve(table, 0, 40 * MIN, CatchUp.NONE) == Skip(50 * MIN, 5)


@BOTH
def test_once_runs_the_latest_missed(table: Timetable) -> None:
    assert resolve(table, 0, 41 * MIN, CatchUp.ONCE) == Fire(40 * MIN, 50 * MIN, 4)


@BOTH
def test_all_runs_the_oldest_first(table: Timetable) -> None:
    assert resolve(table, 0, 41 * MIN, CatchUp.ALL) == Fire(0, 10 * MIN)
    assert resolve(table, 10 * MIN, 41 * MIN, CatchUp.ALL) == Fire(10 * MIN, 20 * MIN)


@BOTH
def test_all_drops_what_is_older_than_the_limit_newest(table: Timetable) -> None:
    assert resolve(table, 0, 41 * MIN, CatchUp.ALL, 3) == Fire(20 * MIN, 30 * MIN, 2)
    assert resolve(table, 0, 41 * MIN, CatchUp.ALL, 1) == Fire(40 * MIN, 50 * MIN, 4)
    assert resolve(table, 0, 41 * MIN, CatchUp.ALL, 5) == Fire(0, 10 * MIN)


def test_jitter_counts_for_when_a_slot_is_due_and_missed() -> None:
    jitter = timedelta(minutes=9)
    due = due_at(0, jitter, "5.1")
    assert 0 < due < 9 * MIN
    assert resolve(TEN, 0, due - 1, CatchUp.ALL, jitter=jitter, job_id="5.1") == Skip(0)
    assert resolve(TEN, 0, due, CatchUp.NONE, jitter=jitter, job_id="5.1") == Fire(0, 10 * MIN)
    assert resolve(TEN, 0, due + 5 * MIN, CatchUp.NONE, jitter=jitter, job_id="5.1") == Fire(0, 10 * MIN)


def test_a_slot_that_jitter_still_holds_back_is_not_caught_up() -> None:
    jitter, now = timedelta(minutes=9), 10 * MIN
    assert due_at(10 * MIN, jitter, "5.1") > now
    answer = resolve(TEN, 0, now, CatchUp.ONCE, grace=timedelta(0), jitter=jitter, job_id="5.1")
    assert answer == Fire(0, 10 * MIN)
    assert resolve(TEN, 0, now, CatchUp.NONE, grace=timedelta(0), jitter=jitter, job_id="5.1") == Skip(10 * MIN, 1)


def test_a_held_slot_is_late_only_from_the_end_of_the_run_that_held_it() -> None:
    assert is_missed(TEN, 10 * MIN, 18 * MIN)
    assert not is_missed(TEN, 10 * MIN, 18 * MIN, free_at=18 * MIN)
    assert is_missed(TEN, 10 * MIN, 20 * MIN, free_at=18 * MIN)


@BOTH
def test_after_a_run_skip_waits_for_the_first_slot_to_come(table: Timetable) -> None:
    for overlap in (Overlap.SKIP, Overlap.ALLOW):
        assert after_run(table, 0, 2 * MIN, overlap, CatchUp.ONCE) == 10 * MIN
        assert after_run(table, 0, 25 * MIN, overlap, CatchUp.ONCE) == 30 * MIN
        assert after_run(table, 0, 20 * MIN, overlap, CatchUp.NONE) == 30 * MIN


@BOTH
def test_after_a_run_queue_holds_the_latest_that_came(table: Timetable) -> None:
    assert after_run(table, 0, 2 * MIN, Overlap.QUEUE, CatchUp.ONCE) == 10 * MIN
    assert after_run(table, 0, 35 * MIN, Overlap.QUEUE, CatchUp.NONE) == 30 * MIN
    assert after_run(table, 0, 10 * MIN, Overlap.QUEUE, CatchUp.NONE) == 10 * MIN
    assert after_run(table, 0, 35 * MIN, Overlap.QUEUE, CatchUp.ALL) == 10 * MIN


@BOTH
def test_after_a_run_all_goes_on_with_the_following(table: Timetable) -> None:
    assert after_run(table, 0, 35 * MIN, Overlap.SKIP, CatchUp.ALL) == 10 * MIN


@BOTH
def test_what_came_during_the_run_is_overlap_and_not_missed(table: Timetable) -> None:
    assert after_run(table, 0, 15 * MIN, Overlap.SKIP, CatchUp.ALL, began=0) == 20 * MIN
    assert after_run(table, 0, 35 * MIN, Overlap.SKIP, CatchUp.ALL, began=31 * MIN) == 10 * MIN
    assert after_run(table, 0, 15 * MIN, Overlap.SKIP, CatchUp.ALL, began=10 * MIN) == 10 * MIN


def test_a_clock_that_went_back_does_not_repeat_a_slot() -> None:
    assert after_run(TEN, 20 * MIN, 3 * MIN, Overlap.SKIP, CatchUp.ONCE) == 30 * MIN


def test_period_is_the_way_to_the_following_slot() -> None:
    assert period(TEN, 0) == timedelta(minutes=10)
    friday = 1 * 86_400_000 + 9 * 60 * MIN  # 1970-01-02 is a Friday
    assert period(Timetable(cron="0 9 * * MON-FRI"), friday) == timedelta(days=3)


TABLES = st.one_of(
    st.builds(
        Timetable, every=st.timedeltas(timedelta(milliseconds=1), timedelta(days=40)), anchor=st.integers(0, 10**12)
    ),
    st.builds(
        Timetable,
        cron=st.sampled_from(["*/10 * * * *", "0 6 * * *", "0 0 L * *", "30 2 * * SUN", "0 */4 * * MON-FRI"]),
        timezone=st.sampled_from(["UTC", "Europe/Vienna", "Australia/Lord_Howe"]),
    ),
)
JITTERS = st.timedeltas(timedelta(0), timedelta(hours=2))


@given(TABLES, st.integers(0, 2 * 10**12))
def test_the_next_slot_is_later_and_the_one_after_too(table: Timetable, after: Ms) -> None:
    slot = next_slot(table, after)
    assert after < slot < next_slot(table, slot)
    assert next_slot(table, slot - 1) == slot


@given(TABLES, st.integers(0, 2 * 10**12), st.integers(0, 10**11))
def test_the_latest_slot_is_the_last_that_came(table: Timetable, start: Ms, away: int) -> None:
    slot = next_slot(table, start)
    latest = latest_slot(table, slot, slot + away)
    assert slot <= latest <= slot + away < next_slot(table, latest)


@given(st.integers(0, 2 * 10**12), JITTERS, st.text(max_size=20))
def test_jitter_is_fixed_and_stays_below_its_size(slot: Ms, jitter: timedelta, job: str) -> None:
    due = due_at(slot, jitter, job)
    assert due == due_at(slot, jitter, job)
    assert slot <= due < slot + max(jitter, timedelta(milliseconds=1)) / timedelta(milliseconds=1)


def test_jitter_spreads_jobs_and_slots() -> None:
    jitter = timedelta(minutes=1)
    assert len({due_at(0, jitter, f"job-{n}") for n in range(200)}) > 150
    assert len({due_at(n * MIN, jitter, "job") - n * MIN for n in range(200)}) > 150


@given(
    TABLES,
    st.integers(0, 2 * 10**12),
    st.integers(-(10**8), 10**10),
    st.sampled_from(CatchUp),
    st.integers(1, 12),
    st.none() | st.timedeltas(timedelta(0), timedelta(days=2)),
)
def test_an_answer_is_consistent(
    table: Timetable, start: Ms, away: int, catch_up: CatchUp, limit: int, grace: timedelta | None
) -> None:
    slot = next_slot(table, start)
    now = slot + away
    answer = resolve(table, slot, now, catch_up, limit, grace)
    assert answer.missed >= 0
    match answer:
        case Fire():
            assert slot <= answer.slot <= now
            assert answer.next == next_slot(table, answer.slot)
            assert catch_up is not CatchUp.NONE or answer.slot == slot
            assert (answer.missed == 0) == (answer.slot == slot)
        case Skip():
            assert answer.next > now
            assert answer.next == slot or catch_up is CatchUp.NONE


@given(st.integers(1, 60), st.integers(0, 40), st.integers(1, 15))
def test_catching_up_with_all_runs_the_newest_in_order_each_once(every: int, missed: int, limit: int) -> None:
    table = Timetable(every=timedelta(minutes=every))
    now = missed * every * MIN + 1
    slot, ran = 0, []
    while isinstance(answer := resolve(table, slot, now, CatchUp.ALL, limit), Fire):
        ran.append(answer.slot)
        slot = after_run(table, answer.slot, now, Overlap.SKIP, CatchUp.ALL, began=now)
    expected = [n * every * MIN for n in range(missed + 1)][-limit:]
    assert ran == expected
    assert slot == (missed + 1) * every * MIN


@given(TABLES, st.integers(0, 2 * 10**12), st.integers(0, 10**10), st.sampled_from(Overlap), st.sampled_from(CatchUp))
def test_after_a_run_comes_a_later_slot(
    table: Timetable, start: Ms, took: int, overlap: Overlap, catch_up: CatchUp
) -> None:
    slot = next_slot(table, start)
    following = after_run(table, slot, slot + took, overlap, catch_up)
    assert following > slot
    assert next_slot(table, following - 1) == following
