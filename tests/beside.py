"""Long work of tests beside the other tests: a plugin of pytest.

A test that is marked `beside(work=function)` asks for what the function answered for each share of its work. The shares
are worked off from the session's begin on by processes of their own, on whatever processors the other tests leave idle.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import pytest
from coverage import Coverage

SHARES = os.cpu_count() or 1
COURTESY = 5  # the other tests go first, but on a busy machine the shares come to their end as well

Work = Callable[[int], str]


@dataclass
class Helper:
    """A process that works off its share of each work, one after the other."""

    process: SpawnProcess
    answers: Connection
    told: list[str] = field(default_factory=list)

    def answer(self, number: int) -> str:
        """What it found in its share of a work; waits for it."""
        while len(self.told) <= number:
            try:
                self.told.append(self.answers.recv())
            except EOFError:
                return "this share was not worked off to its end: see standard error"
        return self.told[number]


HELPERS = pytest.StashKey[list[Helper]]()
NUMBER = pytest.StashKey[int]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin what the collected tests want done beside the others."""
    marked = [(item, mark) for item in session.items if (mark := item.get_closest_marker("beside"))]
    if marked and not session.config.option.collectonly:
        for number, (item, _) in enumerate(marked):
            item.stash[NUMBER] = number
        works = [mark.kwargs["work"] for _, mark in marked]
        with unmeasured():  # it ends behind this process, when the folder for what was covered may be removed already
            resource_tracker.ensure_running()
        session.stash[HELPERS] = [_helper(works, share) for share in range(SHARES)]


@contextmanager
def unmeasured() -> Iterator[None]:
    """What is started in here does not write down what it covered."""
    held = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_PROCESS")}
    try:
        yield
    finally:
        os.environ |= held


def _helper(works: Sequence[Work], share: int) -> Helper:
    context = get_context("spawn")
    answers, telling = context.Pipe(duplex=False)
    process = context.Process(target=_work_off, args=(works, share, telling), daemon=True)
    process.start()
    telling.close()  # so that the end of the process is the end of its answers
    return Helper(process, answers)


def _work_off(works: Sequence[Work], share: int, telling: Connection) -> None:
    os.nice(COURTESY)
    while measuring := Coverage.current():  # twice the work, and what runs here is covered by the traces as well
        measuring.stop()
    for work in works:
        telling.send(work(share))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nobody asks for the rest of a session that was cut short."""
    for helper in session.stash.get(HELPERS, []):
        helper.process.kill()
        helper.process.join()


@pytest.fixture
def found(request: pytest.FixtureRequest) -> list[str]:
    """What was found beside the other tests; waits for it."""
    return [helper.answer(request.node.stash[NUMBER]) for helper in request.session.stash[HELPERS]]
