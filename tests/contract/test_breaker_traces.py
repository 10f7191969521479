"""Short stories of a queue in which nearly everything fails: it is stopped, tries one job, and goes on."""

from typing import Any

import pytest

from moie_worker.errors import RefusedError
from moie_worker.plan.definition import Definition
from moie_worker.plan.flow import Breaker, Hint
from moie_worker.plan.limits import BREAKER_CAP_MS, BREAKER_LEAST, BREAKER_PAUSE_MS, BREAKER_WINDOW
from moie_worker.plan.states import Outcome, Place
from tests.contract.model import job, plan
from tests.contract.trace import WHO, Trace, ending

PLENTY = 60
BROKEN: dict[str, Any] = {"outcome": Outcome.BROKEN, "message": "no such file", "reason": "broken: no such file"}


def many(count: int = PLENTY, **changes: Any) -> list[Definition]:
    return [job(f"j{n:02}", 1, **changes) for n in range(count)]


def breaker(trace: Trace) -> Breaker | None:
    return trace.store.overview().breakers.get("default")


def taken(trace: Trace) -> Hint:
    """The one hint that is offered now."""
    (hint,) = trace.offer(1)
    return hint


def end(trace: Trace, place: Place = Place.COMPLETED, **changes: Any) -> str:
    """Run the next job that is offered to an end; its name."""
    hint = taken(trace)
    (attempt, *rest) = trace.begin(hint)
    trace.store.release([other.token for other in rest], hint, done=False)
    trace.store.settle([ending(attempt, place, **changes)], hint, done=True)
    return attempt.definition.id


def die(trace: Trace, times: int) -> list[str]:
    """So many jobs cannot be run."""
    return [end(trace, Place.DEAD, **BROKEN) for _ in range(times)]


def stop_queue(trace: Trace) -> None:
    trace.load(*many())
    die(trace, BREAKER_LEAST)


def test_a_queue_in_which_everything_fails_takes_no_more_work_and_says_so_once(trace: Trace) -> None:
    trace.load(*many())
    jobs = die(trace, BREAKER_LEAST - 1)
    assert trace.events().count("queue.stopped") == 0
    (last,) = die(trace, 1)
    assert trace.offered(1) == set()
    found = breaker(trace)
    assert found is not None
    assert (found.opened, found.reason) == (trace.time.now, BROKEN["reason"])
    assert [trace.place(name) for name in jobs] == [Place.DEAD] * (BREAKER_LEAST - 1)
    assert trace.place(last) is Place.TIMED, "the attempt that stops the queue does not die of it"
    assert trace.events(last)[-1] == "job.held"
    assert trace.events().count("queue.stopped") == 1


def test_nothing_is_written_while_all_goes_well(trace: Trace) -> None:
    trace.load(*many())
    for _ in range(BREAKER_WINDOW + 5):
        end(trace)
    assert breaker(trace) is None


def test_what_was_wrong_is_forgotten_when_enough_went_well(trace: Trace) -> None:
    trace.load(*many())
    die(trace, 1)
    for _ in range(BREAKER_WINDOW - 1):
        end(trace)
    assert breaker(trace) is not None
    end(trace)
    assert breaker(trace) is None


def test_half_of_them_is_not_more_than_half(trace: Trace) -> None:
    trace.load(*many())
    die(trace, 1)
    end(trace)
    for _ in range(9):
        end(trace)
        die(trace, 1)
    end(trace)  # the oldest, a bad one, is looked back at no more: there is room for one
    die(trace, 1)
    assert trace.events().count("queue.stopped") == 0
    die(trace, 1)
    assert trace.events().count("queue.stopped") == 1


def test_checks_that_say_no_stop_no_queue(trace: Trace) -> None:
    trace.load(*many())
    for _ in range(BREAKER_WINDOW):
        end(trace, Place.WAITING)
    for _ in range(BREAKER_WINDOW):
        end(trace, Place.DEAD, outcome=Outcome.FAILED, reason="its deadline is over")
    assert breaker(trace) is None


