"""Texts that can be sent, stored and read again: half a sign, as in a file name that is no UTF-8, is none.

Texts from outside, made safe to show. And words that many texts need.
"""

import json
import re
from typing import Any

# Control characters but tab and newline, and what reorders or breaks lines behind the reader's back.
_UNSEEN = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_CONTROLS = re.compile(f"[{_UNSEEN}]")
_NOT_IN_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # marks of direction may stand in ids of jobs
_SPACES = re.compile(r"\s+")
_HALF = "\\ud"  # how JSON writes the halves of a sign; two that belong together begin so as well
_COMPACT = json.JSONEncoder(separators=(",", ":"))


def plural(number: int, noun: str) -> str:
    """`1 job`, `2 jobs`"""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def whole(text: str) -> str:
    """The text with half signs written out, as `\\udcff`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def printable(text: str) -> str:
    """Without control characters but tab and newline; half signs are written out."""
    if text.isprintable():
        return text
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", whole(text.replace("\r\n", "\n").replace("\r", "\n")))


def one_line(text: str, limit: int = 0) -> str:
    """Runs of white space become one space; with a limit, cut there with an ellipsis."""
    line = _SPACES.sub(" ", printable(text)).strip()
    return f"{line[: limit - 1]}…" if limit and len(line) > limit else line


def in_a_line(text: str) -> bool:
    """Whether it can stand in a line of a log as it is: nothing in it ends the line or moves a cursor."""
    return text.isprintable() or not _NOT_IN_A_LINE.search(text)


def json_shown(text: str) -> str:
    """JSON that means the same, with the control characters that JSON itself lets pass written out, as `\\u009b`."""
    return text if text.isascii() else _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


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
