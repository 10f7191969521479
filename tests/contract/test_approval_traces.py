"""Short stories of approvals: when the clock starts, what silence means, and who counts as a second person."""

from dataclasses import replace
from typing import Any

import pytest

from moie_worker.errors import RefusedError
from moie_worker.plan.flow import Approval
from moie_worker.plan.states import PhaseStatus
from moie_worker.plan.status import phase_status
from tests.contract.model import job, plan
from tests.contract.trace import Trace

HOUR_MS = 3_600_000
ADA, BOB, OPS = "ada@one", "bob@two", "ops@one"


def asks(trace: Trace, **terms: Any) -> None:
    """Load a plan whose second phase asks for approval."""
    trace.load_plan(plan(job("a", 1), job("b", 2), approvals=[2], **terms))


def status(trace: Trace) -> PhaseStatus:
    return phase_status(replace(trace.store.overview(), now=trace.time.now), 2)


def request(trace: Trace) -> Approval:
    return trace.store.overview().approvals[2]


def test_the_clock_starts_when_the_phase_is_first_awaited(trace: Trace) -> None:
    asks(trace)
    trace.advance(2 * HOUR_MS)
    assert request(trace).asked == 0
    trace.do("a")
    assert request(trace).asked == trace.time.now
    assert trace.events().count("phase.asked") == 1
    trace.advance(HOUR_MS - 1)
    assert status(trace) is PhaseStatus.AWAITING_APPROVAL
    trace.advance(1)
    assert status(trace) is PhaseStatus.EXPIRED


def test_silence_means_no_and_the_journal_says_so_once(trace: Trace) -> None:
    asks(trace, expires_ms=5000)
    trace.do("a")
    trace.advance(4999)
    assert not trace.store.expire(2)
    trace.advance(1)
    assert [trace.store.expire(2), trace.store.expire(2)] == [True, False]
    assert trace.events()[-1] == "phase.expired"
    assert trace.offered() == set()


def test_a_yes_after_the_no_of_silence_asks_and_answers_anew(trace: Trace) -> None:
    asks(trace, expires_ms=5000)
    trace.do("a")
    trace.advance(9000)
    trace.store.expire(2)
    assert trace.store.answer(2, True, ADA, "now it is time")
    assert status(trace) is PhaseStatus.ACTIVE
    assert request(trace).asked == trace.time.now
    assert [(vote.who, vote.why) for vote in request(trace).yes] == [(ADA, "now it is time")]
    assert trace.offered() == {"b"}


def test_an_approval_that_was_given_does_not_expire(trace: Trace) -> None:
    asks(trace, expires_ms=5000)
    assert trace.store.answer(2, True, ADA, "ahead of time")
    trace.advance(HOUR_MS)
    trace.do("a")
    assert status(trace) is PhaseStatus.ACTIVE
    assert not trace.store.expire(2)
    with pytest.raises(RefusedError, match="phase 2 is approved already"):
        trace.store.answer(2, True, BOB, "")


def test_a_change_of_the_phase_asks_anew_and_the_clock_starts_anew(trace: Trace) -> None:
    asks(trace, expires_ms=5000)
    trace.do("a")
    trace.advance(9000)
    trace.load_plan(plan(job("a", 1), job("b", 2, version=1), approvals=[2], expires_ms=5000))
    assert status(trace) is PhaseStatus.AWAITING_APPROVAL
    assert request(trace).asked == trace.time.now


def test_a_load_that_leaves_the_phase_as_it_was_leaves_its_clock(trace: Trace) -> None:
    asks(trace, expires_ms=5000)
    trace.do("a")
    before = request(trace)
    trace.advance(4000)
    asks(trace, expires_ms=5000)
    assert request(trace) == before


def test_two_different_persons_must_approve(trace: Trace) -> None:
    asks(trace, persons=2)
    trace.do("a")
    assert not trace.store.answer(2, True, ADA, "looks right")
    assert trace.offered() == set()
    with pytest.raises(RefusedError, match="another person: ada approved it"):
        trace.store.answer(2, True, "ada@another", "me again")
    assert trace.store.answer(2, True, BOB, "I agree")
    assert trace.offered() == {"b"}
    assert trace.events()[-2:] == ["phase.endorsed", "phase.approved"]


def test_whoever_loaded_the_phase_is_none_of_the_two(trace: Trace) -> None:
    asks(trace, persons=2)
    with pytest.raises(RefusedError, match="others than ops, who loaded it"):
        trace.store.answer(2, True, OPS, "mine")
    trace.store.load(plan(job("a", 1), job("b", 2), job("c", 3), approvals=[2], persons=2), 1, ADA, "")
    trace.store.apply()
    with pytest.raises(RefusedError, match="others than ops"):  # ada loaded it again, and did not make it hers
        trace.store.answer(2, True, OPS, "mine")
    assert not trace.store.answer(2, True, ADA, "")


def test_of_two_persons_the_second_may_come_too_late(trace: Trace) -> None:
    asks(trace, persons=2, expires_ms=5000)
    trace.do("a")
    trace.store.answer(2, True, ADA, "")
    trace.advance(5000)
    assert not trace.store.answer(2, True, BOB, "")
    assert [vote.who for vote in request(trace).yes] == [BOB]
    assert trace.store.answer(2, True, ADA, "again")


def test_a_no_of_silence_that_was_said_is_not_taken_back_by_a_load_with_more_time(trace: Trace) -> None:
    asks(trace, persons=2, expires_ms=5000)
    trace.do("a")
    assert not trace.store.answer(2, True, ADA, "")
    trace.advance(5000)
    trace.store.expire(2)
    asks(trace, persons=2, expires_ms=HOUR_MS)
    assert status(trace) is PhaseStatus.EXPIRED
    assert not trace.store.answer(2, True, BOB, ""), "what ada said went with the request that she answered"
    assert [vote.who for vote in request(trace).yes] == [BOB]


def test_one_no_takes_back_what_another_said(trace: Trace) -> None:
    asks(trace, persons=2)
    trace.do("a")
    trace.store.answer(2, True, ADA, "")
    trace.store.answer(2, False, BOB, "not on a Friday")
    no = request(trace).no
    assert status(trace) is PhaseStatus.REJECTED
    assert no is not None
    assert (no.who, no.why) == (BOB, "not on a Friday")
    trace.advance(2 * HOUR_MS)
    assert not trace.store.expire(2)
    assert not trace.store.answer(2, True, BOB, "on Monday")
    assert status(trace) is PhaseStatus.AWAITING_APPROVAL


def test_a_phase_that_left_the_plan_and_came_back_asks_again(trace: Trace) -> None:
    asks(trace)
    trace.store.answer(2, True, ADA, "")
    trace.load(job("a", 1))
    asks(trace)
    trace.do("a")
    assert status(trace) is PhaseStatus.AWAITING_APPROVAL


def test_what_nobody_must_approve_any_more_begins(trace: Trace) -> None:
    asks(trace, persons=2)
    trace.do("a")
    trace.load(job("a", 1), job("b", 2))
    assert trace.offered() == {"b"}
