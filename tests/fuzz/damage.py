"""Damage to plain values and to bytes: a few draws of chance each, so that a million of them take minutes."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 10**6, 2**31, 2**53 - 1, 2**53, 10**30, 0.5, -0.0, 1e308, "", " ", "0",
    "1", "true", "null", "~", "on", "1.10", "1:30", "0777", "1e3", "<<", "*a", "&a", "!!int 3", "a: b", "- a",
    "x" * 300, "é", "ﬁ", "\u202e", "\ud7ff", "\ud800", "\x00", "\U0001f600", "\u2028", "a\nb", "a\tb", "\\", "'", '"',
    "{}", "[]", "@daily", "0 6 * * *", "0 0 30 2 *", "*/0 * * * *", "* * * * * *", "60 25 * * 8", "1-0 * * * *",
    "L L L L L", "10m", "1h30m", "0s", "-1s", "1e9h", "99999999999d", "0.0001s", "P1D", "UTC", "Europe/Berlin",
    "../../etc/passwd", "/etc/localtime", "2025-12-31T06:00:00Z", "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59", "cyclic", "pending", "completed", "sequential", "parallel", "required", "shell",
    "http", "arxiv_scan", "false", "exit 1", [], {}, [[]], [{}], {"": ""}, {"a": {"b": {"c": {}}}}, {"all": 3},
    {"every": "10s"}, {"cron": "0 6 * * *"}, {"use": "shell", "with": {"cmd": "true"}},
    {"expires": "2h", "two_persons": True}, ["a", "a"], [None], [1, 2], {"max": 1000, "factor": 100, "cap": "9d"},
)  # fmt: skip
TOKENS = (
    b"{", b"}", b"[", b"]", b":", b",", b'"', b"'", b"\n", b"  ", b"\t", b"- ", b"? ", b": ", b"#", b"|\n",
    b">-\n", b"&a ", b"*a", b"!!str ", b"!", b"%YAML 1.1\n", b"---\n", b"...\n", b"<<: *a", b"\\u0000",
    b"\\ud800", b"\\", b"\x00", b"\x7f", b"\x85", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80",
    b"\xc3\xa9", b"\xe2\x80\xa8", b"0", b"1", b"-", b"9" * 400, b"1e999", b"NaN", b"Infinity", b"null", b"true",
    b"~", b"\r\n", b"\r", b'"id": "a"', b"id: a", b"depends_on: [a]", b'"depends_on": ["a"]', b"version: 3",
    b'"version": 3', b"jobs:", b"[" * 40, b'{"a":' * 40, b"a: &b {c: *b}",
)  # fmt: skip
Spot = tuple[Any, Any]
"""A list or mapping, and a place in it."""


def spots(value: Any) -> Iterator[Spot]:
    """Every place of a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from spots(inner)


def damage_value(value: Any, rng: Random, names: Sequence[str], odd: Sequence[Any] = ODD) -> None:
    """Change the value in one to three places: other values, other names, parts gone, doubled, exchanged."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        found = list(spots(value))
        if not found:
            return
        holder, key = rng.choice(found)
        match rng.randrange(7):
            case 0 | 1:
                holder[key] = copied(rng.choice(odd))
            case 2:
                del holder[key]
            case 3:
                other, there = rng.choice(found)
                if there in other if isinstance(other, dict) else there < len(other):
                    holder[key] = copied(other[there])
            case 4 if isinstance(holder, list):
                holder.insert(rng.randrange(len(holder) + 1), copied(holder[key]))
            case 4 | 5 if isinstance(holder, dict):
                holder[rng.choice(names)] = copied(rng.choice((holder.get(key), rng.choice(odd))))
            case _ if isinstance(holder, list):
                rng.shuffle(holder)
            case _:
                holder[str(key) + rng.choice((" ", "s", "\u0301", ""))] = holder.pop(key)


def copied(value: Any) -> Any:
    """A copy of plain values, so that a damaged place is damaged once and nothing holds itself."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def damage_bytes(data: bytes, rng: Random, other: bytes) -> bytes:
    """Change the bytes in one to three places, with parts of `other` among what is put in."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(out) + 1)
        end = min(len(out), at + rng.choice((1, 1, 1, 2, 8, 64)))
        match rng.randrange(6):
            case 0:
                out[at:end] = rng.choice(TOKENS)
            case 1:
                out[at:at] = rng.choice(TOKENS)
            case 2:
                del out[at:end]
            case 3:
                out[at:at] = out[at:end]
            case 4:
                begin = rng.randrange(len(other) + 1)
                out[at:at] = other[begin : begin + rng.randrange(1, 80)]
            case _:
                for place in range(at, end):
                    out[place] = rng.randrange(256)
    return bytes(out)
