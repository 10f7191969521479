"""Short stories of phases: reached in order, each once, as fast as their work."""

import pytest

from moie_worker.errors import NotFoundError, RefusedError
from moie_worker.plan.flow import SOVEREIGN
from moie_worker.plan.states import Place
from tests.contract.model import cyclic, job
from tests.contract.trace import WHO, Trace


def reached(trace: Trace) -> list[int]:
    return [entry.data["phase"] for entry in trace.store.read_journal(1000) if entry.event == "phase.reached"]


def test_a_phase_is_reached_by_the_settlement_that_ends_the_one_before(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 2))
    assert trace.offered() == {"a"}
    trace.advance(20_000)
    trace.do("a")
    assert trace.store.overview().flags.frontier == 2
    assert trace.offered() == {"b"}


def test_ids_with_gaps_and_in_any_order_are_reached_in_theirs(trace: Trace) -> None:
    trace.load(job("e", 5), job("a", 1), job("b", 2))
    for name in ("a", "b", "e"):
        trace.do(name)
    assert reached(trace) == [1, 2, 5]
    assert trace.events()[-1] == "plan.sovereign"
    assert trace.store.overview().flags.frontier == SOVEREIGN


def test_a_phase_of_cyclic_jobs_is_passed_at_once_and_keeps_running(trace: Trace) -> None:
    trace.load(job("a", 1), cyclic("x", 2), job("b", 3))
    assert trace.offered() == {"a"}
    trace.advance(20_000)
    trace.do("a")
    assert reached(trace) == [1, 2, 3]
    assert trace.offered() == {"x", "b"}


def test_a_cyclic_job_that_starts_at_load_waits_for_no_phase(trace: Trace) -> None:
    trace.load(job("a", 1), cyclic("x", 7, at_load=True), cyclic("y", 7))
    assert trace.offered() == {"a", "x"}


def test_jobs_follow_what_they_need(trace: Trace) -> None:
    trace.load(job("a", 1, needs=("b", "c")), job("b", 1), job("c", 1))
    assert trace.offered() == {"b", "c"}
    trace.advance(20_000)
    trace.do("b")
    trace.advance(30_000)
    assert trace.offered() == {"c"}
    trace.advance(60_000)
    trace.do("c")
    assert trace.offered() == {"a"}


def test_a_phase_that_asks_waits_for_its_answer(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 2), cyclic("x", 2), approvals=[2])
    trace.do("a")
    assert trace.store.overview().flags.frontier == 2
    assert trace.offered() == set()
    trace.store.answer(2, False, *WHO)
    assert trace.offered() == set()
    trace.store.answer(2, True, *WHO)
    assert trace.offered() == {"b", "x"}


def test_an_approved_phase_may_be_rejected_before_it_ran(trace: Trace) -> None:
    trace.load(job("a", 1), approvals=[1])
    trace.store.answer(1, True, *WHO)
    (hint,) = trace.offer()
    trace.store.answer(1, False, *WHO)
    assert trace.begin(hint) == []
    assert trace.place("a") is Place.PARKED


def test_a_phase_of_which_all_is_done_stays_open_until_it_is_approved(trace: Trace) -> None:
    trace.load(job("a", 1, imported=True), job("b", 2), approvals=[1])
    assert trace.offered() == set()
    trace.store.answer(1, True, *WHO)
    assert trace.offered() == {"b"}


def test_an_approval_holds_for_the_jobs_that_were_approved(trace: Trace) -> None:
    trace.load(job("a", 1), approvals=[1])
    trace.store.answer(1, True, *WHO)
    trace.load(job("a", 1, job={"id": "a", "description": "now with words"}), approvals=[1])
    assert trace.offered() == {"a"}
    trace.load(job("a", 1, version=1), approvals=[1])
    assert trace.offered() == set()
    assert trace.place("a") is Place.PARKED


def test_only_a_phase_that_asks_is_answered(trace: Trace) -> None:
    trace.load(job("a", 1))
    with pytest.raises(RefusedError, match="asks for no approval"):
        trace.store.answer(1, True, *WHO)
    with pytest.raises(NotFoundError, match="no phase 2"):
        trace.store.answer(2, True, *WHO)


def test_a_regression_freezes_what_is_later_but_not_what_watches(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 2), cyclic("x", 2))
    trace.do("a")
    hints = {hint.jobs[0]: hint for hint in trace.offer()}
    trace.load(job("a", 1, version=1), job("b", 2), cyclic("x", 2))
    assert trace.store.overview().flags.frontier == 1
    assert trace.begin(hints["b"]) == []
    assert len(trace.begin(hints["x"])) == 1
    with pytest.raises(RefusedError, match="waits for"):
        trace.store.run("b", *WHO)
    trace.do("a")
    assert reached(trace) == [1, 2]  # no phase is reached twice
    assert "b" in trace.offered()


def test_a_waiting_job_of_a_frozen_phase_is_not_run(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 2))
    trace.do("a")
    trace.do("b", Place.WAITING)
    trace.load(job("a", 1, version=1), job("b", 2))
    with pytest.raises(RefusedError, match="waits for phase:2"):
        trace.store.run("b", *WHO)
    trace.beat()
    assert trace.offered() == {"a"}
    assert trace.place("b") is Place.PARKED


def test_a_waiting_job_is_looked_at_when_asked(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.do("a", Place.WAITING)
    trace.store.run("a", *WHO)
    assert trace.offered() == {"a"}


def test_a_phase_that_is_added_in_front_is_visited(trace: Trace) -> None:
    trace.load(job("a", 1), job("e", 5))
    trace.do("a")
    trace.load(job("a", 1), job("c", 3), job("e", 5))
    assert trace.offered() == {"c"}
    trace.advance(20_000)
    trace.do("c")
    assert trace.offered() == {"e"}


def test_a_sovereign_plan_wakes_when_work_is_added(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.do("a")
    first = trace.store.overview().flags.sovereign_at
    assert first == trace.time.now
    trace.advance(1_000)
    trace.load(job("a", 1), job("b", 2))
    trace.do("b")
    assert reached(trace) == [1, 2]
    assert trace.events().count("plan.sovereign") == 2


def test_a_watch_that_is_added_to_a_sovereign_plan_runs(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.do("a")
    trace.load(job("a", 1), cyclic("x", 2))
    assert reached(trace) == [1, 2]
    assert trace.offered() == {"x"}
    assert trace.events().count("plan.sovereign") == 1


def test_an_idle_cyclic_job_is_never_offered(trace: Trace) -> None:
    trace.load(cyclic("i", 1, idle=True))
    assert trace.offered() == set()
    with pytest.raises(RefusedError, match="waits for"):
        trace.store.run("i", *WHO)


def test_a_heartbeat_is_written_down_with_the_id_under_which_it_was_sent(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.store.beat("report", "w", "heartbeat:1800000000000")
    trace.store.beat("another", "w")
    sent, asked_for = trace.store.read_journal(2)
    assert (sent.event, sent.who, sent.data) == (
        "heartbeat",
        "w",
        {"report": "report", "pulse": "heartbeat:1800000000000"},
    )
    assert asked_for.data == {"report": "another"}, "somebody asked for this one"
