"""`make bench`: everything in one run on one machine, repetitions interleaved, medians and ratios printed."""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench import moie, peers, server
from bench.fleet import CORES, cpu_s, memory_mb

Measure = Callable[[int], float]


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2_000, help="checks in a plan")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions of each, interleaved")
    parser.add_argument("--idle", type=float, default=60.0, metavar="SECONDS", help="how long idling is watched")
    options = parser.parse_args()
    print(f"{CORES} cores, {options.jobs} checks of `true`, median of {options.rounds} interleaved rounds\n")
    with (
        TemporaryDirectory(prefix="moie-bench-") as folder,
        server.running() as ours,
        server.running() as theirs,
        moie.fleet(ours) as fleet,
        peers.bare_celery(theirs, Path(folder)) as bare,
    ):
        throughput({"xargs": peers.xargs, "bare Celery": bare, "moie-worker": fleet.run_plan}, options)
        redis_commands({"bare Celery": (theirs, bare), "moie-worker": (ours, fleet.run_plan)}, options.jobs)
    with server.running() as ours, moie.fleet(ours, flower=True) as fleet:
        idle(fleet, options.idle)


def throughput(contenders: Mapping[str, Measure], options: argparse.Namespace) -> None:
    """Checks a second of each, round after round, so that a busy moment of the machine meets all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, run in contenders.items():
            seconds[name].append(run(options.jobs))
    rates = {name: options.jobs / median(taken) for name, taken in seconds.items()}
    print(f"{'checks a second':<16}{'median':>8}{'worst':>8}{'best':>8}{'x xargs':>10}{'x bare':>10}")
    for name, taken in seconds.items():
        worst, best = options.jobs / max(taken), options.jobs / min(taken)
        ratios = f"{rates[name] / rates['xargs']:>10.2f}{rates[name] / rates['bare Celery']:>10.2f}"
        print(f"{name:<16}{rates[name]:>8.0f}{worst:>8.0f}{best:>8.0f}{ratios}")


def redis_commands(contenders: Mapping[str, tuple[server.Server, Measure]], jobs: int) -> None:
    """Commands that Redis carried out for each check, what the scripts call included."""
    print("\nRedis commands a check")
    for name, (store, run) in contenders.items():
        before = store.commands()
        run(jobs)
        spent = Counter(store.commands())
        spent.subtract(before)
        for own in ("info", "zcard", "hget"):  # how this program watches
            spent.pop(own, None)
        most = ", ".join(f"{command} {calls / jobs:.2f}" for command, calls in spent.most_common(6))
        print(f"{name:<16}{spent.total() / jobs:>8.2f}   {most}")


def idle(fleet: moie.Fleet, seconds: float) -> None:
    """CPU and memory of every part while 100 cyclic jobs wait for their time."""
    fleet.load_cyclic(100)
    time.sleep(min(seconds, 10))  # their first runs
    before = {name: cpu_s(pid) for name, pid in fleet.parts.items()}
    time.sleep(seconds)
    print(f"\nidle for {seconds:g} s with 100 cyclic jobs of 10 min   CPU of a core   memory")
    for name, pid in fleet.parts.items():
        print(f"{name:<48}{(cpu_s(pid) - before[name]) / seconds:>14.2%}{memory_mb(pid):>7.0f} MB")


if __name__ == "__main__":
    main()
