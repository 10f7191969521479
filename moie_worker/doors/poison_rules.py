"""What single values of a message must be like before kombu and Celery may touch them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from moie_worker.plan.texts import in_a_line

LONGEST_ID = 255
SHORT = "a short text without control characters"
# Python also knows codecs that unpack: a small message could become a huge one.
ENCODINGS = frozenset({"utf-8", "utf8", "us-ascii", "ascii", "latin-1", "iso-8859-1", "binary", "ascii-8bit"})

Check = Callable[[Any], bool]


class UnfitError(Exception):
    """The message is not fit for a worker; the text says why."""


def require(values: Mapping[str, Any], name: str, check: Check, wanted: str) -> None:
    """Raise UnfitError unless the value of that name passes the check; one that is absent is None."""
    if not check(values.get(name)):
        raise UnfitError(f"{name!r} is {'missing' if name not in values else 'not ' + wanted}")


def of_kind(kind: type) -> Check:
    """Values of that class."""
    return lambda value: isinstance(value, kind)


def none_or(check: Check) -> Check:
    """The value may be absent."""
    return lambda value: value is None or check(value)


def short(value: Any) -> bool:
    """A text that may be an id or a name. Celery writes them into the log as they are."""
    return isinstance(value, str) and len(value) <= LONGEST_ID and in_a_line(value)


def integer(value: Any) -> bool:
    """A whole number that every reader of JSON holds exactly."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53


def number(value: Any) -> bool:
    """A number that can be reckoned with."""
    return integer(value) or (isinstance(value, float) and math.isfinite(value))


def limits(value: Any) -> bool:
    """Two time limits in seconds, each of which may be absent."""
    pair = isinstance(value, list | tuple) and len(value) == 2
    return pair and all(one is None or (number(one) and one >= 0) for one in value)


def encoding_of_texts(value: Any) -> bool:
    """One of the encodings that unpack nothing."""
    return short(value) and value.lower() in ENCODINGS


def kind_of(value: Any) -> str:
    """The class of a value, for messages."""
    return type(value).__name__


_ID = (lambda value: short(value) and bool(value), SHORT)
_TEXT = (none_or(of_kind(str)), "a text")
_NAME = (none_or(short), SHORT)
HEADERS: Mapping[str, tuple[Check, str]] = {
    "task": _ID,
    "id": _ID,
    "retries": (none_or(lambda value: integer(value) and value >= 0), "a whole number"),
    "timelimit": (none_or(limits), "two numbers"),
    "shadow": _NAME,
    "group": _NAME,
    "root_id": _NAME,
    "parent_id": _NAME,
    "origin": _NAME,
    "group_index": (none_or(integer), "a whole number"),
    "replaced_task_nesting": (none_or(integer), "a whole number"),
    "argsrepr": _TEXT,
    "kwargsrepr": _TEXT,
    "ignore_result": (none_or(of_kind(bool)), "true or false"),
    "stamped_headers": (none_or(of_kind(list)), "a list"),
    "stamps": (none_or(of_kind(dict)), "an object"),
}
