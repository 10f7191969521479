"""What a job waits for, and which phase is active."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from moie_worker.plan.definition import Definition
from moie_worker.plan.flow import SOVEREIGN
from moie_worker.plan.needs import frontier, unmet
from tests.contract.model import cyclic, job


def waits(
    this: Definition, front: int, reached: int | None = None, asking: Iterable[int] = (), done: Iterable[str] = ()
) -> str | None:
    return unmet(
        this,
        front=front,
        reached=front if reached is None else reached,
        awaits=set(asking).__contains__,
        completed=set(done).__contains__,
    )


def test_the_frontier_is_the_first_open_phase_whatever_the_ids() -> None:
    assert frontier([5, 1, 2]) == 1
    assert frontier({2, 5}) == 2
    assert frontier({5}) == 5  # 1, 2, 5: after 2 comes 5
    assert frontier(()) == SOVEREIGN


@given(st.sets(st.integers(0, 10**6)), st.integers(0, 10**6))
def test_a_plan_passes_its_phases_in_order(phases: set[int], other: int) -> None:
    passed = []
    while phases:
        passed.append(frontier(phases))
        phases.remove(passed[-1])
    assert passed == sorted(passed)
    assert frontier(phases) > other


def test_a_job_waits_for_its_phase() -> None:
    assert waits(job("a", 2), front=1) == "phase:2"
    assert waits(job("a", 2), front=2) is None
    assert waits(job("a", 2), front=SOVEREIGN) is None


def test_a_regression_freezes_plain_jobs_and_not_those_that_watch() -> None:
    assert waits(job("a", 5), front=1, reached=5) == "phase:5"
    assert waits(cyclic("x", 5), front=1, reached=5) is None
    assert waits(cyclic("x", 6), front=1, reached=5) == "phase:6"


def test_a_phase_that_asks_comes_before_what_a_job_needs() -> None:
    this = job("b", 2, needs=("a",))
    assert waits(this, front=2, asking=[2]) == "approval:2"
    assert waits(cyclic("x", 2), front=2, asking=[2]) == "approval:2"
    assert waits(this, front=2) == "job:a"
    assert waits(this, front=2, done=["a"]) is None


def test_of_several_needs_the_first_unmet_one_is_named() -> None:
    this = job("d", 1, needs=("a", "b", "c"))
    assert waits(this, front=1, done=["a"]) == "job:b"
    assert waits(this, front=1, done=["a", "b", "c"]) is None


def test_a_watch_that_starts_at_load_waits_for_no_phase_and_no_answer() -> None:
    assert waits(cyclic("x", 9, at_load=True), front=1, asking=[9]) is None
    assert waits(cyclic("x", 9, at_load=True, needs=("a",)), front=1) == "job:a"


def test_what_has_nothing_to_run_waits_for_an_action() -> None:
    assert waits(cyclic("x", 1, idle=True, at_load=True), front=SOVEREIGN) == "action"
