"""How long to wait before the next attempt: exponential, capped, with full jitter."""

from datetime import timedelta
from math import log


def ceiling(attempt: int, base: timedelta, factor: float, cap: timedelta) -> timedelta:
    """The longest wait after the attempt of this number (1 is the first): base × factor^(attempt - 1), at most `cap`.

    Raises ValueError for an attempt below 1, a factor below 1 and a negative time.
    """
    if attempt < 1 or not factor >= 1 or min(base, cap) < timedelta(0):
        raise ValueError(f"back-off needs attempt >= 1, factor >= 1 and times >= 0: {attempt}, {factor}, {base}, {cap}")
    if base >= cap or not base:
        return min(base, cap)
    # By logarithms: the power itself overflows after a thousand attempts.
    if (attempt - 1) * log(factor) >= log(cap / base):
        return cap
    return min(base * factor ** (attempt - 1), cap)


def delay(attempt: int, base: timedelta, factor: float, cap: timedelta, dice: float) -> timedelta:
    """The wait itself: the share `dice` (0 <= dice < 1, drawn by the caller) of the ceiling, at most the ceiling."""
    return ceiling(attempt, base, factor, cap) * dice
