"""Long work of tests beside the other tests: a plugin of pytest.

A test that is marked `beside(work=function)` asks for what the function answered for each share of its work. The shares
are worked off from the session's begin on by processes of their own, on whatever processors the other tests leave idle.
"""

import os
from multiprocessing import get_context
from multiprocessing.pool import MapResult, Pool

import pytest
from coverage import Coverage

SHARES = os.cpu_count() or 1
COURTESY = 5  # the other tests go first, but on a busy machine the shares come to their end as well
BESIDE = pytest.StashKey[Pool]()
FOUND = pytest.StashKey[MapResult[str]]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin what the collected tests want done beside the others."""
    marked = [(item, mark) for item in session.items if (mark := item.get_closest_marker("beside"))]
    if marked and not session.config.option.collectonly:
        pool = get_context("spawn").Pool(SHARES, _step_aside)
        session.stash[BESIDE] = pool
        for item, mark in marked:
            item.stash[FOUND] = pool.map_async(mark.kwargs["work"], range(SHARES))


def _step_aside() -> None:
    os.nice(COURTESY)
    while measuring := Coverage.current():  # twice the work, and what runs here is covered by the traces as well
        measuring.stop()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nobody asks for the rest of a session that was cut short."""
    if pool := session.stash.get(BESIDE, None):
        pool.terminate()
        pool.join()


@pytest.fixture
def found(request: pytest.FixtureRequest) -> list[str]:
    """What was found beside the other tests; waits for it."""
    result: MapResult[str] = request.node.stash[FOUND]
    return result.get()
