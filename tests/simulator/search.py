"""Looking for the first schedule that violates something, and for its shortest story."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.simulator.schedules import Step, play, schedule, told
from tests.simulator.world import World, twin_world


def violation(make: Callable[[], World], steps: Iterable[Step], *, agree: bool = False) -> Exception | None:
    """What a schedule violates in a new world; a step that cannot be done at all counts too."""
    try:
        play(make(), steps, agree=agree)
    except Exception as error:
        return error
    return None


def first_violated(seeds: Iterable[int], make: Callable[[], World], *, agree: bool = False) -> int | None:
    """The first failing seed."""
    return next((seed for seed in seeds if violation(make, schedule(seed), agree=agree)), None)


def shortest(seed: int, make: Callable[[], World], *, agree: bool = False) -> list[Step]:
    """The story of a failing seed, as short as it gets."""
    return shrink(schedule(seed), lambda steps: violation(make, steps, agree=agree) is not None)


def violated(seeds: Iterable[int], make: Callable[[], World], *, agree: bool = False) -> str:
    """The first failing schedule of these seeds, shrunk, with what it violates; empty when all hold."""
    seed = first_violated(seeds, make, agree=agree)
    if seed is None:
        return ""
    return told_violation(f"seed {seed}", make, shortest(seed, make, agree=agree), agree=agree)


def told_violation(name: str, make: Callable[[], World], steps: Sequence[Step], *, agree: bool = False) -> str:
    """What a schedule violates, for people; empty when all holds."""
    error = violation(make, steps, agree=agree)
    return f"{name}: {error!r}\n{told(steps)}\n" if error else ""


@dataclass(frozen=True)
class Played:
    """What came of some schedules."""

    violated: str
    seen: Counter[str]
    cpu_s: float


def played(seeds: range) -> Played:
    """Play them until one fails."""
    seen = Counter[str]()

    def counting() -> World:
        world = twin_world()
        world.seen = seen
        return world

    began = time.process_time()
    found = violated(seeds, counting)
    return Played(found, seen, time.process_time() - began)


def shrink(steps: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """Leave out steps, then make their figures small, while the schedule still fails."""
    shorter = _shorten(steps, fails)
    while True:
        smaller = shorter
        for index in range(len(shorter)):
            smaller = _lessen(smaller, index, fails)
        shorter = _shorten(smaller, fails)
        if shorter == smaller:
            return shorter


def _lessen(steps: list[Step], index: int, fails: Callable[[list[Step]], bool]) -> list[Step]:
    choice, a, b = steps[index]
    for small in range(a):
        if fails(tried := [*steps[:index], (choice, small, b), *steps[index + 1 :]]):
            steps, a = tried, small
            break
    for small in range(b):
        if fails(tried := [*steps[:index], (choice, a, small), *steps[index + 1 :]]):
            return tried
    return steps


def _shorten(steps: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    size = max(1, len(steps) // 2)
    while size:
        start = 0
        while start < len(steps):
            shorter = steps[:start] + steps[start + size :]
            if fails(shorter):
                steps = shorter
            else:
                start += size
        size //= 2
    return steps
