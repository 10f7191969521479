"""`python -m tests.simulator --schedules 100000 --seed 1`: the heart under random schedules, without a Redis.

Every schedule has a seed of its own; a failing one is told with its shortest story and the command that plays it again.
"""

import argparse
import os
import sys
import time
from functools import partial
from multiprocessing import get_context

from tests.simulator.search import violated
from tests.simulator.world import twin_world

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
    began = time.perf_counter()
    with get_context("spawn").Pool(given.processes) as pool:
        for found in pool.imap_unordered(partial(violated, make=twin_world), chunks):
            if found:
                print(f"{found}\nagain: make simulate SCHEDULES=1 SEED={found.split()[1].rstrip(':')}")
                return 1
    took = time.perf_counter() - began
    rate = f"{given.schedules / took:.0f} a second on {given.processes} processors"
    print(f"{given.schedules} schedules from seed {given.seed} hold; {took:.0f} s, {rate}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
