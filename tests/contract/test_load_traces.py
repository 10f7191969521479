"""Short stories of loading: a plan over another one, in pieces, while work goes on."""

from dataclasses import asdict

import pytest

from moie_worker.errors import NotFoundError, RefusedError
from moie_worker.plan.definition import canonical
from moie_worker.plan.flow import Answer
from moie_worker.plan.limits import BATCH
from moie_worker.plan.states import Place
from tests.contract.conftest import ManualRedis
from tests.contract.model import LEASE, cyclic, job, plan
from tests.contract.trace import WHO, Trace, ran

RARE = ("signature", "reverified_by", "verifies", "delay_ms")
MANY = [job(f"j{n:03}", 1) for n in range(600)]


def test_a_plan_made_against_another_revision_is_refused(trace: Trace) -> None:
    trace.load(job("a", 1))
    with pytest.raises(RefusedError, match="by somebody else"):
        trace.store.load(plan(job("b", 1)), 0, *WHO)
    assert [view.definition.id for view in trace.store.all_jobs()] == ["a"]


def test_nothing_is_loaded_over_a_load_that_goes_on(trace: Trace) -> None:
    trace.store.load(plan(*MANY), 0, *WHO)
    with pytest.raises(RefusedError, match="by somebody else"):
        trace.store.load(plan(job("b", 1)), 1, *WHO)
    while trace.store.apply():
        pass


def test_a_load_is_finished_by_whoever_comes(trace: Trace) -> None:
    trace.store.load(plan(*MANY), 0, *WHO)
    assert trace.store.apply() == len(MANY) - BATCH
    assert trace.offer() == []
    another = trace.another()
    assert [another.apply(), another.apply(), another.apply()] == [len(MANY) - 2 * BATCH, 0, None]
    assert trace.store.apply() is None
    assert len(trace.offer()) == 4


def test_while_a_plan_is_loaded_nothing_begins(trace: Trace) -> None:
    trace.load(job("a", 1))
    (hint,) = trace.offer()
    trace.store.load(plan(job("a", 1), *MANY), 1, *WHO)
    assert trace.begin(hint) == []
    while trace.store.apply():
        pass
    assert "a" in trace.offered()


def test_300_jobs_are_unloaded(trace: Trace) -> None:
    trace.load(*MANY[:301])
    trace.store.load(plan(MANY[0]), 1, *WHO)
    assert [trace.store.apply(), trace.store.apply(), trace.store.apply()] == [301 - BATCH, 0, None]
    assert [view.definition.id for view in trace.store.all_jobs()] == ["j000"]
    assert trace.offered() == {"j000"}


def test_what_is_the_same_keeps_its_state(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1), job("c", 1), cyclic("x", 1))
    trace.do("a")
    trace.do("b", Place.WAITING)
    trace.do("c", Place.DEAD)
    before = {name: (trace.place(name), trace.job(name).attempts) for name in "abc"}
    trace.load(job("a", 1), job("b", 1), job("c", 1), cyclic("x", 1), job("new", 1))
    assert {name: (trace.place(name), trace.job(name).attempts) for name in "abc"} == before
    assert trace.store.overview().dead_letters == 1


def test_another_command_is_verified_again_and_other_words_are_not(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    trace.do("a")
    trace.do("b")
    words = {"id": "a", "description": "other words"}
    trace.load(job("a", 1, job=words, priority=7), job("b", 1, version=1))
    assert (trace.place("a"), trace.job("a").definition.job) == (Place.COMPLETED, words)
    assert trace.offered() == {"b"}


def test_another_command_takes_the_dead_letter_back(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.do("a", Place.DEAD)
    trace.load(job("a", 1, version=1))
    assert trace.store.overview().dead_letters == 0
    assert trace.offered() == {"a"}


def test_what_runs_and_is_the_same_goes_on(trace: Trace) -> None:
    trace.load(job("a", 1))
    hint, attempt = trace.start("a")
    trace.load(job("a", 1, priority=3), job("b", 1))
    assert trace.store.renew([attempt.token], LEASE, hint) == ["ok"]
    assert trace.finish(hint, attempt) is Answer.SETTLED


def test_what_runs_and_is_another_is_stopped_and_runs_again(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 2))
    hint, attempt = trace.start("a")
    trace.load(job("a", 1, version=1), job("b", 2))
    assert trace.place("a") is Place.RUNNING
    assert trace.store.renew([attempt.token], LEASE, hint) == ["superseded"]
    assert trace.finish(hint, attempt) is Answer.SUPERSEDED
    assert trace.offered() == {"a"}  # what the old command proved does not count
    assert trace.job("a").attempts == 0


def test_what_runs_and_is_removed_keeps_its_lease_until_it_ends(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 2))
    hint, attempt = trace.start("a")
    trace.load(job("b", 2))
    assert trace.place("a") is Place.RUNNING
    assert trace.store.renew([attempt.token], LEASE, hint) == ["removed"]
    assert trace.finish(hint, attempt) is Answer.REMOVED
    with pytest.raises(NotFoundError):
        trace.store.job("a")
    assert trace.offered() == {"b"}