def test_what_is_refused_for_its_signature_stops_no_queue_and_is_a_letter_all_the_same(trace: Trace) -> None:
    trace.load(*many())
    for _ in range(BREAKER_WINDOW):
        name = end(trace, Place.DEAD, outcome=Outcome.REFUSED, reason="refused: not signed")
        assert trace.place(name) is Place.DEAD
    assert breaker(trace) is None


def test_few_jobs_that_fail_often_stop_no_queue(trace: Trace) -> None:
    trace.load(*many(4))
    for _ in range(10):
        for _ in range(4):
            end(trace, Place.TIMED, outcome=Outcome.BROKEN, due=trace.time.now)
    assert trace.events().count("queue.stopped") == 0


def test_a_failing_action_counts_when_it_is_given_up_and_not_before(trace: Trace) -> None:
    trace.load(*many(job={"id": "x", "action": {"use": "shell"}}))
    for _ in range(BREAKER_WINDOW):
        end(trace, Place.TIMED, outcome=Outcome.FAILED, due=trace.time.now + 3_600_000)
    assert breaker(trace) is None
    for _ in range(BREAKER_LEAST):
        end(trace, Place.DEAD, outcome=Outcome.FAILED, reason="after 4 attempts: failed")
    assert trace.events().count("queue.stopped") == 1


def test_one_job_is_tried_after_the_pause_and_the_queue_goes_on_when_it_ends_well(trace: Trace) -> None:
    trace.load(*many())
    *_, held = die(trace, BREAKER_LEAST)
    trace.store.cancel(held, *WHO)  # else it would be due at that time, and wake the beat
    trace.advance(BREAKER_PAUSE_MS - 1)
    reserved = trace.store.reserve("default", 4, "early")
    assert (reserved.hints, reserved.next_due) == ((), trace.time.now + 1)
    trace.advance(1)
    (hint,) = trace.offer(4)
    assert len(hint.jobs) == 1
    assert trace.offered(4) == set(), "one, and no other beside it"
    (attempt,) = trace.begin(hint)
    trace.finish(hint, attempt)
    assert breaker(trace) is None
    assert trace.events().count("queue.resumed") == 1
    assert len(trace.offered(4)) >= 4


def test_a_check_that_says_no_is_a_good_sign_of_the_one_job(trace: Trace) -> None:
    stop_queue(trace)
    trace.advance(BREAKER_PAUSE_MS)
    end(trace, Place.WAITING)
    assert breaker(trace) is None


def test_when_the_one_job_fails_the_pause_doubles_and_the_job_waits(trace: Trace) -> None:
    stop_queue(trace)
    pause = BREAKER_PAUSE_MS
    for _ in range(7):
        trace.advance(pause)
        (name,) = die(trace, 1)
        assert trace.place(name) is Place.TIMED
        pause = min(2 * pause, BREAKER_CAP_MS)
        trace.advance(pause - 1)
        assert trace.offered(4) == set()
        trace.advance(1 - pause)
    found = breaker(trace)
    assert found is not None
    assert found.pause_ms == BREAKER_CAP_MS
    assert trace.events().count("queue.stopped") == 1


def test_a_job_that_waited_dies_when_it_fails_again_in_a_queue_that_goes_on(trace: Trace) -> None:
    trace.load(*many(BREAKER_LEAST))
    *_, held = die(trace, BREAKER_LEAST)
    assert trace.job(held).attempts == 0, "what did not count was not tried"
    trace.store.resume_queue("default", *WHO)
    trace.advance(BREAKER_PAUSE_MS)
    assert die(trace, 1) == [held]
    assert trace.place(held) is Place.DEAD


def test_what_was_offered_before_the_queue_was_stopped_does_not_begin(trace: Trace) -> None:
    trace.load(*many())
    die(trace, BREAKER_LEAST - 1)
    first, second = trace.offer(2)
    (attempt, *_) = trace.begin(first)
    trace.finish(first, attempt, Place.DEAD, **BROKEN)
    assert trace.begin(second) == []
    assert {trace.place(name) for name in second.jobs} == {Place.READY}


