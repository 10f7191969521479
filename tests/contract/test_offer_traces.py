"""Short stories of offers: what is sent to a queue, in which order, and how much of it at once."""

from moie_worker.plan.flow import Hint
from moie_worker.plan.limits import HINT_JOBS, OFFER_CAP_MS, OFFER_MS, RESERVE_MS
from moie_worker.plan.states import Outcome, Place
from tests.contract.model import LEASE, cyclic, job
from tests.contract.trace import WHO, Trace, ending, ran, short_jobs


def test_a_window_is_filled_once(trace: Trace) -> None:
    trace.load(*(job(f"j{n}", 1) for n in range(5)))
    hints = trace.offer(2)
    assert [hint.jobs for hint in hints] == [("j0",), ("j1",)]
    assert trace.offer(2) == []
    held = trace.begin(hints[0])
    assert trace.offer(2) == []
    trace.store.settle([ending(held[0])], hints[0], done=True)
    assert [hint.jobs for hint in trace.offer(2)] == [("j2",)]


def test_a_hint_that_goes_on_keeps_its_slot(trace: Trace) -> None:
    trace.load(*(job(f"j{n}", 1) for n in range(3)))
    (hint,) = trace.offer(1)
    (attempt,) = trace.begin(hint)
    trace.store.settle([ending(attempt)], hint, done=False)
    assert trace.offer(1) == []
    trace.store.release([], hint, done=True)
    assert len(trace.offer(1)) == 1


