"""Cron expressions, time zones and the days on which clocks change."""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moie_worker.plan.cron import parse_cron, validate_timezone, zone_of
from moie_worker.plan.schedule import Timetable, latest_slot, next_slot
from moie_worker.plan.times import Ms, moment, ms_of

ZONES = ("UTC", "Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu")


def slots(cron: str, zone: str, start: str, count: int) -> list[str]:
    """The next slots in local time with offset, from a local start (the first of a doubled time)."""
    table = Timetable(cron=cron, timezone=zone)
    at = ms_of(datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone)))
    found = []
    for _ in range(count):
        at = next_slot(table, at)
        found.append(moment(at).astimezone(ZoneInfo(zone)).isoformat(timespec="minutes"))
    return found


def utc(text: str) -> Ms:
    return ms_of(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 6 * * *", "2026-01-01T06:00"),
        ("*/15 * * * *", "2026-01-01T00:15"),
        ("5,35 3-4 * * *", "2026-01-01T03:05"),
        ("0 0 * * 0", "2026-01-04T00:00"),
        ("0 0 * * 7", "2026-01-04T00:00"),
        ("0 0 * * sun", "2026-01-04T00:00"),
        ("0 0 * * Sat-Sun", "2026-01-03T00:00"),
        ("0 0 * * 6-0", "2026-01-03T00:00"),
        ("0 0 1 feb *", "2026-02-01T00:00"),
        ("0 12 L * *", "2026-01-31T12:00"),
        ("0 12 L 2 *", "2026-02-28T12:00"),
        ("0 12 * * 5L", "2026-01-30T12:00"),
        ("0 12 * * 1#2", "2026-01-12T12:00"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("@hourly", "2026-01-01T01:00"),
        ("@daily", "2026-01-02T00:00"),
        ("@midnight", "2026-01-02T00:00"),
        ("@weekly", "2026-01-04T00:00"),
        ("@monthly", "2026-02-01T00:00"),
        ("@yearly", "2027-01-01T00:00"),
        ("@Annually", "2027-01-01T00:00"),
        ("  0   6 * * *  ", "2026-01-01T06:00"),
    ],
)
def test_the_next_slot_of_an_expression(cron: str, expected: str) -> None:
    assert next_slot(Timetable(cron=cron), utc("2026-01-01T00:00:00")) == utc(expected)


@pytest.mark.parametrize(
    ("cron", "told"),
    [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("0 * * * * *", "6 fields"),
        ("60 * * * *", 'bad minute "60"'),
        ("* 24 * * *", 'bad hour "24"'),
        ("* * 32 * *", 'bad day of month "32"'),
        ("* * * 13 *", 'bad month "13"'),
        ("* * * FOO *", 'bad month "FOO"'),
        ("* * * * 8", 'bad day of week "8"'),
        ("5-1 * * * *", 'bad minute "5-1"'),
        ("*/0 * * * *", 'bad minute "*/0"'),
        ("*/90 * * * *", "step of 90"),
        ("-5 * * * *", 'bad minute "-5"'),
        ("1, * * * *", 'bad minute "1,"'),
        ("٣ * * * *", "bad minute"),
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6 *", "never fires"),
        ("0 0 */31 * 2#2", "never fires"),
        ("@reboot", "@daily"),
        ("9" * 5000, "at most 500"),
        ("9" * 490 + " * * * *", "bad minute"),
    ],
)
def test_a_bad_expression_is_refused_with_its_reason(cron: str, told: str) -> None:
    with pytest.raises(ValueError, match="cron") as refused:
        parse_cron(cron)
    assert told in str(refused.value)


@pytest.mark.fault(12)
def test_a_skipped_time_runs_once_at_the_jump() -> None:
    assert slots("30 2 * * *", "Europe/Vienna", "2026-03-28T12:00", 2) == [
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ]
    assert slots("30 2 * * *", "America/New_York", "2026-03-07T12:00", 1) == ["2026-03-08T03:00-04:00"]


def test_several_skipped_times_run_once_together() -> None:
    found = slots("*/15 2 * * *", "Europe/Vienna", "2026-03-28T12:00", 2)
    assert found == ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]
    assert slots("0 */2 * * *", "Europe/Vienna", "2026-03-29T00:00", 2) == [
        "2026-03-29T03:00+02:00",
        "2026-03-29T04:00+02:00",
    ]


@pytest.mark.fault(12)
def test_a_doubled_time_runs_once() -> None:
    assert slots("30 2 * * *", "Europe/Vienna", "2026-10-24T12:00", 2) == [
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ]
    assert slots("0 */2 * * *", "Europe/Vienna", "2026-10-25T00:00", 2) == [
        "2026-10-25T02:00+02:00",
        "2026-10-25T04:00+01:00",
    ]
    assert slots("*/30 2 * * *", "Europe/Vienna", "2026-10-25T00:00", 3) == [
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:00+01:00",
    ]


