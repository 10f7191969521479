"""Loads the Lua files: one file an operation, whose header says what it takes and returns.

A header names its parts in comments: `-- KEYS name …`, `-- ARGV name …`, `-- RETURNS …` and, where a file builds on
others, `-- USES lib …`; a library may use others too, and each comes once, after those that it uses. A call is checked
against the header, so a wrong call fails in Python with a name, not in Lua with a number.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.commands.core import Script

from moie_worker.plan import flow, limits

HEADER = re.compile(r"^-- (KEYS|ARGV|USES)[ \t]*(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Source:
    """The text of an operation with the names of what it takes."""

    text: str
    keys: tuple[str, ...]
    args: tuple[str, ...]


@cache
def source(name: str, replaced: tuple[tuple[str, str], ...] = ()) -> Source:
    """Read `lua/{name}.lua` and the files that it uses, some of them perhaps replaced by another text."""
    text = _read(name)
    header = _header(text)
    libraries: dict[str, str] = {}
    _collect(header.get("USES", ()), dict(replaced), libraries)
    parts = [_limits(), *libraries.values(), text]
    return Source("\n".join(parts), header.get("KEYS", ()), header.get("ARGV", ()))


def _header(text: str) -> dict[str, tuple[str, ...]]:
    return {kind: tuple(re.sub(r"\(.*?\)", "", names).split()) for kind, names in HEADER.findall(text)}


def _collect(used: Sequence[str], replaced: Mapping[str, str], found: dict[str, str]) -> None:
    for name in used:
        if name not in found:
            text = replaced.get(name) or _read(f"lib_{name}")
            _collect(_header(text).get("USES", ()), replaced, found)
            found[name] = text


def _limits() -> str:
    """The numbers of the protocol, as a table that every script can read."""
    names = {name: value for name, value in vars(limits).items() if name.isupper()}
    rows = ", ".join(f"{name} = {value}" for name, value in sorted(names.items()))
    return f"local LIMITS = {{{rows}, SOVEREIGN = {flow.SOVEREIGN}}}"


def _read(name: str) -> str:
    return (files(__package__) / "lua" / f"{name}.lua").read_text(encoding="utf-8")


class Scripts:
    """The operations of one Redis, sent by digest. `replaced` exchanges libraries: a test brings a time of its own."""

    def __init__(self, client: "Redis", replaced: Mapping[str, str] | None = None) -> None:
        self._client = client
        self._replaced = tuple((replaced or {}).items())
        self._loaded: dict[str, Script] = {}

    def run(self, name: str, keys: Sequence[str] = (), args: Mapping[str, Any] | Sequence[Any] = ()) -> Any:
        """Run one operation; `args` by name, or in order for the last one to be repeated."""
        wanted = source(name, self._replaced)
        if len(keys) != len(wanted.keys):
            raise TypeError(f"{name}.lua takes keys {wanted.keys}, got {len(keys)}")
        given = _ordered(name, wanted.args, args)
        try:
            return self._script(name)(keys=list(keys), args=given)
        except UnicodeEncodeError:
            return self._script(name)(keys=list(keys), args=[_escaped(one) for one in given])

    def _script(self, name: str) -> Script:
        if name not in self._loaded:
            self._loaded[name] = self._client.register_script(source(name, self._replaced).text)
        return self._loaded[name]


def _escaped(value: Any) -> Any:
    """Half a sign, as in the error of a file whose name is no UTF-8, cannot be sent and would take the rest with it."""
    return value.encode("utf-8", "backslashreplace") if isinstance(value, str) else value


def _ordered(name: str, wanted: tuple[str, ...], args: Mapping[str, Any] | Sequence[Any]) -> list[Any]:
    if not isinstance(args, Mapping):
        if len(args) < len(wanted):
            raise TypeError(f"{name}.lua takes {wanted}, got {len(args)} arguments")
        return list(args)
    if set(args) != set(wanted):
        raise TypeError(f"{name}.lua takes {wanted}, got {tuple(args)}")
    return [args[key] for key in wanted]
