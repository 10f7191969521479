"""Places in a document, and how problems name them: `phases[2].jobs[0].schedule.cron: …`."""

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, TypeAlias

from moie_worker.errors import Problem

Path: TypeAlias = tuple[str | int, ...]

LONGEST_VALUE = 60
KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"), (int, "a number"), (float, "a number"),
    (str, "text"), (list, "a list"), (dict, "a mapping"),
)  # fmt: skip
_PLAIN = re.compile(r"[A-Za-z_$][\w$-]*", re.ASCII)


def show_path(path: Path) -> str:
    """The path as people write it; keys that are no plain names are quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN.fullmatch(part):
            text += f".{part[:LONGEST_VALUE]}"
        else:
            text += f"[{show_value(part)}]"
    return text.removeprefix(".")


def show_value(value: Any) -> str:
    """A value in one short line, without control characters."""
    text = json.dumps(value, default=str)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"


def kind_of(value: Any) -> str:
    """What a value is, in the words of people."""
    return next((name for kind, name in KINDS if isinstance(value, kind)), "null")


def problem(path: Path, message: str, line: int | None = None) -> Problem:
    """One line about one place; `line` counts from 1."""
    where = f"{show_path(path)}: " if path else ""
    return Problem(f"{where}{message}" + (f" (line {line})" if line else ""))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion to append to a message, empty when nothing is near."""
    near = get_close_matches(word[:LONGEST_VALUE].lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
