"""Measures and records a run of anything."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from moie_worker.errors import MoieError
from moie_worker.plan.letters import Measured, Watched
from moie_worker.plan.texts import printable
from moie_worker.ports import Meter, RunLog

log = logging.getLogger(__name__)

LINE_KEPT = 1000  # characters


@contextmanager
def measure(runs: RunLog, run_of: Watched, meter: Callable[[], Meter]) -> Iterator[None]:
    """Record how long the block took, what it used and whether it raised. Also a decorator.

    Its error is raised again as it is. A run log that cannot be reached is a warning, never an error of the block.
    """
    used = meter()
    try:
        yield
    except BaseException as error:
        _record(runs, run_of, replace(used(), error=describe(error)))
        raise
    _record(runs, run_of, used())


def describe(error: BaseException) -> str:
    """An error in one line of bounded length, never empty; whoever caused it moves no cursor by its words."""
    first = printable(str(error).strip()[:LINE_KEPT]).partition("\n")[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _record(runs: RunLog, run_of: Watched, measured: Measured) -> None:
    try:
        runs.record(run_of, measured)
    except MoieError as error:
        log.warning("a run of %s is not recorded: %s", run_of.name, error)
