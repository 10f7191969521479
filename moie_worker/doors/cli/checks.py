"""Running commands from the command line: a few side by side, and none is left behind."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

from moie_worker.doors.cli.output import progress_bar
from moie_worker.heart.redact import evidence_shown
from moie_worker.ports import Command, Evidence
from moie_worker.wiring import System


def run_all(system: System, name: str, commands: Sequence[Command], side_by_side: int) -> list[Evidence]:
    """Run them all and wait; a guard ends what runs when this process is killed. `name` has no space in it.

    What they print comes back without its secrets, as it would be kept.

    Nothing can be run after `system.runner.close()`, which is the caller's to call when all is done.
    """
    tokens = [f"{name}-{os.getpid()}-{number}" for number in range(len(commands))]
    runner = system.runner
    runner.renewed(tokens, timedelta.max, system.clock.monotonic())
    try:
        with ThreadPoolExecutor(side_by_side) as pool, progress_bar(name, len(commands), least=1) as advance:
            made = (replace(command, token=token) for command, token in zip(commands, tokens, strict=True))
            return list(_followed(pool.map(runner.run, made), advance))
    finally:
        runner.forget(tokens)


def _followed(found: Iterator[Evidence], advance: Callable[[int], None]) -> Iterator[Evidence]:
    for one in found:
        advance(1)
        yield evidence_shown(one)
