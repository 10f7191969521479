"""What a system costs that only waits: CPU and memory of every part while cyclic jobs wait for their time."""

import time
from dataclasses import dataclass

from bench import moie, server
from bench.fleet import cpu_s, memory_mb

JOBS = 100
SETTLE_S = 3.0  # for the events of their first runs


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the system with everything below it."""

    name: str
    cpu_share: float  # of one core
    pss_mb: float  # what processes share is counted once
    rss_mb: float  # what processes share is counted for each


def measure(seconds: float) -> list[Part]:
    """Watch worker, beat, Flower and Redis for so long."""
    with server.running() as redis, moie.fleet(redis, flower=True) as fleet:
        fleet.idle_with(JOBS)
        time.sleep(SETTLE_S)
        before = {name: cpu_s(pid) for name, pid in fleet.parts.items()}
        time.sleep(seconds)
        return [
            Part(name, (cpu_s(pid) - before[name]) / seconds, memory_mb(pid, "Pss"), memory_mb(pid, "Rss"))
            for name, pid in fleet.parts.items()
        ]
