"""Plan documents by chance. The same seed and number give the same document."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import yaml

from tests.fuzz.damage import TOKENS, copied, damage_bytes, damage_value
from tests.fuzz.plans import Value, good, older, planted
from tests.unit.plan.bad_plans import BAD_PLANS

ROOT = Path(__file__).parents[2]
NAMES = (
    "id", "task", "description", "status", "verification_cmd", "action", "timeout", "schedule", "retry",
    "overlap", "catch_up", "jitter", "grace", "start", "deadline", "queue", "priority", "estimate", "files",
    "risks", "depends_on", "env", "pass_env", "cwd", "on_lease_lost", "evidence", "expect_fail", "kept",
    "version", "meta", "phases", "reserved", "jobs", "name", "order", "approval", "every", "cron", "timezone",
    "use", "with", "max", "base", "cap", "factor", "boot_time", "mode", "current_phase", "last_heartbeat", "ids",
    "reason", "fields", "<<", "",
)  # fmt: skip


NAMED = re.compile(r'"\w+": "[^"]*"')
COMMENT = "# made by chance\n"
ALIASES = b"""version: 3
phases:
- id: 1
  name: n
  jobs:
  - &first {id: a, task: t, verification_cmd: &cmd "true", retry: &retry {max: 2, base: 1s}, env: {A: *cmd}}
  - {<<: *first, id: b, depends_on: [a]}
  - {<<: [*first, {id: x, queue: scan}], id: c, retry: *retry}
"""


class Sort(StrEnum):
    """How a document was made."""

    GOOD = "good, of v1, v2 and v3"
    PLANTED = "good but for an id or a name that is there twice, or a ring of jobs"
    DAMAGED = "values, names and parts damaged"
    BYTES = "bytes damaged"
    NOISE = "signs of JSON and YAML in any order"


WEIGHTS = {Sort.GOOD: 8, Sort.PLANTED: 16, Sort.DAMAGED: 32, Sort.BYTES: 38, Sort.NOISE: 6}


class Made(NamedTuple):
    """A document and the name of its file."""

    sort: Sort
    data: bytes
    name: str


def document(seed: int, number: int) -> Made:
    """The document of that number."""
    rng = Random(f"{seed} document {number}")
    (sort,) = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))
    name = rng.choice(("plan.json", "plan.yaml", "standard input"))
    return Made(sort, MAKERS[sort](rng), name)


def _good(rng: Random) -> bytes:
    return written(_any_good(rng), rng)


def _any_good(rng: Random) -> Value:
    return older(rng, rng.randint(1, 2)) if rng.random() < 0.4 else good(rng)


def _planted(rng: Random) -> bytes:
    return written(planted(rng), rng) if rng.random() < 0.8 else _name_twice(rng)


def _name_twice(rng: Random) -> bytes:
    text = json.dumps(_any_good(rng))
    found = rng.choice(list(NAMED.finditer(text)))
    return f"{rng.choice((COMMENT, ''))}{text[: found.end()]}, {found[0]}{text[found.end() :]}".encode()


def _damaged(rng: Random) -> bytes:
    value = copied(rng.choice(samples())) if rng.random() < 0.15 else _any_good(rng)
    damage_value(value, rng, NAMES)
    return written(value, rng)


def _bytes(rng: Random) -> bytes:
    data = rng.choice(texts()) if rng.random() < 0.4 else written(_any_good(rng), rng)
    return damage_bytes(data, rng, rng.choice(texts()))


def _noise(rng: Random) -> bytes:
    return b"".join(rng.choices(TOKENS, k=rng.randint(0, 30)))


MAKERS: dict[Sort, Callable[[Random], bytes]] = {
    Sort.GOOD: _good,
    Sort.PLANTED: _planted,
    Sort.DAMAGED: _damaged,
    Sort.BYTES: _bytes,
    Sort.NOISE: _noise,
}


@cache
def texts() -> tuple[bytes, ...]:
    """The samples as they were written, and small documents that are bad in other ways."""
    paths = [*sorted(ROOT.glob("tests/data/*.json")), *sorted(ROOT.glob("examples/*.yaml"))]
    bad = [one.data for one in BAD_PLANS if isinstance(one.data, bytes) and len(one.data) < 2000]
    return tuple([path.read_bytes() for path in paths] + [ALIASES] * 10 + bad)


@cache
def samples() -> tuple[Value, ...]:
    """The samples as values; long ones phase by phase."""
    found: list[Value] = []
    for text in texts()[:6]:
        value = yaml.safe_load(text)
        whole = [value] if len(text) < 3000 else [{**value, "phases": [phase]} for phase in value["phases"]]
        found += [one for one in whole if isinstance(one, dict)]
    return tuple(found)


def written(value: Any, rng: Random) -> bytes:
    """As JSON, or as YAML in flow or block style, in quotes or without."""
    form = rng.randrange(20)
    if form == 0:
        with suppress(UnicodeEncodeError):  # half a sign that needs two
            text = yaml.dump(value, Dumper=yaml.CSafeDumper, default_flow_style=rng.choice((True, False, None)))
            return f"{COMMENT}{text}".encode()
    if form < 6:
        return ("\n".join(_block(value, "")) + "\n").encode("utf-8", "replace")
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, None, 1)))
    return (f"{COMMENT}{text}" if form < 10 else text).encode("utf-8", "replace")


def _block(value: Any, indent: str) -> list[str]:
    if not isinstance(value, dict | list) or not value:
        return [indent + json.dumps(value)]
    lines = []
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        lines.append(f"{indent}{json.dumps(key)}:" if isinstance(value, dict) else f"{indent}-")
        if isinstance(inner, dict | list) and inner:
            lines += _block(inner, indent + "  ")
        else:
            lines[-1] += " " + json.dumps(inner)
    return lines
