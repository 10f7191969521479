"""What people and the plan did is kept apart from how attempts ended, and outlasts that."""

import redis

from moie_worker.plan.journal import merged
from moie_worker.plan.states import Place
from tests.contract.conftest import ManualRedis
from tests.contract.model import job
from tests.contract.trace import WHO, Trace

ACTS = ["plan.loaded", "phase.reached", "plan.paused", "plan.resumed", "dead.replayed", "job.cancel"]


def lived(trace: Trace) -> None:
    """People act between attempts, which end well and badly."""
    trace.load(job("a", 1), job("b", 1), job("c", 1))
    trace.store.pause(*WHO)
    trace.store.resume(*WHO)
    trace.finish(*trace.start("a"))
    trace.finish(*trace.start("b"), Place.DEAD, reason="no more")
    trace.store.replay("b", *WHO)
    trace.store.cancel("c", *WHO)
    trace.finish(*trace.start("b"))


def test_acts_are_told_without_how_attempts_ended(trace: Trace) -> None:
    lived(trace)
    acts, journal = trace.store.read_acts(100), trace.store.read_journal(100)
    assert [entry.event for entry in acts] == ACTS
    assert [entry for entry in journal if entry in acts] == acts, "they are the same entries"
    assert merged(journal, acts) == journal
    assert [entry.event for entry in trace.store.read_acts(2)] == ACTS[-2:]


def test_acts_are_still_told_when_the_journal_was_washed_out(
    manual_redis: ManualRedis, redis_client: "redis.Redis"
) -> None:
    trace = Trace(
        manual_redis.store("trace"), manual_redis.time, manual_redis.advance, lambda: manual_redis.store("trace")
    )
    lived(trace)
    redis_client.delete("moie:{trace}:journal")
    later = redis_client.xadd("moie:{trace}:acts", {"event": "x"}, id="9999999999999-0")  # before a clock went back
    redis_client.xdel("moie:{trace}:acts", later)
    trace.store.pause(*WHO)
    told = merged(trace.store.read_journal(100), trace.store.read_acts(100))
    assert [entry.event for entry in trace.store.read_acts(100)] == [*ACTS, "plan.paused"]
    assert {entry.event for entry in told} == {*ACTS}
