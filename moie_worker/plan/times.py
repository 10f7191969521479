"""Points in time and lengths of time as the rules and the wire use them."""

from datetime import UTC, datetime, timedelta
from typing import TypeAlias

Ms: TypeAlias = int  # a point in time: milliseconds since 1970-01-01 UTC

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def to_ms(length: timedelta) -> int:
    """Whole milliseconds of a length of time, rounded down."""
    return length // MILLISECOND


def moment(at: Ms) -> datetime:
    """The aware datetime, in UTC, of a point in time."""
    return EPOCH + timedelta(milliseconds=at)


def ms_of(at: datetime) -> Ms:
    """The point in time of an aware datetime; of a local time that a clock change skips, the time of the jump."""
    return (at.astimezone(UTC) - EPOCH) // MILLISECOND
