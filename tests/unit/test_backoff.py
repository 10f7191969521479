"""Exponential back-off with cap and full jitter."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moie_worker.plan.backoff import ceiling, delay

S = timedelta(seconds=1)
CAP = timedelta(seconds=60)
LENGTHS = st.timedeltas(timedelta(0), timedelta(days=1000))
FACTORS = st.floats(1, 1e6)
ATTEMPTS = st.integers(1, 10**6)


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    seconds = [ceiling(n, S, 2, CAP) / S for n in range(1, 9)]
    assert seconds == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_wait_is_a_share_of_the_ceiling() -> None:
    assert delay(3, S, 2, CAP, 0.0) == timedelta(0)
    assert delay(3, S, 2, CAP, 0.5) == 2 * S
    assert delay(3, S, 2, CAP, 0.999999999) <= 4 * S


def test_the_millionth_attempt_waits_the_cap() -> None:
    assert ceiling(10**6, S, 2, CAP) == CAP
    assert ceiling(10**6, timedelta(microseconds=1), 1.0000001, timedelta.max) < S
    assert ceiling(10**6, timedelta(microseconds=1), 2, timedelta.max) == timedelta.max


def test_a_factor_of_one_is_a_steady_wait_and_a_base_of_zero_none() -> None:
    assert ceiling(50, 3 * S, 1, CAP) == 3 * S
    assert ceiling(50, timedelta(0), 2, CAP) == timedelta(0)
    assert ceiling(1, 2 * CAP, 2, CAP) == CAP


@pytest.mark.parametrize(
    ("attempt", "base", "factor", "cap"),
    [(0, S, 2.0, CAP), (1, -S, 2.0, CAP), (1, S, 0.5, CAP), (1, S, float("nan"), CAP), (1, S, 2.0, -S)],
)
def test_nonsense_is_refused(attempt: int, base: timedelta, factor: float, cap: timedelta) -> None:
    with pytest.raises(ValueError, match="back-off needs"):
        ceiling(attempt, base, factor, cap)


@given(ATTEMPTS, LENGTHS, FACTORS, LENGTHS, st.floats(0, 1, exclude_max=True))
def test_the_wait_stays_within_the_ceiling_and_the_cap(
    attempt: int, base: timedelta, factor: float, cap: timedelta, dice: float
) -> None:
    assert timedelta(0) <= delay(attempt, base, factor, cap, dice) <= ceiling(attempt, base, factor, cap) <= cap


@given(ATTEMPTS, LENGTHS, FACTORS, LENGTHS)
def test_the_ceiling_never_falls(attempt: int, base: timedelta, factor: float, cap: timedelta) -> None:
    assert ceiling(attempt, base, factor, cap) <= ceiling(attempt + 1, base, factor, cap)
