"""A plan is known to the beats a moment before it is loaded."""

from moie_worker.plan.flow import BEFORE_ANY
from tests.contract.model import job
from tests.contract.trace import Trace


def test_a_plan_that_nobody_loaded_is_not_sovereign(trace: Trace) -> None:
    assert trace.store.rescue() == 0
    assert trace.offer(4) == []
    flags = trace.store.overview().flags
    assert (flags.frontier, flags.sovereign_at, trace.events()) == (BEFORE_ANY, None, [])


def test_what_beats_did_before_a_load_does_not_change_it(trace: Trace) -> None:
    trace.store.rescue()
    trace.load(job("a", 1), job("b", 2))
    assert trace.store.overview().flags.sovereign_at is None
    assert trace.events() == ["plan.loaded", "phase.reached"]
    assert trace.offered() == {"a"}
