"""YAML to plain values: the safe part of YAML 1.2, read event by event so that nothing is built before it is bounded.

Numbers, `true`, `false` and `null` are what they look like, everything else is text as it was written: a date stays
text, `1.10` never becomes an id. What YAML 1.1 and 1.2 read as different values (`on`, `0777`, `1:30`, `1e3`) is
refused.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from moie_worker.plan.paths import Path

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

CONSTANTS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
DISPUTED_WORDS = {"yes", "no", "on", "off"}
MERGE = "<<"
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?[0-9]+\.[0-9]*(?:[eE][-+][0-9]+)?|\.[0-9]+(?:[eE][-+][0-9]+)?")
_DISPUTED = re.compile(
    r"""[-+]?(?: 0[0-9_]+ | 0[xob][0-9a-fA-F_]+ | [0-9][0-9_]*_[0-9_.]*  # octal or not, a number or a name
    | [0-9]+(?::[0-5]?[0-9])+(?:\.[0-9]*)?                             # minutes and seconds
    | (?:[0-9]+\.?[0-9]*|\.[0-9]+)[eE][-+]?[0-9]+ | \.[0-9]+
    | \.(?:inf|Inf|INF|nan|NaN|NAN) )""",
    re.VERBOSE,
)
MAX_DIGITS = 20
_NOTHING = object()


class UnreadableError(ValueError):
    """The document cannot be read; `path` and `line` say where, as far as they are known."""

    def __init__(self, message: str, path: Path = (), line: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.line = line

    def below(self, key: str | int) -> "UnreadableError":
        """The same, seen from the list or mapping that holds the place."""
        return UnreadableError(str(self), (key, *self.path), self.line)


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is being read."""

    value: Any  # a list or a dict
    anchor: str | None
    before: int  # values read before it
    key: Any = _NOTHING
    merging: bool = False  # the key is a plain <<
    merges: list[dict[str, Any]] = field(default_factory=list)

    def here(self) -> Iterator[str | int]:
        """The last part of the path of what comes next; none for a key."""
        if isinstance(self.value, list):
            yield len(self.value)
        elif self.key is not _NOTHING:
            yield self.key


@dataclass(slots=True)
class Reader:
    """Reads one document. `spots` collects where each value stands, and its text, when it is a dict."""

    max_depth: int
    max_values: int
    spots: dict[Path, tuple[int, str]] | None = None
    frames: list[_Frame] = field(default_factory=list)
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)
    values: int = 0
    documents: int = 0
    root: Any = None

    def read(self, text: str) -> Any:
        """The document's value. Raises UnreadableError."""
        try:
            for event in yaml.parse(text, Loader=Loader):
                self._take(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            message = f"is not valid YAML: {error.problem or error.context}"
            raise UnreadableError(message, line=mark.line + 1 if mark else None) from error
        except yaml.YAMLError as error:
            raise UnreadableError(f"is not valid YAML: {error}") from error
        return self.root

    def _take(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._open({}, event)
            case yaml.SequenceStartEvent():
                self._open([], event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise self._refused(
                        "holds more than one document; a plan is one document, without a second ---", event
                    )

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._refuse_tag(event)
        try:
            value = event.value if event.style else plain(event.value)
        except ValueError as error:
            raise self._refused(str(error), event) from error
        self._count(1, event)
        self._place(value, event)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1)

    def _open(self, value: list[Any] | dict[str, Any], event: yaml.CollectionStartEvent) -> None:
        self._refuse_tag(event)
        if len(self.frames) >= self.max_depth:
            raise self._refused(f"is nested deeper than {self.max_depth} levels", event)
        self._refuse_key(value, event)
        self._count(1, event)
        self._mark(event)
        self.frames.append(_Frame(value, event.anchor, self.values - 1))

    def _close(self) -> None:
        frame = self.frames.pop()
        if isinstance(frame.value, dict):
            for merged in frame.merges:
                frame.value.update({key: value for key, value in merged.items() if key not in frame.value})
        self._place(frame.value, None)
        if frame.anchor is not None:
            self.anchors[frame.anchor] = (frame.value, self.values - frame.before)

    def _alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self.anchors:
            raise self._refused(f"*{event.anchor} refers to nothing before it", event)
        value, size = self.anchors[event.anchor]
        self._count(size, event)
        self._place(value, event)

    def _place(self, value: Any, event: yaml.NodeEvent | None) -> None:
        if event is not None:
            self._refuse_key(value, event)
            self._mark(event)
        if not self.frames:
            self.root = value
            return
        frame = self.frames[-1]
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif frame.key is _NOTHING:
            self._key(frame, value, event)
        else:
            self._pair(frame, value, event)

    def _key(self, frame: _Frame, key: str, event: yaml.NodeEvent | None) -> None:
        if key in frame.value:
            raise self._refused(f"the key {key!r} is there twice; keep one", event)
        frame.key = key
        # Only a plain << merges; a quoted one is a key like any other.
        frame.merging = key == MERGE and isinstance(event, yaml.ScalarEvent) and bool(event.implicit[0])

    def _pair(self, frame: _Frame, value: Any, event: yaml.NodeEvent | None) -> None:
        key, frame.key = frame.key, _NOTHING
        if not frame.merging:
            frame.value[key] = value
            return
        merged = value if isinstance(value, list) else [value]
        if not all(isinstance(one, dict) for one in merged):
            raise self._refused("<< merges mappings only", event)
        frame.merges.extend(merged)

    def _count(self, more: int, event: yaml.NodeEvent) -> None:
        self.values += more
        if self.values > self.max_values:
            raise self._refused(
                f"holds more than {self.max_values} values, aliases (*) counted as what they stand for", event
            )

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag is not None:
            raise self._refused(f"the tag {event.tag} is not accepted; remove it", event)

    def _refuse_key(self, value: Any, event: yaml.NodeEvent) -> None:
        if not self.frames:
            return
        frame = self.frames[-1]
        if isinstance(frame.value, dict) and frame.key is _NOTHING and not isinstance(value, str):
            raise self._refused("a key must be text; write it in quotes", event)

    def _mark(self, event: yaml.NodeEvent) -> None:
        if self.spots is not None:
            self.spots.setdefault(self._path(), (_line(event), getattr(event, "value", "")))

    def _path(self) -> Path:
        return tuple(part for frame in self.frames for part in frame.here())

    def _refused(self, message: str, event: yaml.Event | None) -> UnreadableError:
        return UnreadableError(message, self._path(), _line(event) if event else None)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def plain(text: str) -> str | int | float | bool | None:
    """What an unquoted scalar means. Raises ValueError where readers of YAML disagree."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if text.lower() in DISPUTED_WORDS:
        raise ValueError(f'{text} is a word to some readers and true or false to others; write true, false or "{text}"')
    if text[0] not in "+-.0123456789":
        return text
    if _INT.fullmatch(text):
        return _whole(text)
    if _FLOAT.fullmatch(text):
        return _real(text)
    if _DISPUTED.fullmatch(text):
        raise ValueError(f'{text} is read in different ways; write a plain decimal number, or "{text}"')
    return text


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"{text[:MAX_DIGITS]}… is too big a number; write it in quotes if it is a name")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(
            f'{text[:MAX_DIGITS]} is too big a number; write it in quotes if it is a name: "{text[:MAX_DIGITS]}"'
        )
    return value
