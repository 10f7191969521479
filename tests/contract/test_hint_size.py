"""How many jobs one message names: what the jobs of a queue took before decides."""

from moie_worker.plan.limits import FEW, HINT_JOBS, HINT_MS
from tests.contract.model import job
from tests.contract.trace import Trace


def many(number: int) -> list[str]:
    return [f"j{n}" for n in range(number)]


def test_a_job_travels_alone_while_nothing_is_known_of_its_queue(trace: Trace) -> None:
    trace.load(*(job(name, 1) for name in many(FEW + 4)))
    assert [len(hint.jobs) for hint in trace.offer(4)] == [1, 1, 1, 1]


def test_the_first_short_job_makes_the_next_hints_full(trace: Trace) -> None:
    trace.load(*(job(name, 1) for name in many(2 * HINT_JOBS)))
    (hint,) = trace.offer(1)
    trace.finish(hint, trace.begin(hint)[0], duration_ms=1)
    assert [len(hint.jobs) for hint in trace.offer(1)] == [HINT_JOBS, HINT_JOBS - 1]


def test_the_first_long_job_keeps_the_others_alone(trace: Trace) -> None:
    trace.load(*(job(name, 1) for name in many(FEW + 4)))
    (hint,) = trace.offer(1)
    trace.finish(hint, trace.begin(hint)[0], duration_ms=10 * HINT_MS)
    assert [len(hint.jobs) for hint in trace.offer(2)] == [1, 1]


def test_short_and_long_jobs_meet_in_the_middle(trace: Trace) -> None:
    trace.load(*(job(name, 1) for name in many(100)))
    for duration_ms in (10, 510):
        hint = trace.offer(1)[0]
        for attempt in trace.begin(hint)[:1]:
            trace.finish(hint, attempt, duration_ms=duration_ms)
    assert len(trace.offer(1)[0].jobs) == HINT_MS // 110  # 0.8 × 10 ms + 0.2 × 510 ms
