"""`python -m tests.simulator --schedules 100000 --seed 1`: the heart under random schedules, without a Redis.

Every schedule has a seed of its own; a failing one is told with its shortest story and the command that plays it again.
"""

import argparse
import os
import sys
from collections import Counter
from multiprocessing import get_context

from tests.simulator.search import played

CHUNK = 500


def main() -> int:
    """Exit code 1 when a schedule fails."""
    parser = argparse.ArgumentParser(description="Play random schedules of beats, workers, faults and operators.")
    parser.add_argument("--schedules", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1, help="the seed of the first schedule")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    last = given.seed + given.schedules
    chunks = [range(first, min(first + CHUNK, last)) for first in range(given.seed, last, CHUNK)]
    seen, cpu_s = Counter[str](), 0.0
    with get_context("spawn").Pool(given.processes) as pool:
        for one in pool.imap_unordered(played, chunks):
            if one.violated:
                print(f"{one.violated}again: make simulate SCHEDULES=1 SEED={one.violated.split()[1].rstrip(':')}")
                return 1
            seen += one.seen
            cpu_s += one.cpu_s
    print(table(seen))
    rate = f"{given.schedules / cpu_s:.0f} a second on one core"
    print(f"{given.schedules} schedules from seed {given.seed} hold; {cpu_s:.0f} s of CPU, {rate}")
    return 0


def table(seen: Counter[str]) -> str:
    """What happened in them, for people."""
    rows = "\n".join(f"| {what} | {number:,} |" for what, number in sorted(seen.items()) if number)
    return f"| happened | times |\n|---|--:|\n{rows}"


if __name__ == "__main__":
    sys.exit(main())