def test_the_second_coming_of_a_doubled_time_is_not_taken_for_the_first() -> None:
    inside_second = ms_of(datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=ZoneInfo("Europe/Vienna")))
    found = next_slot(Timetable(cron="30 2 * * *", timezone="Europe/Vienna"), inside_second)
    assert moment(found).isoformat() == "2026-10-26T01:30:00+00:00"


def test_a_change_of_half_an_hour() -> None:
    assert slots("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", 2) == [
        "2026-10-04T02:30+11:00",
        "2026-10-05T02:15+11:00",
    ]
    assert slots("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00", 2) == [
        "2026-04-05T01:45+11:00",
        "2026-04-06T01:45+10:30",
    ]


def test_a_skipped_midnight_and_a_skipped_day() -> None:
    assert slots("0 0 * * *", "America/Havana", "2026-03-07T12:00", 2) == [
        "2026-03-08T01:00-04:00",
        "2026-03-09T00:00-04:00",
    ]
    assert slots("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00", 2) == [
        "2011-12-31T00:00+14:00",
        "2011-12-31T12:00+14:00",
    ]


def test_a_steady_pace_keeps_its_pace_when_clocks_change() -> None:
    for start in ("2026-03-28T22:00", "2026-10-24T22:00"):
        for cron, minutes in (("*/10 * * * *", 10), ("0 * * * *", 60), ("30 0-23 * * *", 60)):
            table = Timetable(cron=cron, timezone="Europe/Vienna")
            at = next_slot(table, utc(start))
            for _ in range(60):
                following = next_slot(table, at)
                assert following - at == minutes * 60_000
                at = following


@pytest.mark.fault(12)
def test_times_beyond_2038() -> None:
    assert next_slot(Timetable(cron="0 6 * * *"), utc("2038-01-19T03:14:08")) == utc("2038-01-19T06:00:00")
    assert slots("30 2 * * *", "Europe/Vienna", "2050-03-26T12:00", 1) == ["2050-03-27T03:00+02:00"]
    assert next_slot(Timetable(cron="0 0 29 2 *"), utc("2096-03-01T00:00:00")) == utc("2104-02-29T00:00:00")


def test_milliseconds_do_not_hide_a_slot() -> None:
    table = Timetable(cron="0 12 * * *")
    noon = utc("2026-01-01T12:00:00")
    assert next_slot(table, noon - 1) == noon
    assert next_slot(table, noon) == noon + 86_400_000
    assert next_slot(table, noon + 1) == noon + 86_400_000


def test_zones_are_checked_with_a_suggestion() -> None:
    validate_timezone("UTC")
    validate_timezone("Australia/Lord_Howe")
    for name in ("Europe/Wien", "", "America", "../etc/passwd", "/etc/localtime", "localtime", "x\0y", "a" * 300):
        with pytest.raises(ValueError, match="unknown time zone"):
            validate_timezone(name)
    with pytest.raises(ValueError, match='did you mean "Europe/Vienna"'):
        validate_timezone("Europe/Viena")


FIELDS = st.tuples(
    st.sampled_from(["*", "0", "30", "*/7", "10-20", "5,55", "15-45/10"]),
    st.sampled_from(["*", "2", "1-3", "*/2", "0", "23", "0-23"]),
    st.sampled_from(["*", "1", "L", "15,29", "*/10", "31"]),
    st.sampled_from(["*", "MAR,OCT", "1-12/5", "4,10,11"]),
    st.sampled_from(["*", "0", "7", "MON-FRI", "SAT-SUN", "*/2"]),
)
TIMES = st.integers(utc("2024-01-01T00:00:00"), utc("2042-01-01T00:00:00"))


@settings(max_examples=60)
@given(FIELDS, st.sampled_from(ZONES), TIMES, st.integers(0, 400 * 86_400_000))
def test_slots_are_ordered_and_the_latest_is_the_latest(
    fields: tuple[str, ...], zone: str, start: Ms, away: int
) -> None:
    table = Timetable(cron=" ".join(fields), timezone=zone)
    slot = next_slot(table, start)
    assert slot > start
    assert next_slot(table, slot - 1) == slot
    latest = latest_slot(table, slot, slot + away)
    assert slot <= latest <= slot + away
    assert latest == slot or next_slot(table, latest - 1) == latest
    assert next_slot(table, latest) > slot + away


@settings(max_examples=60)
@given(FIELDS, st.sampled_from(ZONES), TIMES)
def test_no_slot_lies_between_a_time_and_the_next_slot(fields: tuple[str, ...], zone: str, start: Ms) -> None:
    table = Timetable(cron=" ".join(fields), timezone=zone)
    slot = next_slot(table, start)
    for share in (3, 7, 19):
        between = start + (slot - 1 - start) * share // 20
        assert next_slot(table, between) == slot


def complaint(check: Callable[[str], object], text: str) -> str | None:
    try:
        check(text)
    except ValueError as refused:
        return str(refused)
    return None


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    assert "cron" in (complaint(parse_cron, text) or "cron")


@given(st.text(max_size=40))
def test_any_name_is_a_zone_or_refused(name: str) -> None:
    assert "time zone" in (complaint(zone_of, name) or "time zone")
