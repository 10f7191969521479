"""Random schedules keep every promise on the twin, and real Redis agrees with the twin step by step."""

import pytest
import redis

from moie_worker.adapters.memory import MemoryStore
from tests.conftest import leaked_keys, serving_redis
from tests.contract.conftest import SHARES, ManualRedis
from tests.contract.model import Store
from tests.simulator.mutants import kept, steps_of
from tests.simulator.search import told_violation, violated
from tests.simulator.world import World, twin_world

SCHEDULES = 10_000  # `make simulate` plays 100,000 and more
LOCKSTEP = 40


def twin_violated(share: int) -> str:
    """One share of the schedules on the twin alone."""
    return violated(range(share, SCHEDULES, SHARES), twin_world)


def lockstep_violated(share: int) -> str:
    """One share of the schedules, random ones and kept ones, on the twin and a Redis of its own side by side."""
    with serving_redis() as server, redis.Redis.from_url(server.url, decode_responses=True) as client:
        manual = ManualRedis.of(client)

        def anew() -> list[Store]:
            manual.empty()
            return [MemoryStore("model", manual.time), manual.store("model")]

        def lockstep() -> World:
            return World(anew(), manual.advance, anew)

        found = violated(range(share, LOCKSTEP, SHARES), lockstep, agree=True)
        for name, story in sorted(kept().items())[share::SHARES]:
            found += told_violation(f"trace {name}", lockstep, steps_of(story), agree=True)
        leaked = leaked_keys(client, own_only=False)
    return found + "".join(leaked)


@pytest.mark.beside(work=twin_violated)
def test_the_twin_keeps_every_promise_under_random_schedules(found: list[str]) -> None:
    assert found == [""] * SHARES


@pytest.mark.beside(work=lockstep_violated)
def test_redis_agrees_with_the_twin_after_every_step(found: list[str]) -> None:
    assert found == [""] * SHARES
