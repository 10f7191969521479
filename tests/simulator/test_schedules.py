"""The twin keeps every promise, whatever beats, workers, faults and people do."""

import pytest

from tests.beside import SHARES
from tests.simulator.search import violated
from tests.simulator.world import twin_world

SCHEDULES = 10_000  # `make simulate` plays 100,000 and more


def twin_violated(share: int) -> str:
    """One share of the schedules on the twin alone."""
    return violated(range(share, SCHEDULES, SHARES), twin_world)


@pytest.mark.beside(work=twin_violated)
def test_the_twin_keeps_every_promise_under_random_schedules(found: list[str]) -> None:
    assert found == [""] * SHARES
