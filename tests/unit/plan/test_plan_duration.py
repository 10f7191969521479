"""Durations mean what they say, and are written as they are read."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moie_worker.plan.duration import LONGEST, format_duration, parse_duration

durations = st.integers(0, LONGEST // timedelta(milliseconds=1)).map(lambda count: timedelta(milliseconds=count))


@given(durations)
def test_what_is_written_is_read_back(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@given(durations)
def test_seconds_as_a_number_are_the_same_duration(duration: timedelta) -> None:
    assert parse_duration(duration.total_seconds()) == duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("10m", 600),
        ("1h30m", 5400),
        ("250ms", 0.25),
        ("1.5h", 5400),
        ("2d", 172_800),
        ("1m500ms", 60.5),
        ("0s", 0),
        (30, 30),
        (0.5, 0.5),
        (timedelta(minutes=1), 60),
    ],
)
def test_a_duration_is_understood(text: object, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    ["", "s", "5", "-5s", "5 s", "5S", "1m1h", "1s1s", "PT5M", "٣s", "1..5s", "9" * 400 + "s", "1e3s", "367d",
     -1, 1e300, float("nan"), float("inf"), 10**400, 0.00005, True, None, [], timedelta(days=400), timedelta(days=-1),
     timedelta(microseconds=5)],
)  # fmt: skip
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"duration|negative|too long|millisecond"):
        parse_duration(value)


@given(st.text(max_size=12))
def test_no_text_does_anything_but_mean_a_duration_or_be_refused(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert timedelta(0) <= duration <= LONGEST
