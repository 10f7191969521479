"""Texts that can be sent, stored and read again: half a sign, as in a file name that is no UTF-8, is none.

And words that many texts need.
"""

import json
from typing import Any

_HALF = "\\ud"  # how JSON writes the halves of a sign; two that belong together begin so as well
_COMPACT = json.JSONEncoder(separators=(",", ":"))


def plural(number: int, noun: str) -> str:
    """`1 job`, `2 jobs`"""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def whole(text: str) -> str:
    """The text with half signs written out, as `\\udcff`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def json_of(value: Any) -> str:
    """JSON that whoever is strict about signs can read, as the scripts in Redis are."""
    text = _COMPACT.encode(value)
    return text if _HALF not in text else _COMPACT.encode(_whole(value))


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, dict):
        return {_whole(name): _whole(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_whole(each) for each in value]
    return value
