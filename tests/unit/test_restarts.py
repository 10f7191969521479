"""When a part that died is started again."""

from collections.abc import Sequence

import pytest

from moie_worker.adapters.restarts import Deaths, Rules

RULES = Rules()


def after(lives: Sequence[tuple[float, float]]) -> Deaths:
    deaths = Deaths()
    for started, died in lives:
        deaths = deaths.another(started, died, RULES)
    return deaths


def test_delays_double_from_the_first() -> None:
    lives = [(20.0 * n, 20.0 * n + 1) for n in range(7)]
    assert [after(lives[: n + 1]).delay_s(RULES) for n in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]


def test_a_healthy_life_begins_anew() -> None:
    assert after([(0, 1), (2, 3), (5, 35)]).delay_s(RULES) == 0.5
    assert after([(0, 1), (2, 3), (5, 34.9)]).delay_s(RULES) == 2


@pytest.mark.parametrize(("last", "given_up"), [(59.9, True), (60.0, False)])
def test_five_deaths_within_a_minute_are_enough(last: float, given_up: bool) -> None:
    lives = [(0.0, 0.0), (1.0, 2.0), (3.0, 4.0), (5.0, 6.0), (50.0, last)]
    assert (after(lives).delay_s(RULES) is None) is given_up
