"""Random schedules keep every promise on the twin, and real Redis agrees with the twin step by step."""

import os
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from multiprocessing.pool import Pool

import pytest
import redis

from moie_worker.adapters.memory import MemoryStore
from tests.conftest import RedisServer, leaked_keys
from tests.contract.conftest import ManualRedis
from tests.contract.model import Store
from tests.simulator.mutants import kept, steps_of
from tests.simulator.search import told_violation, violated
from tests.simulator.world import World, twin_world

SCHEDULES = 1_000
WHOLE = 10_000  # and `make simulate` plays 100,000 and more
LOCKSTEP = 40
SHARES = min(os.cpu_count() or 1, 16)  # a Redis has 16 databases, one for each share


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Processes that share the schedules."""
    with get_context("spawn").Pool(SHARES) as made:
        yield made


def twin_violated(schedules: int, share: int) -> str:
    """One share of the schedules on the twin alone."""
    return violated(range(share, schedules, SHARES), twin_world)


def lockstep_violated(url: str, share: int) -> str:
    """One share of the schedules, random ones and kept ones, on the twin and a database of a Redis side by side."""
    with redis.Redis.from_url(url, db=share, decode_responses=True) as client:
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


def test_the_twin_keeps_every_promise_under_random_schedules(pool: Pool) -> None:
    assert pool.map(partial(twin_violated, SCHEDULES), range(SHARES)) == [""] * SHARES


@pytest.mark.whole
def test_the_twin_keeps_every_promise_under_ten_thousand_schedules(pool: Pool) -> None:
    assert pool.map(partial(twin_violated, WHOLE), range(SHARES)) == [""] * SHARES


def test_redis_agrees_with_the_twin_after_every_step(pool: Pool, redis_url: str, redis_server: RedisServer) -> None:
    address = redis_server.url.removesuffix("?db=0")
    assert pool.map(partial(lockstep_violated, address), range(SHARES)) == [""] * SHARES
