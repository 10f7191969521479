"""The programme of faults: which test stands for which fault, and the table of what was seen.

    python -m pytest -m fault --faults-page FILE [--seed N] [--budget SECONDS]

A test names its fault with `@pytest.mark.fault(number)` and says what it measured with the fixture `figures`.
"""

import random
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import pytest

FAULTS = {
    1: "kill -9 of a pool child, of a worker, of all workers, while commands run",
    2: "kill -9 between any two calls to Redis",
    3: "SIGTERM, twice, SIGQUIT while a long command runs",
    4: "a job that kills its worker each time",
    5: "Redis: kill -9 and restart, with jobs in flight",
    6: "Redis comes back empty",
    7: "Redis frozen",
    8: "Redis: memory full",
    9: "Sentinel failover by kill and by freeze; the old primary returns",
    10: "network cut between worker and Redis, both ways and one way",
    11: "several beats; one killed, frozen, blocked in a publish",
    12: "wrong clocks, daylight saving, 2038",
    13: "disk full, read-only, errors while a file is written",
    14: "commands that fork daemons, ignore signals, flood, eat memory",
    15: "any bytes in a queue",
    16: "100,000 stale messages",
    17: "a command longer than its period and than any time limit of a broker",
    18: "dead letters replayed twice, during failure, by the thousand",
    19: "password rotated, rights revoked while it runs",
    20: "old workers with new beats, and the reverse",
    21: "the target of alerts hangs, floods, redirects, fails",
}
HEAD = """# Faults

What was done to the system, and what became of it. `make chaos SEED=1` runs all of it and writes this page; the seed
decides all that is random in it. `make test` runs the rows without *whole*. A part of it
(`make chaos ARGS='-k network'`) writes its own rows anew and keeps the others.

Rows of `chaos/` held when the oracle did, `tests/chaos/oracle.py`: no job runs without a live lease, the places add up
to what was loaded, each job was settled once and by its last attempt, no command is left behind, and the plan ended by
itself. *Runs again* are attempts beyond the first of each job; *recovery* is from the fault's end to new work.

| fault | test | result | seconds | runs again | recovery, s |
|---|---|---|---|---|---|
"""

RUNS = """
## Whole runs

The table above is of the last one.

| run | tests | failed | minutes |
|---|---|---|---|
"""

NOT_RUN = "not run"
HELD = "held"
CELLS = 6


@dataclass
class Figures:
    """What one test measured: attempts beyond the first of each job; seconds from the fault's end to new work."""

    again: int | None = None
    recovery_s: float | None = None


@dataclass
class Row:
    """One test of the programme."""

    numbers: tuple[int, ...]
    name: str
    whole: bool
    figures: Figures = field(default_factory=Figures)
    result: str = NOT_RUN
    seconds: float = 0.0

    def text(self) -> str:
        """The cells behind the fault."""
        figures = self.figures
        again = "" if figures.again is None else str(figures.again)
        recovery = "" if figures.recovery_s is None else f"{figures.recovery_s:.1f}"
        whole = " (whole)" if self.whole else ""
        return f"`{self.name}`{whole} | {self.result} | {self.seconds:.1f} | {again} | {recovery}"


class Programme:
    """Collects rows while pytest runs, and writes them at its end."""

    def __init__(self, page: Path | None, seed: int, budget_s: float) -> None:
        self._page, self._seed, self._began = page, seed, monotonic()
        self._end = self._began + budget_s
        self._rows: dict[str, Row] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Before any are deselected: what is not run is said."""
        for item in items:
            numbers = tuple(mark.args[0] for mark in item.iter_markers("fault"))
            if numbers:
                whole = item.get_closest_marker("whole") is not None
                self._rows[item.nodeid] = Row(numbers, item.nodeid.removeprefix("tests/"), whole)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        if item.nodeid in self._rows:
            item.stash[FIGURES] = self._rows[item.nodeid].figures
        if monotonic() > self._end:
            item.session.shouldstop = "the time budget is over"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        row = self._rows.get(report.nodeid)
        if row is None:
            return
        row.seconds += report.duration
        if report.failed:
            row.result = "**failed**"
        elif report.when == "call":
            row.result = HELD

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._page is not None:
            known = self._page.read_text() if self._page.exists() else ""
            self._page.write_text(self.table(known))
            terminalreporter.write(self.table(known))

    @property
    def complete(self) -> bool:
        """Whether every test of the programme was collected, not some files of it alone."""
        return {number for row in self._rows.values() for number in row.numbers} == FAULTS.keys()

    def runs(self, known: str) -> str:
        """Earlier whole runs as they stand on the page, and this one if it was whole."""
        lines = [line for line in known.splitlines() if line.startswith("| seed ")]
        if self.complete and all(row.result != NOT_RUN for row in self._rows.values()):
            lines = [line for line in lines if f"| seed {self._seed} " not in line]
            failed = sum(row.result != HELD for row in self._rows.values())
            minutes = (monotonic() - self._began) / 60
            lines.append(f"| seed {self._seed} | {len(self._rows)} | {failed} | {minutes:.0f} |")
        return "\n".join(lines)

    def table(self, known: str) -> str:
        """The page; what was not run this time stands there as it is known from an earlier run."""
        earlier = {cells[1]: " | ".join(cells[1:]) for line in known.splitlines() if (cells := cells_of(line))}
        lines = []
        for number, fault in FAULTS.items():
            rows = [row for row in self._rows.values() if number in row.numbers]
            for row in rows:
                text = row.text() if row.result != NOT_RUN else earlier.get(row.text().partition(" | ")[0], row.text())
                lines.append(f"| {number}. {fault} | {text} |")
            others = [] if self.complete else self._others(number, known)
            lines += others
            if not rows and not others:
                lines.append(f"| {number}. {fault} | – | no test yet | | | |")
        return HEAD + "\n".join(lines) + "\n" + RUNS + self.runs(known) + "\n"

    def _others(self, number: int, known: str) -> list[str]:
        """The lines of a fault whose tests this run did not look for."""
        mine = {row.text().partition(" | ")[0] for row in self._rows.values()}
        lines = [line for line in known.splitlines() if line.startswith(f"| {number}. ")]
        return [line for line in lines if (cells := cells_of(line)) and cells[1] not in mine]


def cells_of(line: str) -> list[str]:
    """Of a row of the table."""
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    return cells if len(cells) == CELLS and cells[1].startswith("`") else []


FIGURES = pytest.StashKey[Figures]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults-page", type=Path, help="write the table of faults to this file")
    parser.addoption("--seed", type=int, default=1, help="of all that is random in the faults")
    parser.addoption("--soak", type=float, default=60.0, help="seconds of random faults")
    parser.addoption("--budget", type=float, default=3600.0, help="seconds after which no further test begins")


def pytest_configure(config: pytest.Config) -> None:
    """Begin the programme, in every run: without a page it only hands out `figures`."""
    programme = Programme(config.getoption("faults_page"), config.getoption("seed"), config.getoption("budget"))
    config.pluginmanager.register(programme, "programme of faults")


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Where a test puts what it measured."""
    node: pytest.Item = request.node
    return node.stash.get(FIGURES, Figures())


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Chance that comes again with the same seed, in each test its own."""
    return random.Random(f"{request.config.getoption('seed')} {request.node.nodeid}")
