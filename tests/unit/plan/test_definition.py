"""The form of a job in Redis."""

import json
from dataclasses import asdict, replace
from typing import Any

from moie_worker.plan.definition import Definition, canonical

PLAIN = Definition(id="a", position=3, phase=1, queue="default", digest="d" * 16, limit_ms=60_000, job={"id": "a"})
UNUSUAL: dict[str, Any] = {
    "cyclic": True, "needs": ("b", "c"), "priority": 4, "timing": "t", "imported": True, "idle": True, "at_load": True,
    "period_ms": 10_000, "signature": "key:text", "reverified_by": "a!", "verifies": "b", "delay_ms": 900,
}  # fmt: skip


def test_what_a_job_does_not_use_is_not_written() -> None:
    assert set(json.loads(PLAIN.to_json())) == {"id", "position", "phase", "queue", "digest", "limit_ms", "job"}


def test_each_field_that_is_used_is_written_and_read() -> None:
    for name, value in UNUSUAL.items():
        used = replace(PLAIN, **{name: value})
        assert name in json.loads(used.to_json())
        assert Definition.from_json(used.to_json()) == used
    full = replace(PLAIN, **UNUSUAL)
    assert Definition.from_json(full.to_json()) == full


def test_a_definition_that_was_written_in_full_is_the_same() -> None:
    assert Definition.from_json(canonical(asdict(PLAIN))) == PLAIN


def test_zero_is_written_where_it_is_no_default() -> None:
    assert json.loads(replace(PLAIN, position=0).to_json())["position"] == 0
