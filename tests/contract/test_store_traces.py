"""Short stories of attempts: each breaks a promise of the protocol where one of its rules is left out."""

from datetime import timedelta

import pytest

from moie_worker.errors import NotFoundError, RefusedError
from moie_worker.plan.decide import Ended, crashed, settlement
from moie_worker.plan.flow import Answer
from moie_worker.plan.limits import GAP_GRACE_MS
from moie_worker.plan.model import Job
from moie_worker.plan.states import Outcome, Place
from tests.contract.model import LEASE, cyclic, job
from tests.contract.trace import LATE_MS, WHO, Trace, ending, ran, short_jobs

# -- settled exactly once -----------------------------------------------------------------------------


def test_the_same_nonce_gets_the_same_answer_and_another_gets_nothing(trace: Trace) -> None:
    trace.load(job("a", 1))
    (hint,) = trace.offer()
    first = trace.store.begin(hint, "nonce", "w", LEASE)
    assert trace.store.begin(hint, "nonce", "w", LEASE) == first != []
    assert trace.store.begin(hint, "other", "w", LEASE) == []
    assert trace.job("a").attempts == 1


def test_the_same_nonce_much_later_begins_anew_under_another_token(trace: Trace) -> None:
    trace.load(job("a", 1))
    (hint,) = trace.offer()
    (first,) = trace.store.begin(hint, "nonce", "w", LEASE)
    trace.lose()
    (second,) = trace.store.begin(hint, "nonce", "w", LEASE)
    assert second.token != first.token


def test_a_token_that_was_taken_back_settles_nothing(trace: Trace) -> None:
    trace.load(job("a", 1))
    hint, first = trace.start("a")
    assert trace.lose() == 1
    again, second = trace.start("a")
    assert trace.finish(hint, first) is Answer.STALE
    assert trace.place("a") is Place.RUNNING
    assert trace.finish(again, second) is Answer.SETTLED


def test_a_settlement_counts_once_and_says_so_again(trace: Trace) -> None:
    trace.load(job("a", 1))
    hint, attempt = trace.start("a")
    this = ending(attempt)
    assert trace.store.settle([this, this], hint, done=True) == [Answer.SETTLED, Answer.AGAIN]
    assert trace.store.settle([this], hint, done=True) == [Answer.AGAIN]
    assert trace.events("a") == ["job.passed"]


def test_half_a_sign_in_what_an_attempt_says_keeps_no_other_from_being_settled(trace: Trace) -> None:
    """As in the error of a file whose name is no UTF-8, and in what a plugin found."""
    trace.load(job("a", 1), job("b", 1))
    (_, first), (hint, second) = trace.start("a"), trace.start("b")
    odd = "no file 'a\udcff'"
    ended = Ended(Outcome.FAILED, odd, {"detail": {"files": [odd]}}, timedelta(seconds=1))
    said = settlement(Job(id="a", task="t", verification_cmd="true"), first, ended, trace.time.now, 0.5)
    assert trace.store.settle([said, crashed(second, odd)], hint, done=True) == [Answer.SETTLED] * 2
    assert trace.job("a").evidence["detail"] == {"files": ["no file 'a\\udcff'"]}
    assert trace.store.settle([said], hint, done=True) == [Answer.AGAIN]  # the evidence can be read in Redis
    assert trace.place("b") is Place.DEAD


def test_a_late_repeat_does_not_end_the_next_attempt(trace: Trace) -> None:
    trace.load(job("a", 1))
    hint, first = trace.start("a")
    failed = ending(first, Place.READY, outcome=Outcome.BROKEN)
    trace.store.settle([failed], hint, done=True)
    _, second = trace.start("a")
    assert trace.store.settle([failed], hint, done=True) == [Answer.AGAIN]
    assert trace.job("a").token == second.token


def test_evidence_is_kept_with_the_token_that_left_it(trace: Trace) -> None:
    trace.load(job("a", 1))
    hint, attempt = trace.start("a")
    trace.finish(hint, attempt, evidence='{"exit_code": 0, "head": "ok | – \\"é\\""}')
    assert trace.job("a").evidence == {
        "token": attempt.token,
        "at": trace.time.now,
        "exit_code": 0,
        "head": 'ok | – "é"',
    }


# -- leases -------------------------------------------------------------------------------------------


def test_a_lease_that_is_renewed_is_never_taken_back(trace: Trace) -> None:
    trace.load(job("a", 1))
    hint, attempt = trace.start("a")
    trace.advance(29_000)
    assert trace.store.renew([attempt.token], LEASE, hint) == ["ok"]
    trace.advance(29_000)
    assert trace.store.rescue() == 0
    assert trace.place("a") is Place.RUNNING


