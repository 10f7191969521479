"""Random schedules keep the invariants on the twin, and real Redis agrees with the twin step by step."""

import os
from collections.abc import Callable
from multiprocessing import get_context

from moie_worker.adapters.memory import MemoryStore
from tests.contract.conftest import ManualRedis
from tests.contract.model import Step, ViolationError, World, play, schedule, shrink, told, twin_world

SCHEDULES = 10_000
LOCKSTEP = 80


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


def twin_violated(seeds: range) -> str:
    """The same on the twin alone, for another process."""
    return violated(seeds, twin_world, agree=False)


def test_the_twin_keeps_every_invariant_under_random_schedules() -> None:
    processes = os.cpu_count() or 1
    with get_context("spawn").Pool(processes) as pool:
        found = pool.map(twin_violated, [range(first, SCHEDULES, processes) for first in range(processes)])
    assert found == [""] * processes


def test_redis_agrees_with_the_twin_after_every_step(manual_redis: ManualRedis) -> None:
    def lockstep() -> World:
        manual_redis.empty()
        time = manual_redis.time
        return World([MemoryStore("model", time), manual_redis.store("model")], manual_redis.advance)

    assert violated(range(LOCKSTEP), lockstep, agree=True) == ""
