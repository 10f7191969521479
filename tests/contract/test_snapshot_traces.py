"""What a snapshot holds and what restoring it does, in the twin and in Redis."""

import pytest

from moie_worker.errors import NotFoundError, RefusedError
from moie_worker.plan.flow import Answer
from moie_worker.plan.limits import CAPTURES
from moie_worker.plan.snapshot import Kind, Saved, pack, unpack
from moie_worker.plan.snapshot_diff import restored_diff
from moie_worker.plan.states import Place
from tests.contract.model import LEASE, cyclic, job, kept
from tests.contract.trace import WHO, Trace, ending, ran


def saved(trace: Trace) -> Saved:
    """A snapshot taken now, written and read again."""
    found = trace.store.saved(trace.store.capture())
    assert found is not None
    return unpack(pack(found, Kind.MANUAL)[1], "here")[1]


def restore(trace: Trace, snapshot: Saved) -> int:
    """Bring it back to the end."""
    revision = trace.store.restore(snapshot, trace.store.overview().flags.revision, *WHO)
    while trace.store.apply():
        pass
    while trace.store.reserve("default", 0, "none").more:
        pass
    return revision


def places(trace: Trace) -> dict[str, Place]:
    return {view.definition.id: view.place for view in trace.store.all_jobs()}


def test_a_restored_plan_stands_where_it_stood(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1), job("c", 2), job("d", 2, needs=("c",)))
    trace.do("a")
    before = saved(trace)
    trace.do("b")
    trace.do("c")
    revision = trace.store.overview().flags.revision
    assert restore(trace, before) == revision + 1
    assert trace.store.overview().flags.frontier == 1
    assert trace.offered() == {"b"}
    assert saved(trace).digest == before.digest
    assert trace.events()[-1] == "plan.restored"


def test_a_restored_plan_goes_on_to_its_end(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1), job("c", 2), job("d", 2, needs=("c",)))
    trace.do("a")
    before = saved(trace)
    trace.do("b")
    restore(trace, before)
    for name in "bcd":
        trace.do(name)
    assert set(places(trace).values()) == {Place.COMPLETED}


def test_what_was_imported_as_done_is_told_apart_after_a_restore_too(trace: Trace) -> None:
    trace.load(job("a", 1, imported=True), job("b", 1, imported=True), job("c", 2))
    snapshot = saved(trace)
    trace.load(job("a", 1, version=1), job("c", 2))
    trace.do("a")
    assert trace.store.overview().imported == 0
    later = saved(trace)
    restore(trace, snapshot)
    assert trace.store.overview().imported == 2
    restore(trace, later)
    assert trace.store.overview().imported == 0


def test_what_ran_when_it_was_taken_is_due_again_and_was_never_tried(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.start("a")
    before = saved(trace)
    trace.lose()
    trace.do("a")
    restore(trace, before)
    assert (trace.place("a"), trace.job("a").attempts) == (Place.READY, 0)


def test_what_runs_when_it_is_restored_stops_and_runs_again(trace: Trace) -> None:
    trace.load(job("a", 1))
    before = saved(trace)
    hint, attempt = trace.start("a")
    restore(trace, before)
    assert trace.place("a") is Place.RUNNING, "nothing is begun beside it"
    assert trace.offered() == set()
    assert trace.store.renew([attempt.token], LEASE, hint) == ["superseded"]
    assert trace.finish(hint, attempt) is Answer.SUPERSEDED
    assert trace.place("a") is Place.READY
    trace.do("a")


def test_a_job_that_was_done_is_done_though_it_runs_now(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    trace.do("a")
    before = saved(trace)
    trace.load(job("a", 1, version=1), job("b", 1))
    hint, attempt = trace.start("a")
    restore(trace, before)
    assert trace.place("a") is Place.COMPLETED
    assert trace.store.renew([attempt.token], LEASE, hint) == ["gone"]
    assert trace.finish(hint, attempt) is Answer.STALE
    assert trace.place("a") is Place.COMPLETED


def test_jobs_that_came_since_go_and_those_that_went_come_back(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 2))
    trace.do("a")
    before = saved(trace)
    trace.load(job("b", 2), job("new", 1))
    restore(trace, before)
    assert places(trace) == {"a": Place.COMPLETED, "b": Place.READY}


def test_a_slot_that_came_since_is_not_run_again(trace: Trace) -> None:
    trace.load(cyclic("x", 1), job("a", 1))
    hint, attempt = trace.start("x")
    trace.store.settle([ran(attempt, trace.time.now + 10_000)], hint, done=True)
    before = saved(trace)
    trace.advance(10_000)
    hint, attempt = trace.start("x")
    later = trace.time.now + 10_000
    trace.store.settle([ran(attempt, later)], hint, done=True)
    restore(trace, before)
    assert (trace.place("x"), trace.job("x").slot, trace.job("x").due) == (Place.TIMED, later, later)


def test_what_was_decided_later_stays(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 2), approvals=(2,))
    trace.store.answer(2, True, *WHO)
    before = saved(trace)
    trace.advance(1)
    trace.store.answer(2, False, *WHO)
    trace.store.pause(*WHO)
    restore(trace, before)
    overview = trace.store.overview()
    assert overview.approvals[2].no is not None
    assert overview.flags.paused


