"""Durations as plans write them: `30s`, `10m`, `1h30m`, `250ms`, `2d`, or a number of seconds.

Whole milliseconds, from zero to 366 days: what a clock in Redis can hold and a person can mean.
"""

import math
import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

LONGEST = timedelta(days=366)
MILLISECOND = timedelta(milliseconds=1)
NO_TIME = timedelta(0)
UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_NUMBER = r"\d{1,9}(?:\.\d{1,9})?"
PATTERN = rf"(?=\d)(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:\d{{1,12}}ms)?"
_TEXT = re.compile(PATTERN, re.ASCII)
_PART = re.compile(r"([\d.]+)(ms|[dhms])", re.ASCII)
HINT = "write a duration such as 30s, 10m, 1h30m or 250ms"


def parse_duration(value: Any) -> timedelta:
    """Text, a number of seconds or a timedelta. Raises ValueError with a message for people."""
    if isinstance(value, timedelta):
        return _bounded(value, str(value))
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_seconds(value)
    raise ValueError(f"{_shown(value)} is not a duration; {HINT}")


def format_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads back as the same duration."""
    left = value // MILLISECOND
    parts = []
    for unit, size in UNITS_MS.items():
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


SHORT_LONGEST = f"at most {format_duration(LONGEST)}"


def _from_text(text: str) -> timedelta:
    if text[:1] == "-":
        raise ValueError(f"{_shown(text)} is negative; {HINT}")
    if not _TEXT.fullmatch(text):
        raise ValueError(f"{_shown(text)} is not a duration; {HINT}")
    total_ms = sum(Decimal(count) * UNITS_MS[unit] for count, unit in _PART.findall(text))
    return _from_ms(total_ms, text)


def _from_seconds(value: float) -> timedelta:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a duration; {HINT}")
    if abs(value) > LONGEST.total_seconds():  # also what is too long to be shown
        raise ValueError(f"so many seconds are {'negative' if value < 0 else 'too long'}: {SHORT_LONGEST}")
    return _from_ms(Decimal(str(value)) * 1000, f"{value} s")


def _from_ms(total_ms: Decimal | int, shown: str) -> timedelta:
    if total_ms > LONGEST // MILLISECOND:
        raise ValueError(f"{_shown(shown)} is too long: {SHORT_LONGEST}")
    if total_ms != int(total_ms):
        raise ValueError(f"{_shown(shown)} is not a whole number of milliseconds")
    return _bounded(timedelta(milliseconds=int(total_ms)), shown)


def _bounded(value: timedelta, shown: str) -> timedelta:
    if value < NO_TIME:
        raise ValueError(f"{_shown(shown)} is negative; {HINT}")
    if value > LONGEST:
        raise ValueError(f"{_shown(shown)} is too long: {SHORT_LONGEST}")
    if value.microseconds % 1000:
        raise ValueError(f"{_shown(shown)} is not a whole number of milliseconds")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _positive(value: timedelta) -> timedelta:
    if value == NO_TIME:
        raise ValueError("must be longer than zero")
    return value


DURATION_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "pattern": f"^{PATTERN}$"},
        {"type": "number", "minimum": 0, "maximum": LONGEST.total_seconds()},
    ],
    "description": "30s, 10m, 1h30m, 250ms, 2d, or a number of seconds",
}
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(DURATION_SCHEMA),
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