def test_the_guard_has_two_seconds_before_somebody_else_begins(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.start("a")
    trace.advance(LATE_MS - 1)
    assert trace.store.rescue() == 0
    trace.advance(1)
    assert trace.store.rescue() == 1
    assert trace.place("a") is Place.READY


def test_no_lease_is_renewed_past_the_time_limit(trace: Trace) -> None:
    trace.load(job("a", 1, limit_ms=20_000))
    hint, attempt = trace.start("a")
    trace.advance(20_000)
    assert trace.store.renew([attempt.token, "unknown"], LEASE, hint) == ["ok", "gone"]
    trace.advance(1)
    assert trace.store.renew([attempt.token], LEASE, hint) == ["gone"]


def test_what_is_given_back_was_never_begun(trace: Trace) -> None:
    trace.load(job("a", 1))
    hint, attempt = trace.start("a")
    trace.store.release([attempt.token, "unknown"], hint, done=True)
    assert (trace.place("a"), trace.job("a").attempts) == (Place.READY, 0)
    assert trace.finish(hint, attempt) is Answer.STALE
    assert trace.start("a")[1].attempts == 1


# -- loss ---------------------------------------------------------------------------------------------


def test_the_third_loss_alone_is_a_dead_letter(trace: Trace) -> None:
    trace.load(job("a", 1))
    for losses in (1, 2):
        trace.start("a")
        trace.lose()
        assert (trace.place("a"), trace.job("a").losses, trace.job("a").attempts) == (Place.READY, losses, 0)
    trace.start("a")
    trace.lose()
    assert trace.place("a") is Place.DEAD
    assert trace.store.overview().dead_letters == 1
    assert [entry.why for entry in trace.store.read_journal(100) if entry.event == "job.dead"] == ["kills its worker"]


def test_a_loss_in_a_batch_charges_nobody_and_its_members_travel_alone(trace: Trace) -> None:
    trace.load(*short_jobs(40))
    trace.make_short()
    batch = next(hint for hint in trace.offer(1) if len(hint.jobs) > 1)
    lost = [attempt.definition.id for attempt in trace.begin(batch)]
    trace.lose()
    assert {trace.job(name).losses for name in lost} == {0}
    alone = {hint.jobs[0] for hint in trace.offer(60) if len(hint.jobs) == 1}
    assert set(lost) <= alone


def test_a_loss_while_redis_was_away_is_not_charged(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.start("a")
    trace.advance(LATE_MS)
    trace.store.gap()
    assert trace.store.rescue() == 0
    trace.advance(GAP_GRACE_MS - 1)
    assert trace.store.rescue() == 0
    trace.advance(1)
    assert trace.store.rescue() == 1
    assert trace.job("a").losses == 0


def test_a_loss_after_redis_came_back_is_charged(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.store.gap()
    trace.advance(1)
    trace.start("a")
    trace.lose()
    assert trace.job("a").losses == 1


def test_a_success_forgets_that_a_batch_was_lost(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    trace.start("a")
    trace.lose()
    trace.do("a", Place.WAITING)
    assert trace.job("a").losses == 0


def test_after_three_losses_the_next_slot_of_a_calendar_is_looked_up_at_once(trace: Trace) -> None:
    trace.load(cyclic("x", 1, job={"id": "x", "schedule": {"cron": "0 3 * * *"}}))
    for _ in range(3):
        trace.start("x")
        trace.lose()
    assert (trace.store.overview().dead_letters, trace.job("x").slot) == (1, 0)
    assert trace.offered() == {"x"}


def test_slots_that_are_left_out_between_losses_forget_none_of_them(trace: Trace) -> None:
    trace.load(cyclic("x", 1))
    for _ in range(2):
        trace.start("x")
        assert trace.lose() == 1
        hint, attempt = trace.start("x")  # its slot was missed meanwhile
        slot = trace.time.now + 100
        left_out = ran(attempt, slot, outcome=Outcome.CANCELLED, run=None, duration_ms=0)
        trace.store.settle([left_out], hint, done=True)
        trace.advance(100)
    trace.start("x")
    trace.lose()
    assert trace.store.overview().dead_letters == 1


def test_a_slot_that_is_left_out_does_not_end_the_search_for_what_kills_workers(trace: Trace) -> None:
    trace.load(*short_jobs(0), *(cyclic(f"x{n:02}", 2) for n in range(20)))
    trace.make_short()
    for hint in trace.offer(64):
        trace.begin(hint)
    trace.lose()  # all of them, in a batch
    slot = trace.time.now + 100
    for hint in trace.offer(64):
        (attempt,) = trace.begin(hint)
        end = ran(attempt, slot, duration_ms=1)
        if hint.jobs == ("x00",):
            end = ran(attempt, slot, outcome=Outcome.CANCELLED, run=None, duration_ms=0)
        trace.store.settle([end], hint, done=True)
    trace.advance(100)
    offered = [hint.jobs for hint in trace.offer(64)]
    assert ("x00",) in offered
    assert len(offered) == 2


def test_after_three_losses_of_a_cyclic_job_the_next_slot_runs(trace: Trace) -> None:
    trace.load(cyclic("x", 1))
    for _ in range(3):
        trace.start("x")
        trace.lose()
    view = trace.job("x")
    assert (view.place, view.due, view.slot, view.losses) == (Place.TIMED, trace.time.now + 10_000, 0, 0)
    assert trace.store.overview().dead_letters == 1
    assert (trace.history("x").runs, trace.history("x").failures) == (1, 1)
    trace.advance(10_000)
    assert trace.offered() == {"x"}


# -- what operators do --------------------------------------------------------------------------------


def test_a_cancelled_job_keeps_its_lease_until_its_worker_answers(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 2))
    hint, attempt = trace.start("a")
    trace.store.cancel("a", *WHO)
    assert trace.place("a") is Place.RUNNING
    assert trace.store.renew([attempt.token], LEASE, hint) == ["cancelled"]
    assert trace.finish(hint, attempt) is Answer.CANCELLED
    assert trace.place("a") is Place.CANCELLED
    assert trace.offered() == set()  # cancelled is not done: its phase stays open
    with pytest.raises(RefusedError, match="is cancelled"):
        trace.store.cancel("a", *WHO)


def test_a_cancelled_job_whose_worker_is_lost_is_cancelled(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.start("a")
    trace.store.cancel("a", *WHO)
    trace.lose()
    assert trace.place("a") is Place.CANCELLED
    assert trace.job("a").losses == 0


def test_a_paused_plan_begins_nothing_and_ends_what_runs(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1), job("c", 1))
    hints = {hint.jobs[0]: hint for hint in trace.offer(2)}
    (attempt,) = trace.begin(running := hints["a"])
    other = hints["b"]
    trace.store.pause(*WHO)
    assert trace.begin(other) == []
    assert trace.place("b") is Place.READY
    assert trace.offered() == set()
    assert trace.finish(running, attempt) is Answer.SETTLED
    trace.store.resume(*WHO)
    trace.advance(10_001)
    assert trace.offered() == {"b", "c"}


def test_a_cancelled_plan_stops_what_runs_and_goes_on_where_it_was(trace: Trace) -> None:
    trace.load(job("a", 1))
    hint, attempt = trace.start("a")
    trace.store.cancel_plan(*WHO)
    assert trace.store.renew([attempt.token], LEASE, hint) == ["superseded"]
    trace.store.release([attempt.token], hint, done=True)
    assert trace.offered() == set()
    trace.store.resume(*WHO)
    assert trace.offered() == {"a"}


def test_what_a_cancelled_plan_stopped_was_not_tried(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    hint, attempt = trace.start("a")
    trace.start("b")
    trace.store.cancel_plan(*WHO)
    assert trace.finish(hint, attempt) is Answer.SUPERSEDED
    assert trace.lose() == 1  # the worker of b never answered
    trace.store.resume(*WHO)
    assert [trace.start(name)[1].attempts for name in "ab"] == [1, 1]


def test_a_running_job_is_not_retried(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1, needs=("a",)))
    trace.start("a")
    for name in ("a", "b"):
        with pytest.raises(RefusedError, match=r"is (running|parked)"):
            trace.store.retry(name, *WHO)
    with pytest.raises(NotFoundError):
        trace.store.retry("nobody", *WHO)


def test_a_dead_job_blocks_its_phase_until_it_is_retried(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 2))
    trace.do("a", Place.DEAD)
    assert trace.offered() == set()
    trace.store.retry("a", *WHO)
    assert (trace.job("a").attempts, trace.job("a").first_at) == (0, 0)
    trace.do("a")
    assert trace.offered() == {"b"}


def test_a_dead_letter_is_replayed_once_for_each_death(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.do("a", Place.DEAD)
    trace.store.replay("a", *WHO)
    assert trace.place("a") is Place.READY
    with pytest.raises(RefusedError, match="replayed already"):
        trace.store.replay("a", *WHO)
    trace.do("a", Place.DEAD)
    trace.store.replay("a", *WHO)
    assert trace.place("a") is Place.READY
    assert trace.store.overview().dead_letters == 1


def test_a_discarded_job_is_cancelled_and_its_phase_stays_open(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 2))
    trace.do("a", Place.DEAD)
    trace.store.discard("a", *WHO)
    assert trace.place("a") is Place.CANCELLED
    assert trace.store.overview().dead_letters == 0
    assert trace.offered() == set()
    with pytest.raises(NotFoundError):
        trace.store.discard("a", *WHO)


def test_replay_of_a_cyclic_job_is_one_extra_run(trace: Trace) -> None:
    trace.load(cyclic("x", 1))
    hint, attempt = trace.start("x")
    slot = trace.time.now + 10_000
    trace.store.settle([ran(attempt, slot, ok=False, reason="no")], hint, done=True)
    trace.store.replay("x", *WHO)
    _, extra = trace.start("x")
    assert extra.slot == slot


# -- runs of cyclic jobs ------------------------------------------------------------------------------


def test_of_101_runs_100_are_kept_and_101_counted(trace: Trace) -> None:
    trace.load(cyclic("x", 1))
    for number in range(101):
        hint, attempt = trace.start("x")
        trace.store.settle([ran(attempt, trace.time.now + 10, ok=number not in (0, 50))], hint, done=True)
        trace.advance(10)
    history = trace.history("x")
    assert (history.runs, history.kept, history.failures, history.kept_failures) == (101, 100, 2, 1)


def test_a_slot_that_is_armed_runs_beside_the_one_before(trace: Trace) -> None:
    trace.load(cyclic("x", 1))
    first_hint, first = trace.start("x")
    assert trace.store.arm(first.token, trace.time.now + 10, trace.time.now + 10)
    assert not trace.store.arm(first.token, trace.time.now + 20, trace.time.now + 20)
    trace.advance(10)
    second_hint, second = trace.start("x")
    assert second.token != first.token
    slot = trace.time.now + 50
    trace.store.settle([ran(first, slot + 1)], first_hint, done=True)
    assert trace.place("x") is Place.RUNNING
    trace.store.settle([ran(second, slot)], second_hint, done=True)
    assert (trace.job("x").due, trace.history("x").runs) == (slot, 2)


def test_a_run_that_overlaps_is_lost_and_leaves_the_next_one_alone(trace: Trace) -> None:
    trace.load(cyclic("x", 1))
    _, first = trace.start("x")
    slot = trace.time.now + 100_000
    trace.store.arm(first.token, slot, slot)
    trace.lose()
    assert (trace.place("x"), trace.job("x").due, trace.job("x").losses) == (Place.TIMED, slot, 0)
    assert trace.history("x").failures == 1


@pytest.mark.parametrize("fresh", [True, False], ids=["left out", "put off"])
def test_an_attempt_that_ran_nothing_leaves_the_evidence_of_the_one_before(trace: Trace, fresh: bool) -> None:
    trace.load(cyclic("x", 1))
    trace.do("x", Place.TIMED, slot=trace.time.now, due=trace.time.now, evidence='{"exit_code":7}', fresh=True)
    left = trace.job("x").evidence
    for _ in range(2):
        hint, attempt = trace.start("x")
        skip = ending(attempt, Place.TIMED, outcome=Outcome.CANCELLED, due=trace.time.now, slot=trace.time.now,
                      fresh=fresh, duration_ms=0)  # fmt: skip
        assert trace.store.settle([skip, skip], hint, done=True) == [Answer.SETTLED, Answer.AGAIN]
        assert trace.job("x").evidence == {**left, "ran_nothing": attempt.token}
    assert left["exit_code"] == 7
    assert trace.events("x").count("job.cancelled") == (2 if fresh else 0)


def test_what_was_skipped_says_nothing_about_how_long_jobs_take(trace: Trace) -> None:
    """Or a queue of cron jobs, each skipped to its first slot, would be taken for one of very short jobs."""
    trace.load(cyclic("x", 1))
    for _ in range(20):
        hint, attempt = trace.start("x")
        skip = ending(attempt, Place.TIMED, outcome=Outcome.CANCELLED, due=trace.time.now, slot=trace.time.now,
                      fresh=True, duration_ms=0)  # fmt: skip
        trace.store.settle([skip], hint, done=True)
    trace.load(cyclic("x", 1), *(job(f"j{n:02}", 1) for n in range(20)))
    assert {len(hint.jobs) for hint in trace.offer(64)} == {1}
