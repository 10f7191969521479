"""Texts from outside, made safe to keep and to show."""

import re

# Control characters but tab and newline, and what reorders or breaks lines behind the reader's back.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SPACES = re.compile(r"\s+")


def printable(text: str) -> str:
    """Without control characters but tab and newline, and valid UTF-8."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text.encode("utf-8", "replace").decode("utf-8"))


def one_line(text: str, limit: int = 0) -> str:
    """Runs of white space become one space; with a limit, cut there with an ellipsis."""
    line = _SPACES.sub(" ", printable(text)).strip()
    return f"{line[: limit - 1]}…" if limit and len(line) > limit else line
