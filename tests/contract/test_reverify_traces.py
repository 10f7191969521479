"""Stays verified: what looks at a verified job again, what a no costs, and how it is over. Of the twin and of Redis."""

from datetime import timedelta
from typing import Any

import pytest

from moie_worker.errors import RefusedError
from moie_worker.plan.flow import SOVEREIGN, Answer, Attempt, Settlement
from moie_worker.plan.states import Outcome, Place
from tests.contract.model import job, kept, plan
from tests.contract.trace import LATE_MS, WHO, Trace, ending

DELAY_MS, PERIOD_MS = 900, 10_000
LOOK = "a@reverify"


def looked(attempt: Attempt, now: int, **changes: Any) -> Settlement:
    """A look that found its job as it was; `fresh=False` is one that is tried again."""
    slot = now + PERIOD_MS
    held: dict[str, Any] = {"due": slot, "slot": slot, "fresh": True, "evidence": '{"exit_code":0}'}
    return ending(attempt, Place.TIMED, **(held | changes))


def no(attempt: Attempt, now: int, **changes: Any) -> Settlement:
    """A look that found its job undone."""
    said: dict[str, Any] = {"outcome": Outcome.FAILED, "message": "no", "evidence": '{"exit_code":1}'}
    return looked(attempt, now, **(said | changes))


def look(trace: Trace, how: Any = looked, **changes: Any) -> Answer:
    """Wait until the job is looked at again, and end the look in some way."""
    trace.advance(PERIOD_MS + DELAY_MS)
    hint, attempt = trace.start(LOOK)
    return trace.store.settle([how(attempt, trace.time.now, **changes)], hint, done=True)[0]


def verified(trace: Trace, *others: Any) -> None:
    """Job a is verified, and stays so in a plan with some others."""
    trace.load(*kept(job("a", 1)), *others)
    trace.do("a", evidence='{"exit_code":0}')
    trace.store.reserve("default", 0, "woken")


def front(trace: Trace) -> int:
    return trace.store.overview().flags.frontier


def regressed(trace: Trace) -> list[str]:
    return [regression.definition.id for regression in trace.store.regressions(10)]


def test_a_verified_job_is_looked_at_again_when_its_time_comes_and_not_before(trace: Trace) -> None:
    verified(trace)
    assert trace.job(LOOK).due == trace.time.now + DELAY_MS
    trace.advance(DELAY_MS - 1)
    assert trace.offered() == set()
    trace.advance(1)
    assert trace.offered() == {LOOK}


def test_nobody_looks_again_at_what_is_not_verified_yet(trace: Trace) -> None:
    trace.load(*kept(job("a", 1)))
    trace.advance(5 * PERIOD_MS)
    assert trace.offered() == {"a"}
    assert trace.place(LOOK) is Place.PARKED


def test_a_job_that_holds_stays_verified_and_says_how_often_and_since_when(trace: Trace) -> None:
    verified(trace)
    since = trace.job("a").evidence["at"]
    for _ in range(3):
        assert look(trace) is Answer.SETTLED
    found = trace.job("a")
    assert found.place is Place.COMPLETED
    assert (found.evidence["held"], found.evidence["since"]) == (3, since)
    assert found.evidence["at"] == trace.time.now
    assert trace.events(LOOK) == []  # its receipts say that it held; the journal is for what happens
    assert trace.job(LOOK).due == trace.time.now + PERIOD_MS


def test_a_look_that_runs_opens_no_phase_and_holds_nothing_up(trace: Trace) -> None:
    verified(trace, job("b", 2))
    trace.advance(DELAY_MS)
    trace.start(LOOK)
    assert trace.place("a") is Place.COMPLETED
    assert front(trace) == 2
    trace.do("b")
    assert front(trace) == SOVEREIGN


def test_what_looks_again_is_counted_apart_and_in_no_list_of_jobs(trace: Trace) -> None:
    verified(trace, job("b", 2))
    overview = trace.store.overview()
    assert sum(overview.counts.values()) == 2
    assert overview.looks == {Place.TIMED: 1}
    assert {view.definition.id for view in trace.store.all_jobs()} == {"a", "b"}
    assert trace.store.cyclic() == []


