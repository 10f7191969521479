"""Each rule of the protocol is missed by somebody: without it, the oracle finds a fault in a schedule of a few steps.

The schedules were found and shrunk by `python -m tests.simulator.mutants`, which writes them anew.
"""

import pytest

from tests.simulator.mutants import SEEDS, kept, steps_of
from tests.simulator.rules_off import MUTANTS
from tests.simulator.search import first_violated, violation
from tests.simulator.world import twin_world

KEPT = kept()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_that_is_off_is_missed(name: str) -> None:
    with MUTANTS[name].at_work():
        assert violation(twin_world, steps_of(KEPT[name])), "run python -m tests.simulator.mutants"


@pytest.mark.parametrize("name", MUTANTS)
def test_with_the_rule_all_is_well(name: str) -> None:
    assert violation(twin_world, steps_of(KEPT[name])) is None


@pytest.mark.whole
@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_that_is_off_is_found_within_ten_thousand_schedules(name: str) -> None:
    with MUTANTS[name].at_work():
        assert first_violated(SEEDS, twin_world) is not None


def test_there_is_a_trace_for_each_rule() -> None:
    assert KEPT.keys() == MUTANTS.keys()