def test_a_dead_job_comes_back_with_its_letter_and_a_new_letter_goes(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    trace.do("a", Place.DEAD)
    before = saved(trace)
    trace.store.retry("a", *WHO)
    trace.do("a")
    trace.do("b", Place.DEAD)
    restore(trace, before)
    assert places(trace) == {"a": Place.DEAD, "b": Place.READY}
    assert trace.store.overview().dead_letters == 1
    with pytest.raises(NotFoundError, match="no dead letter"):
        trace.store.replay("b", *WHO)


def test_a_promotion_holds_fast_what_was_before_it(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 2))
    assert trace.store.captures() == [], "before the first phase is nothing to go back to"
    trace.do("a")
    (capture,) = trace.store.captures()
    found = trace.store.saved(capture)
    assert found is not None
    assert found.flags["reached"] == "1"
    assert [(each.id, each.place) for each in found.jobs] == [("a", "completed"), ("b", "open")]
    trace.store.drop(capture)
    assert trace.store.captures() == []


def test_of_fast_promotions_the_newest_are_held(trace: Trace) -> None:
    trace.load(*[job(f"j{phase}", phase) for phase in range(1, 9)])
    for phase in range(1, 9):
        trace.do(f"j{phase}")
    captures = trace.store.captures()
    assert len(captures) == CAPTURES
    assert [trace.store.saved(each).flags["reached"] for each in captures] == ["4", "5", "6", "7"]  # type: ignore[union-attr]


def test_a_capture_of_another_revision_is_no_snapshot(trace: Trace) -> None:
    trace.load(job("a", 1))
    capture = trace.store.capture()
    trace.load(job("a", 1, version=1))
    assert trace.store.saved(capture) is None


def test_nothing_is_restored_over_a_change_that_nobody_looked_at(trace: Trace) -> None:
    trace.load(job("a", 1))
    before = saved(trace)
    trace.load(job("a", 1), job("b", 1))
    with pytest.raises(RefusedError, match="somebody else"):
        trace.store.restore(before, 1, *WHO)
    assert places(trace) == {"a": Place.READY, "b": Place.READY}


def test_an_attempt_of_before_settles_nothing_after_it(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    before = saved(trace)
    hint, attempt = trace.start("a")
    trace.lose()
    restore(trace, before)
    assert trace.store.settle([ending(attempt)], hint, done=True) == [Answer.STALE]
    assert trace.place("a") is Place.READY


def test_a_job_that_a_load_has_removed_does_not_come_back_because_it_still_ran(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    trace.start("a")
    trace.load(job("b", 1))
    assert [found.id for found in saved(trace).jobs] == ["b"]


@pytest.mark.parametrize("lost", [False, True])
def test_a_snapshot_is_read_though_a_removed_job_ended_since_it_was_taken(trace: Trace, lost: bool) -> None:
    trace.load(job("a", 1), cyclic("tick", 1), job("b", 1))
    held = [trace.start("a"), trace.start("tick")]
    trace.load(job("b", 1))
    capture = trace.store.capture()
    if lost:
        trace.lose()
    else:
        assert [trace.finish(hint, attempt) for hint, attempt in held] == [Answer.REMOVED, Answer.REMOVED]
    found = trace.store.saved(capture)
    assert found is not None
    assert [one.id for one in found.jobs] == ["b"]


def test_what_looks_at_a_job_again_is_saved_with_it_and_counts_as_none(trace: Trace) -> None:
    trace.load(*kept(job("a", 1)), job("b@reverify", 1))
    trace.do("a")
    before = saved(trace)
    manifest, _ = pack(before, Kind.MANUAL)
    assert [found.id for found in before.jobs] == ["a", "a@reverify", "b@reverify"]
    assert (manifest.jobs, manifest.completed) == (2, 1)
    restore(trace, before)
    assert restored_diff(trace.store.all_jobs(), before) == []