def test_a_no_opens_the_job_and_its_phase_and_freezes_what_is_later(trace: Trace) -> None:
    verified(trace, job("b", 2), job("c", 2), job("d", 3))
    trace.do("b")
    assert look(trace, no) is Answer.SETTLED
    assert front(trace) == 1
    assert trace.store.overview().open_phases == {1, 2, 3}
    assert trace.place("b") is Place.COMPLETED
    assert trace.begin(trace.hint("c")) == []  # though it was offered before
    assert trace.place("c") is Place.PARKED
    assert trace.offered() == {"a"}
    assert regressed(trace) == ["a"]


def test_a_plan_is_sovereign_no_more_until_the_regression_is_over(trace: Trace) -> None:
    verified(trace)
    assert front(trace) == SOVEREIGN
    look(trace, no)
    assert front(trace) == 1
    trace.advance(5)
    trace.do("a")
    assert front(trace) == SOVEREIGN
    assert trace.store.overview().flags.sovereign_at == trace.time.now


def test_a_job_that_was_imported_as_done_is_verified_once_a_look_at_it_passes(trace: Trace) -> None:
    trace.load(*kept(job("a", 1, imported=True)))
    assert trace.store.overview().imported == 1
    trace.store.reserve("default", 0, "woken")
    look(trace)
    found = trace.job("a")
    assert (found.evidence["held"], found.evidence["since"]) == (1, trace.time.now)
    assert trace.store.overview().imported == 0


def test_a_regression_says_what_held_before_and_what_does_not_now(trace: Trace) -> None:
    verified(trace)
    look(trace)
    held_at = trace.time.now
    look(trace, no)
    (found,) = trace.store.regressions(10)
    assert found.since == trace.time.now
    assert (found.evidence["exit_code"], found.evidence["before"]["exit_code"]) == (1, 0)
    assert (found.evidence["before"]["at"], found.evidence["before"]["held"]) == (held_at, 1)
    assert trace.events("a")[-1] == "job.regressed"
    assert trace.events(LOOK) == ["job.failed"]


def test_a_job_that_regressed_and_what_found_it_start_anew(trace: Trace) -> None:
    verified(trace)
    look(trace, no, fresh=False, slot=0, due=trace.time.now)
    look(trace, no)
    assert trace.place(LOOK) is Place.PARKED
    assert trace.job(LOOK).attempts == 0
    hint, attempt = trace.start("a")
    assert (attempt.attempts, attempt.first_at) == (1, trace.time.now)  # a deadline counts from here
    trace.finish(hint, attempt)
    trace.store.reserve("default", 0, "woken")
    trace.advance(PERIOD_MS)
    assert trace.start(LOOK)[1].attempts == 1


def test_it_is_over_by_itself_when_the_check_holds_again(trace: Trace) -> None:
    verified(trace, job("b", 2))
    look(trace, no)
    trace.do("a", Place.WAITING)  # still not
    assert trace.begin(trace.hint("b")) == []
    trace.advance(PERIOD_MS)
    trace.beat()
    assert trace.offered() == {"a"}
    hint = trace.hint("a")
    trace.finish(hint, trace.begin(hint)[0])
    assert regressed(trace) == []
    assert trace.store.overview().regressed == 0
    assert trace.events("a")[-1] == "job.recovered"
    trace.store.reserve("default", 0, "woken")
    assert trace.place("b") is Place.READY
    assert trace.job(LOOK).due == trace.time.now + DELAY_MS
    assert trace.job(LOOK).evidence == {}
    assert "held" not in trace.job("a").evidence  # counted anew


def test_a_no_that_is_tried_again_and_what_cannot_be_run_open_nothing(trace: Trace) -> None:
    verified(trace)
    look(trace, no, fresh=False, slot=0, due=trace.time.now)
    look(trace, no, outcome=Outcome.BROKEN, reason="cannot be run")
    assert trace.place("a") is Place.COMPLETED
    assert front(trace) == SOVEREIGN
    assert regressed(trace) == []
    assert trace.events(LOOK) == ["job.failed", "job.broken", "job.dead"]


