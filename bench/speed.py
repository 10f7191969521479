"""Checks a second, ours beside others', and what they ask of Redis."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time

from bench import moie, peers, server
from bench.fleet import children_cpu_s, cpu_s

XARGS, BARE, OURS = "xargs", "bare Celery", "moie-worker"
OWN = ("info", "hexists", "hget", "config|resetstat")  # how this program watches


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to run checks."""

    run: Callable[[int], float]  # a number of checks → seconds
    cpu_s: Callable[[], float]  # CPU seconds so far, of everything that takes part
    store: server.Server | None  # the Redis that serves it alone


@dataclass(frozen=True, slots=True)
class Speed:
    """What one contender reached."""

    name: str
    a_second: list[float]  # of each round
    to_xargs: float  # median of the rounds' own ratios
    to_bare: float
    cpu_ms: float  # of all cores, a check; tells more than the rate where others use the machine too
    commands: dict[str, float]  # of Redis, a check, those that scripts call included

    @property
    def median(self) -> float:
        """Checks a second."""
        return median(self.a_second)


def measure(jobs: int, rounds: int) -> list[Speed]:
    """Every round runs all contenders, every other one backwards: a busy moment of the machine meets all of them."""
    with contenders() as all_of_them:
        names = list(all_of_them)
        taken: dict[str, list[float]] = {name: [] for name in names}
        used: dict[str, list[float]] = {name: [] for name in names}
        for number in range(rounds):
            for name in names if number % 2 == 0 else reversed(names):
                before = all_of_them[name].cpu_s()
                taken[name].append(all_of_them[name].run(jobs))
                used[name].append(all_of_them[name].cpu_s() - before)
        commands = {name: _commands(contender, jobs) for name, contender in all_of_them.items()}
    return [
        Speed(
            name,
            [jobs / seconds for seconds in taken[name]],
            _ratio(taken[XARGS], taken[name]),
            _ratio(taken[BARE], taken[name]),
            1000 * median(used[name]) / jobs,
            commands[name],
        )
        for name in names
    ]


@contextmanager
def contenders() -> Iterator[dict[str, Contender]]:
    """All of them, started and warm."""
    with (
        TemporaryDirectory(prefix="moie-bench-") as folder,
        server.running() as theirs,
        server.running() as ours,
        peers.bare_celery(theirs, Path(folder)) as (bare, worker),
        moie.fleet(ours) as fleet,
    ):
        yield {
            XARGS: Contender(peers.xargs, children_cpu_s, None),
            BARE: Contender(bare, lambda: cpu_s(theirs.pid) + cpu_s(worker) + process_time(), theirs),
            OURS: Contender(fleet.run_plan, lambda: sum(cpu_s(pid) for pid in fleet.parts.values()), ours),
        }


def _ratio(others: list[float], own: list[float]) -> float:
    return median(other / mine for other, mine in zip(others, own, strict=True))


def _commands(contender: Contender, jobs: int) -> dict[str, float]:
    if contender.store is None:
        return {}
    before = contender.store.commands()
    contender.run(jobs)
    spent = Counter(contender.store.commands())
    spent.subtract(before)
    return {name: calls / jobs for name, calls in spent.most_common() if calls > 0 and name not in OWN}
