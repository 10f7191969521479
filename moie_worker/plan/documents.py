"""Bytes to plain values: YAML and JSON alike, told apart by content, every limit checked before any heavy work."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from moie_worker.errors import DocumentError
from moie_worker.plan.paths import Path, problem
from moie_worker.plan.yaml_reader import MAX_DIGITS, Reader, UnreadableError

MIB = 1024 * 1024
MAX_BYTES = 32 * MIB
MAX_JOBS = 200_000
MAX_DEPTH = 32
MAX_VALUES = 5_000_000  # 25 for each of the jobs
MAX_INT = 2**53 - 1  # what every reader of JSON holds exactly
LOCATED_CHARS = 4 * MIB  # in longer documents problems have a path only: finding lines means reading again
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LOOKS_LIKE_JSON = re.compile(r'\s*(?:\{\s*["}]|\[)')


@dataclass(frozen=True)
class Document:
    """A document that was read: text, lists, mappings, numbers, true, false and null within the limits."""

    name: str  # of the file, for messages
    text: str
    data: Any

    @cached_property
    def _spots(self) -> dict[Path, tuple[int, str]]:
        spots: dict[Path, tuple[int, str]] = {}
        if len(self.text) <= LOCATED_CHARS:
            try:
                Reader(MAX_DEPTH, MAX_VALUES, spots).read(self.text)
            except UnreadableError:  # JSON that is not YAML: what was located until then is good
                return spots
        return spots

    def line(self, path: Path) -> int | None:
        """The line of a place, counted from 1, or of what holds it; None when unknown."""
        for length in range(len(path), 0, -1):
            if spot := self._spots.get(path[:length]):
                return spot[0]
        return None

    def written(self, path: Path) -> str | None:
        """The text of a scalar as it stands in the document, such as 1.10; None when unknown."""
        spot = self._spots.get(path)
        return spot[1] if spot else None


def parse(data: bytes, name: str) -> Document:
    """Read a document. Raises DocumentError."""
    try:
        text = _decode(data)
        value = _read_json(text, name) if text.lstrip()[:1] in ("{", "[") else _read_yaml(text)
        _check_values(value)
    except UnreadableError as refused:
        message = str(refused) if refused.path else f"{name}: {refused}"
        raise DocumentError([problem(refused.path, message, refused.line)]) from refused
    return Document(name, text, value)


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise UnreadableError(
            f"is {len(data) / MIB:.1f} MiB; at most {MAX_BYTES // MIB} MiB are read: load it in parts"
        )
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UnreadableError("is UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(
            f"is not UTF-8: byte {error.start} is 0x{data[error.start]:02x}; save it as UTF-8", line=line
        ) from error
    if found := _CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise UnreadableError(f"holds the control character U+{ord(found[0]):04X}; remove it", line=line)
    if not text.strip():
        raise UnreadableError("is empty; a plan has at least `version: 3` and `phases`")
    return text


def _read_yaml(text: str) -> Any:
    value = Reader(MAX_DEPTH, MAX_VALUES).read(text)
    if value is None:
        raise UnreadableError("is empty; a plan has at least `version: 3` and `phases`")
    return value


def _read_json(text: str, name: str) -> Any:
    """A text that starts like JSON; YAML's flow style starts like that too."""
    try:
        return json.loads(text, object_pairs_hook=_pairs, parse_constant=float, parse_int=_whole)
    except RecursionError as error:
        raise UnreadableError(f"is nested deeper than {MAX_DEPTH} levels") from error
    except _TwiceError as error:
        raise _located(text, str(error)) from error
    except json.JSONDecodeError as error:
        if name.endswith(".json") or _LOOKS_LIKE_JSON.match(text):
            raise UnreadableError(f"is not valid JSON: {error.msg}, column {error.colno}", line=error.lineno) from error
        return _read_yaml(text)


def _located(text: str, message: str) -> UnreadableError:
    """The error with its place; the reader of YAML reads nearly all JSON and knows where it is."""
    try:
        _read_yaml(text)
    except UnreadableError as located:
        if str(located) == message:
            return located
    return UnreadableError(message)


class _TwiceError(ValueError):
    """A key that is there twice in one object."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _TwiceError(f"the key {_first_twice(pairs)!r} is there twice; keep one")
    return value


def _first_twice(pairs: list[tuple[str, Any]]) -> str:
    counts = Counter(key for key, _ in pairs)
    return next(key for key, count in counts.items() if count > 1)


def _whole(text: str) -> int | float:
    """Numbers of many digits take long to read and are refused with their path like any that is not finite."""
    return int(text) if len(text) <= MAX_DIGITS else math.inf


def _check_values(value: Any, depth: int = 0) -> int:
    """How many values there are. Refuses what is too deep, too many, or not to be trusted.

    Escapes and aliases bring in what the text itself does not show, so this looks at the values.
    """
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        return _check_children(value.items(), depth)
    elif isinstance(value, list):
        return _check_children(enumerate(value), depth)
    elif isinstance(value, int) and abs(value) > MAX_INT:
        raise UnreadableError(f"{value} is too big a number: at most {MAX_INT}; write it in quotes if it is a name")
    elif isinstance(value, float) and not math.isfinite(value):
        raise UnreadableError("is not a number that fits; write it in quotes if it is a name")
    return 1


def _check_children(children: Iterable[tuple[str | int, Any]], depth: int) -> int:
    if depth >= MAX_DEPTH:
        raise UnreadableError(f"is nested deeper than {MAX_DEPTH} levels")
    count = 1
    for key, child in children:
        try:
            if isinstance(key, str):
                _check_text(key)
            count += _check_values(child, depth + 1)
        except UnreadableError as refused:
            raise refused.below(key) from None
        if count > MAX_VALUES:
            raise UnreadableError(f"holds more than {MAX_VALUES} values")
    return count


def _check_text(text: str) -> None:
    if not text.isprintable() and (found := _CONTROL.search(text)):
        raise UnreadableError(f"holds the control character U+{ord(found[0]):04X}; remove it")