def test_a_no_that_is_told_twice_opens_the_job_once(trace: Trace) -> None:
    verified(trace)
    trace.advance(DELAY_MS)
    hint, attempt = trace.start(LOOK)
    verdict = no(attempt, trace.time.now)
    assert trace.store.settle([verdict], hint, done=True) == [Answer.SETTLED]
    trace.do("a")
    assert trace.store.settle([verdict], hint, done=True) == [Answer.STALE]
    assert trace.place("a") is Place.COMPLETED
    assert trace.events("a").count("job.regressed") == 1


def test_what_waits_for_the_job_waits_again(trace: Trace) -> None:
    verified(trace, job("b", 1, needs=("a",)))
    look(trace, no)
    trace.do("a", Place.WAITING)
    assert trace.begin(trace.hint("b")) == []
    assert trace.place("b") is Place.PARKED
    trace.advance(PERIOD_MS)
    assert trace.offered() == set()


def test_a_look_whose_worker_dies_is_offered_again_and_its_job_stays_verified(trace: Trace) -> None:
    verified(trace)
    trace.advance(DELAY_MS)
    trace.start(LOOK)
    assert trace.lose() == 1
    assert trace.place("a") is Place.COMPLETED
    assert trace.offered() == {LOOK}


def test_a_look_that_kills_its_workers_leaves_a_letter_and_its_job_verified(trace: Trace) -> None:
    verified(trace)
    trace.advance(DELAY_MS)
    for _ in range(3):
        trace.start(LOOK)
        trace.advance(LATE_MS)
        trace.store.rescue()
    assert trace.events(LOOK)[-1] == "job.dead"
    assert trace.place("a") is Place.COMPLETED
    assert trace.history(LOOK).runs == 0
    trace.advance(PERIOD_MS)
    assert trace.offered() == {LOOK}


def test_two_beats_offer_one_look_for_one_due_time(trace: Trace) -> None:
    verified(trace)
    trace.advance(DELAY_MS)
    other = trace.another()
    hints = [*trace.store.reserve("default", 4, "one").hints, *other.reserve("default", 4, "two").hints]
    assert [hint.jobs for hint in hints] == [(LOOK,)]


def test_a_no_about_an_older_revision_of_the_job_opens_nothing(trace: Trace) -> None:
    verified(trace)
    trace.advance(DELAY_MS)
    hint, attempt = trace.start(LOOK)
    trace.load(*kept(job("a", 1, version=1)))
    trace.do("a")
    assert trace.store.settle([no(attempt, trace.time.now)], hint, done=True) == [Answer.SUPERSEDED]
    assert trace.place("a") is Place.COMPLETED
    assert regressed(trace) == []


def test_a_changed_period_holds_from_now_on_and_the_job_stays_verified(trace: Trace) -> None:
    verified(trace)
    trace.load(*kept(job("a", 1), timing="u", delay_ms=5_000))
    assert trace.place("a") is Place.COMPLETED
    assert trace.job(LOOK).due == trace.time.now + 5_000


def test_who_wants_no_more_looks_loses_the_regression_and_not_the_job(trace: Trace) -> None:
    verified(trace)
    look(trace, no)
    trace.load(job("a", 1))
    assert regressed(trace) == []
    assert trace.offered() == {"a"}
    trace.do("a")
    trace.advance(5 * PERIOD_MS)
    assert trace.offered() == set()


