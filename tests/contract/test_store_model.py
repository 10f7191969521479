"""Random schedules keep the invariants on the twin, and real Redis agrees with the twin step by step."""

from collections.abc import Callable

import pytest
import redis

from moie_worker.adapters.memory import MemoryStore
from moie_worker.adapters.memory.core import ManualTime
from moie_worker.adapters.redis.scripts import Scripts
from moie_worker.adapters.redis.store import RedisStore
from tests.contract.model import Step, ViolationError, World, play, schedule, shrink, told, twin_world

SCHEDULES = 10_000
LOCKSTEP = 100
TIME_KEY = "moie:time-of-the-test"
MANUAL_TIME = f"""
local function now_ms() return tonumber(redis.call('GET', '{TIME_KEY}')) end
local function text(number) return string.format('%.0f', number) end
"""


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


def run_all(seeds: range, make: Callable[[], World], *, agree: bool) -> None:
    for seed in seeds:
        try:
            play(make(), schedule(seed), agree=agree)
        except ViolationError:
            pytest.fail(explain(seed, make, agree=agree))


def test_the_twin_keeps_every_invariant_under_random_schedules() -> None:
    run_all(range(SCHEDULES), twin_world, agree=False)


def test_redis_agrees_with_the_twin_after_every_step(redis_client: "redis.Redis") -> None:
    scripts = Scripts(redis_client, {"time": MANUAL_TIME})

    def lockstep() -> World:
        redis_client.flushall()
        time = ManualTime()

        def advance(ms: int) -> None:
            time.advance(ms)
            redis_client.set(TIME_KEY, time.now, ex=3600)

        advance(0)
        return World([MemoryStore("model", time), RedisStore(redis_client, "model", scripts)], advance)

    run_all(range(LOCKSTEP), lockstep, agree=True)