def test_a_hint_of_which_nothing_may_begin_frees_its_slot(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    (hint,) = trace.offer(1)
    trace.store.cancel("a", *WHO)
    assert trace.begin(hint) == []
    assert trace.offered(1) == {"b"}


def test_a_renewed_hint_keeps_its_slot_and_a_dead_one_does_not(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    hint, attempt = trace.start("a")
    trace.advance(20_000)
    trace.store.renew([attempt.token], LEASE, hint)
    trace.advance(20_000)
    assert trace.offer(1) == []
    trace.advance(10_001)
    assert trace.offered(1) == {"b"}


def test_without_a_free_slot_nothing_is_sent(trace: Trace) -> None:
    trace.load(job("a", 1))
    assert trace.offer(0) == []
    assert trace.place("a") is Place.READY


def test_what_was_reserved_and_never_published_is_offered_again_soon(trace: Trace) -> None:
    trace.load(job("a", 1))
    assert len(trace.store.reserve("default", 1, "lost").hints) == 1
    trace.advance(RESERVE_MS)
    assert trace.offered() == set()
    trace.advance(1)
    assert trace.offered() == {"a"}
    assert trace.job("a").attempts == 0


def test_a_hint_that_nobody_begins_is_offered_again_after_a_time_that_doubles(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.offer()
    for repeat in range(8):
        wait = min(OFFER_MS * 2**repeat, OFFER_CAP_MS)
        trace.advance(wait)
        assert trace.offered() == set()
        trace.advance(1)
        assert trace.offered() == {"a"}
    assert (trace.job("a").attempts, trace.job("a").losses) == (0, 0)


def test_what_the_broker_never_took_does_not_double_it(trace: Trace) -> None:
    trace.load(job("a", 1))
    for number in range(8):
        assert trace.store.reserve("default", 1, f"mute{number}").hints
        trace.advance(RESERVE_MS + 1)
    trace.offer()
    trace.advance(OFFER_MS + 1)
    assert trace.offered() == {"a"}


def test_beginning_ends_the_doubling(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.offer()
    trace.advance(OFFER_MS + 1)
    hint, attempt = trace.start("a")
    trace.store.release([attempt.token], hint, done=True)
    trace.offer()
    trace.advance(OFFER_MS + 1)
    assert trace.offered() == {"a"}


def test_an_old_hint_may_begin_what_is_due_again(trace: Trace) -> None:
    trace.load(job("a", 1))
    (hint,) = trace.offer()
    trace.advance(OFFER_MS + 1)
    trace.offer(0)
    assert trace.place("a") is Place.READY
    assert len(trace.begin(hint)) == 1


def test_a_hint_names_its_queue_and_begins_no_other(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1, queue="scan"))
    assert trace.offered(queue="scan") == {"b"}
    assert trace.begin(Hint("forged", "default", ("b", "nobody"))) == []
    assert trace.place("b") is Place.READY


def test_a_job_that_is_named_twice_begins_once(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.offer()
    assert len(trace.begin(Hint("twice", "default", ("a", "a")))) == 1


def test_priority_is_a_head_start_of_a_minute_a_step(trace: Trace) -> None:
    trace.load(job("first", 1), job("gate", 1), job("late", 1, priority=2, needs=("gate",)))
    hints = {hint.jobs[0]: hint for hint in trace.offer()}
    attempts = {name: trace.begin(hints[name])[0] for name in ("first", "gate")}
    trace.store.release([attempts["first"].token], hints["first"], done=True)
    trace.advance(119_999)
    trace.store.settle([ending(attempts["gate"])], hints["gate"], done=True)
    assert [hint.jobs for hint in trace.offer(64)] == [("late",), ("first",)]


def test_priority_starves_nobody(trace: Trace) -> None:
    trace.load(job("first", 1), job("gate", 1), job("late", 1, priority=2, needs=("gate",)))
    hints = {hint.jobs[0]: hint for hint in trace.offer()}
    attempts = {name: trace.begin(hints[name])[0] for name in ("first", "gate")}
    trace.store.release([attempts["first"].token], hints["first"], done=True)
    trace.advance(120_001)
    trace.store.settle([ending(attempts["gate"])], hints["gate"], done=True)
    assert [hint.jobs for hint in trace.offer(64)] == [("first",), ("late",)]


def test_cyclic_jobs_go_first_with_at_most_three_quarters(trace: Trace) -> None:
    trace.load(*(cyclic(f"c{n}", 1) for n in range(8)), *(job(f"j{n}", 1) for n in range(8)))
    assert [hint.jobs[0] for hint in trace.offer(4)] == ["c0", "c1", "c2", "j0"]


def test_a_single_slot_is_shared_by_turns(trace: Trace) -> None:
    trace.load(*(cyclic(f"c{n}", 1) for n in range(8)), *(job(f"j{n}", 1) for n in range(8)))
    kinds = []
    for _ in range(8):
        (hint,) = trace.offer(1)
        (attempt,) = trace.begin(hint)
        far = trace.time.now + 10**9
        done = ran(attempt, far) if attempt.definition.cyclic else ending(attempt, duration_ms=300)
        trace.store.settle([done], hint, done=True)
        kinds.append(hint.jobs[0][0])
    assert "".join(kinds) == "cccjcccj"


def test_what_one_kind_leaves_free_the_other_takes(trace: Trace) -> None:
    trace.load(cyclic("c", 1), *(job(f"j{n}", 1) for n in range(8)))
    assert [hint.jobs[0] for hint in trace.offer(4)] == ["c", "j0", "j1", "j2"]


def test_a_few_jobs_travel_alone_and_many_short_ones_together(trace: Trace) -> None:
    trace.load(*short_jobs(300))
    trace.make_short()
    sizes = [len(hint.jobs) for hint in trace.offer(1)]
    assert len(sizes) == 2  # where jobs are short, one hint more waits for whoever ends the first
    assert all(10 < size <= HINT_JOBS for size in sizes)


def test_a_hint_has_at_most_64_jobs_however_short_they_are(trace: Trace) -> None:
    trace.load(*short_jobs(300))
    trace.make_short()
    for hint in trace.offer(10):
        trace.store.settle([ending(each, Place.READY, duration_ms=1) for each in trace.begin(hint)], hint, done=True)
    assert max(len(hint.jobs) for hint in trace.offer(2)) == HINT_JOBS


def test_a_job_known_to_be_long_travels_alone_among_short_ones(trace: Trace) -> None:
    trace.load(*short_jobs(40))
    trace.make_short()
    (hint, *_) = trace.offer(1)
    long, *others = trace.begin(hint)
    again = ending(long, Place.READY, duration_ms=5_000)
    trace.store.settle([again, *(ending(each, duration_ms=1) for each in others)], hint, done=True)
    trace.advance(OFFER_MS + 1)
    name = long.definition.id
    assert [hint.jobs for hint in trace.offer(64) if name in hint.jobs] == [(name,)]


def test_a_check_that_said_no_is_looked_at_again_only_after_a_beat(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.do("a", Place.WAITING)
    trace.advance(1_000_000)
    assert trace.offered() == set()
    trace.beat()
    trace.do("a", Place.WAITING)
    assert trace.offered() == set()
    assert trace.job("a").attempts == 0


def test_a_beat_at_the_moment_of_the_check_is_not_after_it(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.do("a", Place.WAITING)
    trace.store.beat("report", "w")
    assert trace.offered() == set()


def test_a_retry_comes_when_its_time_has_come_and_the_beat_is_told_when(trace: Trace) -> None:
    trace.load(job("a", 1))
    due = trace.time.now + 700
    trace.do("a", Place.TIMED, outcome=Outcome.BROKEN, due=due)
    assert trace.store.reserve("default", 1, "n").next_due == due
    trace.advance(699)
    assert trace.offered() == set()
    trace.advance(1)
    assert trace.start("a")[1].attempts == 2


def test_a_beat_is_told_when_what_another_one_reserved_and_did_not_publish_comes_back(trace: Trace) -> None:
    trace.load(job("a", 1))
    (hint,) = trace.store.reserve("default", 1, "dies").hints
    seen = trace.store.reserve("default", 1, "lives")
    assert (seen.hints, seen.next_due) == ((), trace.time.now + RESERVE_MS + 1)
    trace.advance(RESERVE_MS + 1)
    assert [again.jobs for again in trace.store.reserve("default", 1, "lives").hints] == [hint.jobs]


def test_more_than_a_batch_of_jobs_is_looked_at_in_pieces(trace: Trace) -> None:
    trace.load(job("gate", 1), *(job(f"j{n:03}", 2) for n in range(600)))
    trace.do("gate")
    pieces = [trace.store.reserve("default", 0, "n").more for _ in range(3)]
    assert pieces == [True, True, False]
    assert trace.store.overview().counts[2, False, Place.READY] == 600
