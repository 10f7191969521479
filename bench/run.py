"""Measure this machine: checks a second, Redis commands, loads, heartbeats, snapshots, and what idling costs.

Prints tables, or JSON. Missed targets are said; a part that cannot be measured is said too, and the exit code is 1.
"""

import argparse
import json
import os
import platform
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import celery
import redis

from bench import idle, report, sizes, snapshots, speed
from bench.fleet import CORES


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured."""

    jobs: int = 2_000
    rounds: int = 7
    sizes: tuple[int, ...] = (100, 10_000, 100_000)
    idle: float = 60.0


BUSY = 0.25  # of the cores
QUICK = Options(jobs=500, rounds=2, sizes=(100, 1_000, 10_000), idle=10.0)


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="everything, but small: figures to look at, not to quote")
    parser.add_argument("--jobs", type=int, help=f"checks in a plan ({Options().jobs})")
    parser.add_argument("--rounds", type=int, help=f"repetitions of each, interleaved ({Options().rounds})")
    parser.add_argument("--sizes", type=int, nargs="+", help="jobs of the plans that are loaded and beaten")
    parser.add_argument("--idle", type=float, metavar="SECONDS", help=f"how long idling is watched ({Options().idle})")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    told = parser.parse_args()
    plain = QUICK if told.quick else Options()
    options = Options(
        told.jobs or plain.jobs,
        told.rounds or plain.rounds,
        tuple(told.sizes or plain.sizes),
        told.idle or plain.idle,
    )
    sys.exit(measure(options, as_json=told.json))


def measure(options: Options, *, as_json: bool) -> int:
    """Measure part by part; returns the exit code."""
    parts: dict[str, tuple[Callable[[], list[Any]], Callable[[list[Any]], str]]] = {
        "speed": (lambda: speed.measure(options.jobs, options.rounds), report.speed),
        "sizes": (lambda: sizes.measure(options.sizes), report.sizes),
        "snapshots": (lambda: snapshots.measure(options.sizes), report.snapshots),
        "idle": (lambda: idle.measure(options.idle), report.idle),
    }
    say = (lambda _: None) if as_json else print
    load = os.getloadavg()[0]  # before ours
    say(f"{CORES} cores, load {load:.1f}; {options.jobs} checks of `true`, {options.rounds} rounds")
    say(f"sizes {', '.join(map(str, options.sizes))}; idle for {options.idle:g} s\n")
    found: dict[str, list[Any]] = {}
    failed: dict[str, str] = {}
    for name, (part, table) in parts.items():
        try:
            found[name] = part()
            say(table(found[name]) + "\n")
        except Exception as error:  # the others are worth knowing all the same
            traceback.print_exc()
            failed[name] = f"{type(error).__name__}: {error}"
    if load > BUSY * CORES:
        say("The machine was busy when this began: rates favour whoever runs more processes. Look at the CPU.\n")
    targets = report.targets(found)
    say(report.verdicts(targets))
    if as_json:
        print(json.dumps({"load": load} | _document(options, found, targets, failed), indent=2))
    for name, why in failed.items():
        print(f"FAILED: {name} could not be measured: {why}", file=sys.stderr)
    return 1 if failed else 0


def _document(
    options: Options, found: dict[str, list[Any]], targets: list[report.Target], failed: dict[str, str]
) -> dict[str, Any]:
    machine = {
        "cores": CORES,
        "system": platform.platform(),
        "python": platform.python_version(),
        "celery": celery.__version__,
        "redis-py": redis.__version__,
    }
    measured = {name: [asdict(row) for row in rows] for name, rows in found.items()}
    judged = [asdict(target) | {"met": target.met} for target in targets]
    return {"machine": machine, "options": asdict(options)} | measured | {"targets": judged, "failed": failed}


if __name__ == "__main__":
    main()
