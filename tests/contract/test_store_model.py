"""Real Redis agrees with the twin after every step of random schedules; tests/simulator plays many more on the twin."""

import pytest
import redis

from moie_worker.adapters.memory import MemoryStore
from tests.beside import SHARES
from tests.conftest import leaked_keys, serving_redis
from tests.contract.conftest import ManualRedis
from tests.contract.model import Store
from tests.simulator.mutants import kept, steps_of
from tests.simulator.search import told_violation, violated
from tests.simulator.world import World

LOCKSTEP = 40


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


@pytest.mark.beside(work=lockstep_violated)
def test_redis_agrees_with_the_twin_after_every_step(found: list[str]) -> None:
    assert found == [""] * SHARES