def test_a_removed_job_that_somebody_cancels_is_gone_all_the_same(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 2))
    trace.start("a")
    trace.load(job("b", 2))
    with pytest.raises(RefusedError, match="is removed"):
        trace.store.cancel("a", *WHO)
    trace.lose()
    with pytest.raises(NotFoundError):
        trace.place("a")


def test_what_is_removed_and_loaded_again_while_it_runs_goes_on(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    hint, attempt = trace.start("a")
    trace.load(job("b", 1))
    trace.load(job("a", 1), job("b", 1))
    assert trace.store.renew([attempt.token], LEASE, hint) == ["ok"]
    assert trace.finish(hint, attempt) is Answer.SETTLED
    assert trace.place("a") is Place.COMPLETED


def test_a_removed_job_does_not_begin_the_slot_that_it_armed(trace: Trace) -> None:
    trace.load(cyclic("x", 1), job("b", 1))
    hint, attempt = trace.start("x")
    slot = trace.time.now + 100
    trace.store.arm(attempt.token, slot, slot)
    trace.load(job("b", 1))
    trace.advance(60_000)
    assert trace.offered() == {"b"}
    with pytest.raises(RefusedError, match="is removed"):
        trace.store.retry("x", *WHO)
    assert trace.finish(hint, attempt, Place.TIMED) is Answer.REMOVED
    with pytest.raises(NotFoundError):
        trace.store.job("x")


def test_a_removed_job_that_is_loaded_again_begins_the_slot_that_it_armed(trace: Trace) -> None:
    trace.load(cyclic("x", 1), job("b", 1))
    hint, attempt = trace.start("x")
    slot = trace.time.now + 100
    trace.store.arm(attempt.token, slot, slot)
    trace.load(job("b", 1))
    trace.load(cyclic("x", 1), job("b", 1))
    assert (trace.place("x"), trace.job("x").due) == (Place.TIMED, slot)
    assert trace.store.settle([ran(attempt, slot + 1)], hint, done=True) == [Answer.SETTLED]
    assert trace.job("x").due == slot


def test_what_overlaps_of_a_job_that_is_not_cyclic_any_more_counts_for_nothing(trace: Trace) -> None:
    trace.load(cyclic("x", 1), job("b", 1))
    hint, overlapping = trace.start("x")
    trace.store.arm(overlapping.token, trace.time.now + 100, trace.time.now + 100)
    trace.load(job("x", 1), job("b", 1))
    assert trace.store.renew([overlapping.token], LEASE, hint) == ["gone"]
    again, attempt = trace.start("x")
    trace.load(job("b", 1))
    assert trace.finish(hint, overlapping) is Answer.STALE
    assert trace.finish(again, attempt) is Answer.REMOVED
    assert trace.lose() == 0


def test_a_job_that_is_imported_as_done_is_done(trace: Trace) -> None:
    trace.load(job("a", 1, imported=True), job("b", 1, needs=("a",)), job("c", 2))
    assert trace.offered() == {"b"}
    assert trace.store.job("a").evidence == {"at": trace.time.now, "imported": True}
    assert trace.store.overview().imported == 1


def test_a_job_that_is_imported_as_done_is_told_apart_until_it_is_verified(trace: Trace) -> None:
    trace.load(job("a", 1, imported=True), job("b", 1, imported=True), job("c", 1))
    trace.do("c")
    assert trace.events()[-1] == "plan.sovereign"
    assert trace.store.read_journal(1)[0].data == {"imported": 2}
    trace.load(job("a", 1, imported=True), job("b", 1, version=2), job("c", 1, imported=True))
    assert trace.store.overview().imported == 1, "who is as before stays so, who changed is verified"
    trace.do("b")
    assert trace.store.overview().imported == 1
    assert trace.store.read_journal(1)[0].data == {"imported": 1}
    trace.load(job("b", 1, version=2), job("c", 1))
    assert trace.store.overview().imported == 0, "who is gone is not counted"


def test_a_job_that_moves_to_another_phase_is_verified_again(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    trace.do("a")
    trace.load(job("a", 2), job("b", 1))
    assert trace.place("a") is Place.PARKED


def test_a_job_that_moves_to_another_queue_is_sent_there(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1))
    (hint, *_) = trace.offer(1)
    trace.load(job("a", 1, queue="scan"), job("b", 1))
    assert trace.begin(hint) == []
    assert trace.offered(queue="scan") == {"a"}


def test_another_schedule_starts_at_once_and_the_same_one_waits_on(trace: Trace) -> None:
    trace.load(cyclic("x", 1), cyclic("y", 1))
    slot = trace.time.now + 10_000
    for hint in trace.offer():
        trace.store.settle([ran(attempt, slot) for attempt in trace.begin(hint)], hint, done=True)
    trace.load(cyclic("x", 1, timing="other"), cyclic("y", 1, priority=1))
    assert (trace.job("x").slot, trace.job("y").slot) == (0, slot)
    assert trace.offered() == {"x"}


def test_a_cancelled_plan_is_taken_up_again_by_loading_it(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.store.cancel_plan(*WHO)
    assert trace.offered() == set()
    trace.load(job("a", 1))
    assert trace.offered() == {"a"}


def test_a_paused_plan_stays_paused(trace: Trace) -> None:
    trace.load(job("a", 1))
    trace.store.pause(*WHO)
    trace.load(job("a", 1), job("b", 1))
    assert trace.store.overview().flags.paused
    assert trace.offered() == set()


def test_what_waits_on_is_listed_once_however_often_it_is_loaded(manual_redis: ManualRedis) -> None:
    store = manual_redis.store("listed")
    trace = Trace(store, manual_redis.time, manual_redis.advance, lambda: store)
    for priority in range(5):
        trace.load(job("a", 1), job("b", 2, priority=priority), job("c", 1, needs=("a",), priority=priority))
    lists = {what: manual_redis.client.zrange(store.key("parked", what), 0, -1) for what in ("phase:2", "job:a")}
    assert lists == {"phase:2": ["b"], "job:a": ["c"]}


def test_a_phase_that_is_gone_leaves_no_list(manual_redis: ManualRedis) -> None:
    store = manual_redis.store("listed")
    trace = Trace(store, manual_redis.time, manual_redis.advance, lambda: store)
    trace.load(job("a", 1), job("b", 2))
    trace.load(job("a", 1), job("b", 3))
    assert manual_redis.client.keys(store.key("parked", "*")) == [store.key("parked", "phase:3")]


def test_a_job_that_waits_for_less_than_before_is_offered(trace: Trace) -> None:
    trace.load(job("a", 1), job("b", 1, needs=("a",)))
    trace.load(job("a", 1), job("b", 1))
    assert trace.offered() == {"a", "b"}


def test_a_load_that_must_be_refused_stages_nothing(manual_redis: ManualRedis) -> None:
    store = manual_redis.store("staged")
    store.load(plan(*MANY), 0, *WHO)
    for base in (0, 1):
        with pytest.raises(RefusedError, match="by somebody else"):
            store.load(plan(job("b", 1)), base, *WHO)
    assert manual_redis.client.keys(store.key("stage", "*")) == []
    while store.apply():
        pass


def test_definitions_that_were_written_in_full_are_no_others(manual_redis: ManualRedis) -> None:
    """An earlier release left nothing out. A load over its data must not verify everything again."""
    store = manual_redis.store("full")
    trace = Trace(store, manual_redis.time, manual_redis.advance, lambda: manual_redis.store("full"))
    jobs = [
        job("a", 1),
        job("b", 1, needs=("a",)),
        job("c", 1, idle=True),
        cyclic("x", 1),
        cyclic("y", 9, at_load=True),
    ]
    trace.load(*jobs)
    trace.do("a")
    trace.do("x", Place.TIMED)
    for each in jobs:
        full = canonical({name: value for name, value in asdict(each).items() if name not in RARE})
        manual_redis.client.hset(store.key("defs", "1"), each.id, full)
    before = {view.definition.id: (view.definition, view.attempts, view.revision) for view in store.all_jobs()}
    places = {name: trace.place(name) for name in "ac"}
    trace.load(*jobs)
    assert {view.definition.id: (view.definition, view.attempts, view.revision) for view in store.all_jobs()} == before
    assert {name: trace.place(name) for name in "ac"} == places
    trace.do("b")
    assert trace.place("b") is Place.COMPLETED
