"""`python -m tests.simulator.mutants`: for each rule the shortest schedule that shows why it is there.

Looks for each mutant anew and writes the traces that a test keeps.
"""

import json
import sys
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.simulator.rules_off import MUTANTS
from tests.simulator.schedules import CHOICES, Step
from tests.simulator.search import first_violated, shortest
from tests.simulator.world import twin_world

SEEDS = range(10_000)
TRACES = Path(__file__).with_name("mutants.json")


@dataclass(frozen=True)
class Found:
    """The first schedule in which a mutant shows itself, and its shortest story."""

    name: str
    schedules: int
    steps: list[Step]


def find(name: str) -> Found | None:
    """Look for a mutant in the schedules of the suite; None when it stays hidden."""
    with MUTANTS[name].at_work():
        seed = first_violated(SEEDS, twin_world)
        return None if seed is None else Found(name, seed + 1, shortest(seed, twin_world))


def story(steps: list[Step]) -> list[list[Any]]:
    """Steps by name, so that other steps may come to the model."""
    return [[CHOICES[choice].__name__, a, b] for choice, a, b in steps]


def steps_of(story: list[list[Any]]) -> list[Step]:
    """The steps of a story."""
    names = [step.__name__ for step in CHOICES]
    return [(names.index(name), a, b) for name, a, b in story]


def kept() -> dict[str, list[list[Any]]]:
    """The shortest stories that were found, by mutant."""
    read: dict[str, list[list[Any]]] = json.loads(TRACES.read_text(encoding="utf-8"))
    return read


def table(found: list[Found]) -> str:
    """The mutants for people."""
    rows = "\n".join(f"| {MUTANTS[one.name].rule} | {one.schedules} | {len(one.steps)} |" for one in found)
    return f"| rule that is off | schedules until found | steps of its trace |\n|---|--:|--:|\n{rows}"


def main() -> int:
    """Exit code 1 when a mutant stays hidden."""
    began = time.perf_counter()
    with get_context("spawn").Pool() as pool:
        results = pool.map(find, MUTANTS, chunksize=1)
    hidden = [name for name, one in zip(MUTANTS, results, strict=True) if one is None]
    found = [one for one in results if one]
    lines = [f'"{one.name}": {json.dumps(story(one.steps))}' for one in found]
    TRACES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(table(found))
    print(f"{len(found)} of {len(MUTANTS)} found in {time.perf_counter() - began:.0f} s; hidden: {hidden}")
    return 1 if hidden else 0


if __name__ == "__main__":
    sys.exit(main())