def test_what_began_before_the_queue_was_stopped_neither_dies_nor_starts_it_again(trace: Trace) -> None:
    trace.load(*many())
    die(trace, BREAKER_LEAST - 1)
    hints = trace.offer(3)
    attempts = [trace.begin(hint)[0] for hint in hints]
    for hint, attempt in zip(hints[:2], attempts[:2], strict=True):
        trace.finish(hint, attempt, Place.DEAD, **BROKEN)
        assert trace.place(attempt.definition.id) is Place.TIMED
    trace.finish(hints[2], attempts[2])
    assert trace.place(attempts[2].definition.id) is Place.COMPLETED
    found = breaker(trace)
    assert found is not None
    assert found.opened > 0


def test_when_nothing_is_heard_of_the_one_job_another_is_tried(trace: Trace) -> None:
    stop_queue(trace)
    trace.advance(BREAKER_PAUSE_MS)
    lost = taken(trace)
    trace.advance(BREAKER_PAUSE_MS)
    again = taken(trace)
    assert again.id != lost.id
    assert trace.begin(lost) == []
    end_of = trace.begin(again)
    trace.finish(again, end_of[0])
    assert breaker(trace) is None


def test_a_job_that_the_worker_gave_back_says_nothing(trace: Trace) -> None:
    stop_queue(trace)
    trace.advance(BREAKER_PAUSE_MS)
    before = breaker(trace)
    hint = taken(trace)
    (attempt,) = trace.begin(hint)
    trace.finish(hint, attempt, Place.READY, outcome=Outcome.CANCELLED)
    after = breaker(trace)
    assert before is not None
    assert after is not None
    assert after.pause_ms == before.pause_ms


def test_a_job_that_kills_its_worker_is_given_up_whatever_its_queue_does(trace: Trace) -> None:
    trace.load(*many())
    die(trace, BREAKER_LEAST - 1)
    hint = taken(trace)
    name = hint.jobs[0]
    for _ in range(3):
        assert trace.begin(hint)
        trace.lose()
        trace.store.run(name, *WHO) if trace.place(name) is not Place.DEAD else None
        hint = Hint("again", "default", (name,))
    assert trace.place(name) is Place.DEAD
    assert trace.events().count("queue.stopped") == 1


def test_a_retry_in_a_queue_that_is_stopped_is_taken_as_not_tried_and_waits_for_the_next_try(trace: Trace) -> None:
    stop_queue(trace)
    trace.advance(BREAKER_PAUSE_MS)
    name = end(trace, Place.TIMED, due=trace.time.now + 1000, **(BROKEN | {"reason": ""}))
    assert (trace.job(name).attempts, trace.events(name)[-1]) == (0, "job.held")
    trace.advance(2000)
    assert trace.place(name) is Place.TIMED, "its own time is over, that of its queue is not"


def test_another_queue_is_not_concerned(trace: Trace) -> None:
    trace.load(*many(20), *[job(f"s{n}", 1, queue="scan") for n in range(3)])
    die(trace, BREAKER_LEAST)
    assert trace.offered(1) == set()
    assert trace.offered(4, "scan") == {"s0", "s1", "s2"}


def test_an_operator_lets_a_queue_go_on_at_once(trace: Trace) -> None:
    stop_queue(trace)
    trace.store.resume_queue("default", *WHO)
    assert breaker(trace) is None
    assert len(trace.offer(1)) == 1
    with pytest.raises(RefusedError, match="queue 'default' is not stopped"):
        trace.store.resume_queue("default", *WHO)
    with pytest.raises(RefusedError, match="queue 'scan' is not stopped"):
        trace.store.resume_queue("scan", *WHO)


def test_a_plan_that_is_loaded_lets_its_queues_go_on(trace: Trace) -> None:
    stop_queue(trace)
    trace.load_plan(plan(*many(version=1)))
    assert breaker(trace) is None
    assert trace.events().count("queue.resumed") == 1
    assert len(trace.offer(1)) == 1
