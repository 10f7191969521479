"""Random schedules keep the invariants on the twin, and real Redis agrees with the twin step by step."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import get_context
from multiprocessing.pool import Pool

import pytest
import redis

from moie_worker.adapters.memory import MemoryStore
from tests.conftest import RedisServer, leaked_keys
from tests.contract.conftest import ManualRedis
from tests.contract.model import Step, ViolationError, World, play, schedule, shrink, told, twin_world

SCHEDULES = 10_000
LOCKSTEP = 80
SHARES = min(os.cpu_count() or 1, 16)  # a Redis has 16 databases, one for each share


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Processes that share the schedules."""
    with get_context("spawn").Pool(SHARES) as made:
        yield made


def explain(seed: int, make: Callable[[], World], *, agree: bool) -> str:
    """A failing schedule, shrunk, with what it violates."""

    def violation(steps: list[Step]) -> ViolationError | None:
        try:
            play(make(), steps, agree=agree)
        except ViolationError as error:
            return error
        return None

    steps = shrink(schedule(seed), lambda shorter: violation(shorter) is not None)
    return f"seed {seed}: {violation(steps)}\n{told(steps)}"


def violated(seeds: range, make: Callable[[], World], *, agree: bool) -> str:
    """The first failing schedule of these seeds, explained; empty when all hold."""
    for seed in seeds:
        try:
            play(make(), schedule(seed), agree=agree)
        except ViolationError:
            return explain(seed, make, agree=agree)
    return ""


def twin_violated(first: int) -> str:
    """One share of the schedules on the twin alone."""
    return violated(range(first, SCHEDULES, SHARES), twin_world, agree=False)


def lockstep_violated(url: str, share: int) -> str:
    """One share of the schedules on the twin and a database of a Redis side by side; what that leaves behind too."""
    with redis.Redis.from_url(url, db=share, decode_responses=True) as client:
        manual = ManualRedis.of(client)

        def lockstep() -> World:
            manual.empty()
            return World([MemoryStore("model", manual.time), manual.store("model")], manual.advance)

        found = violated(range(share, LOCKSTEP, SHARES), lockstep, agree=True)
        leaked = leaked_keys(client, own_only=False)
    return found or "".join(leaked)


def test_the_twin_keeps_every_invariant_under_random_schedules(pool: Pool) -> None:
    assert pool.map(twin_violated, range(SHARES)) == [""] * SHARES


def test_redis_agrees_with_the_twin_after_every_step(pool: Pool, redis_url: str, redis_server: RedisServer) -> None:
    address = redis_server.url.removesuffix("?db=0")
    assert pool.map(partial(lockstep_violated, address), range(SHARES)) == [""] * SHARES