def test_a_loaded_job_that_is_verified_already_is_looked_at_from_then_on(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.do("a")
    trace.load(*kept(job("a", 1)))
    assert trace.place("a") is Place.COMPLETED
    assert trace.job(LOOK).due == trace.time.now + DELAY_MS


def test_a_regressed_job_that_is_taken_out_of_the_plan_is_no_regression(trace: Trace) -> None:
    verified(trace)
    look(trace, no)
    trace.store.cancel("a", *WHO)
    assert regressed(trace) == []
    assert front(trace) == 1  # cancelled is not done
    assert "job.recovered" not in trace.events("a")


def test_a_dead_regression_stays_one(trace: Trace) -> None:
    verified(trace)
    look(trace, no)
    trace.do("a", Place.DEAD)
    assert regressed(trace) == ["a"]
    trace.store.retry("a", *WHO)
    trace.do("a")
    assert regressed(trace) == []


def test_nothing_is_looked_at_while_the_plan_is_paused_and_once_when_it_goes_on(trace: Trace) -> None:
    verified(trace)
    trace.store.pause(*WHO)
    trace.advance(7 * PERIOD_MS)
    assert trace.offered() == set()
    trace.store.resume(*WHO)
    assert trace.offered() == {LOOK}
    assert trace.offered() == set()


def test_somebody_may_have_a_verified_job_looked_at_now(trace: Trace) -> None:
    verified(trace)
    trace.store.run("a", *WHO)
    assert trace.offered() == {LOOK}
    with pytest.raises(RefusedError, match="sent"):
        trace.store.run("a", *WHO)


def test_a_look_that_is_given_back_is_offered_again_at_once(trace: Trace) -> None:
    verified(trace)
    trace.advance(DELAY_MS)
    hint, attempt = trace.start(LOOK)
    trace.store.release([attempt.token], hint, True)
    assert trace.offered() == {LOOK}


def test_a_snapshot_holds_regressions_and_none_that_came_later(trace: Trace) -> None:
    verified(trace, job("b", 2))
    before = trace.store.saved(trace.store.capture())
    look(trace, no)
    after = trace.store.saved(trace.store.capture())
    assert before is not None
    assert after is not None
    trace.store.restore(before, 1, *WHO)
    trace.load_plan_to_its_end()
    assert (regressed(trace), front(trace)) == ([], 2)
    trace.store.restore(after, 2, *WHO)
    trace.load_plan_to_its_end()
    assert (regressed(trace), front(trace)) == (["a"], 1)
    (found,) = trace.store.regressions(10)
    assert found.evidence["before"]["exit_code"] == 0
    trace.do("a")
    assert (regressed(trace), front(trace)) == ([], 2)


def test_a_job_that_goes_back_to_before_it_was_verified_is_no_regression(trace: Trace) -> None:
    trace.load(*kept(job("a", 1)))
    saved = trace.store.saved(trace.store.capture())
    assert saved is not None
    trace.do("a")
    trace.store.reserve("default", 0, "woken")
    look(trace, no)
    trace.store.restore(saved, 1, *WHO)
    trace.load_plan_to_its_end()
    assert (regressed(trace), trace.place("a")) == ([], Place.READY)


def test_a_restored_look_keeps_its_time(trace: Trace) -> None:
    verified(trace)
    due, saved = trace.job(LOOK).due, trace.store.saved(trace.store.capture())
    assert saved is not None
    trace.store.restore(saved, 1, *WHO)
    trace.load_plan_to_its_end()
    assert trace.job(LOOK).due == due
    again = trace.store.saved(trace.store.capture())
    assert again is not None
    assert again.digest == saved.digest


def test_the_oldest_regressions_are_told_first(trace: Trace) -> None:
    trace.load_plan(plan(*kept(job("a", 1)), *kept(job("b", 1)), job("c", 1)))
    for name in ("a", "b", "c"):
        trace.do(name)
    for name in ("b@reverify", "a@reverify"):
        trace.advance(PERIOD_MS + DELAY_MS)
        hint, attempt = trace.start(name)
        trace.store.settle([no(attempt, trace.time.now)], hint, done=True)
    assert regressed(trace) == ["b", "a"]
    assert [each.definition.id for each in trace.store.regressions(1)] == ["b"]
    assert timedelta(milliseconds=trace.store.regressions(1)[0].since) < timedelta(milliseconds=trace.time.now)
