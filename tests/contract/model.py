"""Small plans for whatever is held of the stores."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from moie_worker.adapters.memory import MemoryStore
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.plan.definition import Compiled, Definition, PhaseDefinition, digest
from moie_worker.plan.limits import APPROVAL_MS
from moie_worker.plan.reverify import look_id

Store = MemoryStore | RedisStore
LEASE = timedelta(seconds=30)


def job(name: str, phase: int, *, version: int = 0, **changes: Any) -> Definition:
    """A definition with the defaults of a plain job; another version is another command."""
    plain = Definition(
        id=name, position=0, phase=phase, cyclic=False, queue="default", needs=(), priority=0,
        digest=digest([name, version]), timing="", imported=False, idle=False, at_load=False,
        limit_ms=60_000, period_ms=0, job={"id": name},
    )  # fmt: skip
    return replace(plain, **changes)


def cyclic(name: str, phase: int, **changes: Any) -> Definition:
    """A cyclic job that runs every 10 s."""
    every: dict[str, Any] = {"cyclic": True, "timing": "t", "period_ms": 10_000}
    return job(name, phase, **(every | changes))


def kept(this: Definition, **changes: Any) -> tuple[Definition, Definition]:
    """A job that is to stay verified, and what looks at it again, a moment after it was verified."""
    name = look_id(this.id)
    again: dict[str, Any] = {
        "id": name, "cyclic": True, "needs": (this.id,), "at_load": True, "timing": "t", "period_ms": 10_000,
        "delay_ms": 900, "verifies": this.id, "imported": False, "job": {"id": name},
    }  # fmt: skip
    return replace(this, reverified_by=name), replace(this, **(again | changes))


def receipt(token: str) -> str:
    """A receipt that nobody signed, of which only the token is read."""
    return f'{{"proof":[],"receipt":{{"token":"{token}"}},"signature":"","signer":""}}'


def plan(*jobs: Definition, approvals: Iterable[int] = (), persons: int = 1, expires_ms: int = APPROVAL_MS) -> Compiled:
    """A plan with the phases that its jobs name; some of them ask for approvals, on these terms."""
    phases = tuple(
        PhaseDefinition(
            p, f"phase {p}", p in approvals, digest([j.digest for j in jobs if j.phase == p]), persons, expires_ms
        )
        for p in sorted({j.phase for j in jobs})
    )
    return Compiled({"version": 3}, phases, jobs)
