"""What a beat offers to whom, and what it does when Redis or the broker goes away."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from moie_worker.adapters.memory.core import ManualTime
from moie_worker.errors import MoieError, UnreachableError
from moie_worker.heart.dispatch import APPLY_AT_ONCE, Dispatcher
from moie_worker.plan.compile import compile_plan
from moie_worker.plan.flow import Hint
from moie_worker.plan.limits import BATCH, GAP_GRACE_MS, RESERVE_MS
from moie_worker.plan.model import Plan
from moie_worker.plan.presence import Worker
from moie_worker.plan.states import Place
from tests.unit.heart_kit import CYCLIC, FakeFleet, FlakyStore, jobs, load

LEASE = timedelta(seconds=30)


class Bench:
    """Some plans, some workers, one beat."""

    def __init__(self, *plans: str, slots: int = 4) -> None:
        self.time = ManualTime()
        self.stores = {plan: FlakyStore(self.time, plan) for plan in plans or ("p",)}
        self.fleet = FakeFleet(list(self.stores), [worker(slots)] if slots else [], time=self.time)
        self.published: list[tuple[str, Hint]] = []
        self.publish: Callable[[str, Hint], None] = lambda plan, hint: self.published.append((plan, hint))
        self.beat = Dispatcher(self.fleet, self.stores.__getitem__, lambda plan, hint: self.publish(plan, hint))

    @property
    def store(self) -> FlakyStore:
        return next(iter(self.stores.values()))

    def offers(self) -> dict[str, int]:
        """How many hints each plan was given since the last time."""
        found = {plan: sum(of == plan for of, _ in self.published) for plan in self.stores}
        self.published.clear()
        return found

    def finish(self) -> None:
        """Somebody takes every hint that was published and gives all back at once."""
        for plan, hint in self.published:
            attempts = self.stores[plan].begin(hint, hint.id, "w", LEASE)
            self.stores[plan].release([attempt.token for attempt in attempts], hint, True)


def worker(slots: int, *queues: str) -> Worker:
    return Worker("w", "h", 1, queues or ("default",), slots, 0)


def many(count: int) -> list[dict[str, object]]:
    return jobs(f"j{n:04}" for n in range(count))


def test_a_queue_is_offered_what_its_workers_have_slots_for() -> None:
    bench = Bench(slots=3)
    load(bench.store, *many(10))
    bench.fleet.here.append(worker(5, "other"))
    bench.beat.sweep()
    assert bench.offers() == {"p": 3}
    bench.beat.sweep()
    assert bench.offers() == {"p": 0}


def test_without_workers_nothing_is_offered_and_all_of_it_is_looked_after() -> None:
    bench = Bench(slots=0)
    load(bench.store, {"id": "a"})
    bench.beat.sweep()
    assert bench.published == []
    assert bench.store.job("a").place is Place.READY


def test_plans_that_have_work_share_the_slots() -> None:
    bench = Bench("p", "q", "idle", slots=4)
    for plan in ("p", "q"):
        load(bench.stores[plan], *many(50))
    bench.beat.sweep()  # the first plan to be asked does not know of the other yet
    bench.offers()
    for _ in range(3):
        for store in bench.stores.values():
            store.hints.clear()
        bench.beat.sweep()
        assert bench.offers() == {"p": 2, "q": 2, "idle": 0}


def test_a_slot_that_cannot_be_divided_goes_round() -> None:
    bench = Bench("p", "q", slots=1)
    for plan in ("p", "q"):
        load(bench.stores[plan], *many(50))
    first = []
    for _ in range(4):
        bench.beat.sweep()
        first.append(bench.published[0][0])
        bench.finish()
        bench.published.clear()
    assert first in (["p", "q", "p", "q"], ["q", "p", "q", "p"])


def shared(bench: Bench) -> dict[str, int]:
    """What one more sweep offers where nothing is on its way."""
    bench.offers()
    for store in bench.stores.values():
        store.hints.clear()
    bench.beat.sweep()
    return bench.offers()


@pytest.mark.parametrize("how", ["loaded anew", "gone", "faulty"])
def test_a_plan_that_leaves_a_queue_leaves_its_part_of_the_slots(how: str) -> None:
    bench = Bench("p", "q", slots=4)
    bench.fleet.here[:] = [worker(4, "scan")]
    busy, store = bench.stores["p"], bench.stores["q"]
    load(busy, *(job | {"queue": "scan"} for job in many(50)))
    load(store, *(job | {"queue": "scan"} for job in many(50)))
    bench.beat.sweep()
    assert shared(bench) == {"p": 2, "q": 2}
    if how == "loaded anew":
        load(busy, {"id": "a"})
    elif how == "gone":
        bench.fleet.names.remove("p")
    else:
        busy.cut, busy.error = {"rescue": 9}, MoieError("Redis refused")
    shared(bench)
    assert shared(bench) == {"p": 0, "q": 4}


def test_a_hint_that_was_not_published_is_offered_again() -> None:
    bench = Bench()
    load(bench.store, {"id": "a"})
    ordinary = bench.publish

    def broken(plan: str, hint: Hint) -> None:
        raise ConnectionError("no broker")

    bench.publish = broken
    with pytest.raises(ConnectionError):
        bench.beat.sweep()
    bench.publish = ordinary
    bench.time.advance(RESERVE_MS + 1)
    bench.beat.sweep()
    assert bench.offers() == {"p": 1}
    assert bench.store.job("a").attempts == 0


def test_while_only_the_broker_is_away_everything_else_goes_on() -> None:
    bench = Bench("p", "q")
    for store in bench.stores.values():
        load(store, {"id": "a"}, {"id": "b"})
    ordinary, tries = bench.publish, []

    def broken(plan: str, hint: Hint) -> None:
        tries.append(plan)
        raise UnreachableError("no broker")

    bench.publish = broken
    bench.beat.sweep()
    assert len(tries) == 1  # each may take seconds
    bench.publish = ordinary
    bench.time.advance(RESERVE_MS + 1)
    bench.beat.sweep()
    bench.beat.sweep()
    assert bench.offers() == {"p": 2, "q": 2}
    assert {store.gap_at for store in bench.stores.values()} == {0}


def test_after_redis_was_away_what_ran_then_is_not_charged() -> None:
    bench = Bench()
    load(bench.store, {"id": "a"})
    bench.beat.sweep()
    (_, hint) = bench.published[0]
    bench.store.begin(hint, "n", "w", LEASE)
    bench.time.advance(33_000)
    workers = bench.fleet.workers
    bench.fleet.workers = unreachable  # type: ignore[method-assign]
    with pytest.raises(UnreachableError):
        bench.beat.sweep()
    bench.fleet.workers = workers  # type: ignore[method-assign]
    bench.beat.sweep()
    assert bench.store.gap_at == bench.time.now
    bench.time.advance(11_000)
    bench.beat.sweep()
    assert bench.store.job("a").losses == 0
    assert bench.store.gap_at == bench.time.now - 11_000  # told once


def test_whoever_finds_redis_away_can_say_so_to_the_beat() -> None:
    bench = Bench()
    load(bench.store, {"id": "a"})
    bench.beat.sweep()
    bench.beat.away()
    bench.time.advance(5_000)
    bench.beat.look(())  # sweeps instead
    assert bench.store.gap_at == bench.time.now


def another(bench: Bench) -> Dispatcher:
    """A second beat."""
    return Dispatcher(bench.fleet, bench.stores.__getitem__, bench.publish)


def test_one_beat_that_loses_its_way_to_redis_again_and_again_stops_no_rescue() -> None:
    bench = Bench()
    load(bench.store, {"id": "a"})
    bench.beat.sweep()
    bench.store.begin(bench.published[0][1], "n", "w", LEASE)
    flapping = another(bench)
    for _ in range(34):
        flapping.away()
        bench.time.advance(1_000)
        bench.beat.sweep()
        flapping.sweep()
    assert bench.store.gap_at == 0
    assert bench.store.job("a").losses == 1


def test_of_beats_that_all_lost_their_way_the_first_to_return_tells_the_gap_before_anybody_rescues() -> None:
    bench = Bench()
    load(bench.store, {"id": "a"})
    bench.beat.sweep()
    bench.store.begin(bench.published[0][1], "n", "w", LEASE)
    beats = [bench.beat, another(bench)]
    for beat in beats:
        beat.away()
    bench.time.advance(33_000)
    for beat in beats:
        beat.sweep()
    assert bench.store.gap_at == bench.time.now
    assert bench.store.job("a").place is Place.RUNNING
    bench.time.advance(GAP_GRACE_MS)
    bench.beat.sweep()
    assert bench.store.job("a").losses == 0
    assert bench.store.job("a").place is not Place.RUNNING


def test_a_redis_that_takes_no_note_of_sweeps_stops_none() -> None:
    bench = Bench()
    load(bench.store, {"id": "a"})
    bench.fleet.swept = full  # type: ignore[method-assign]
    bench.beat.sweep()
    assert bench.offers() == {"p": 1}
    bench.beat.away()
    bench.beat.sweep()
    assert bench.store.gap_at == bench.time.now


def full() -> None:
    raise MoieError("Redis is full")


def unreachable() -> tuple[list[Worker], list[str]]:
    raise UnreachableError("away")


def test_what_was_lost_is_taken_back_and_offered() -> None:
    bench = Bench()
    load(bench.store, {"id": "a"})
    bench.beat.sweep()
    bench.store.begin(bench.published[0][1], "n", "w", LEASE)
    bench.time.advance(33_000)
    bench.offers()
    bench.beat.sweep()
    assert bench.offers() == {"p": 1}
    assert bench.store.job("a").losses == 1


def test_a_load_that_somebody_left_is_carried_on_at_once() -> None:
    bench = Bench()
    document = {"task": "t", "verification_cmd": "true"}
    size = BATCH * (APPLY_AT_ONCE + 1)
    plan = Plan.model_validate(
        {"version": 3, "phases": [{"id": 1, "name": "p", "jobs": [document | job for job in many(size)]}]}
    )
    bench.store.load(compile_plan(plan, bench.time.now), 0, "ops", "")
    assert bench.beat.sweep() == 0  # there is more of it
    assert bench.store.flags.loading
    bench.beat.sweep()
    assert not bench.store.flags.loading
    assert bench.offers() == {"p": 4}


def test_the_next_look_is_when_the_first_timed_job_of_any_plan_comes() -> None:
    bench = Bench("p", "q")
    for plan, delay in (("p", 900), ("q", 700)):
        store = bench.stores[plan]
        load(store, {"id": "x"} | CYCLIC)
        store.jobs["x"].slot = bench.time.now + delay
        store.route("x")
    assert bench.beat.sweep() == bench.time.now + 700
    bench.time.advance(701)
    assert bench.beat.sweep() == bench.time.now + 199


def test_between_two_sweeps_only_plans_that_rang_or_have_something_due_are_looked_at() -> None:
    bench = Bench("p", "q", "r", slots=20)
    bench.beat.sweep()
    for store in bench.stores.values():
        load(store, {"id": "a"})
    assert bench.beat.look(["q"]) is None
    assert bench.offers() == {"p": 0, "q": 1, "r": 0}
    store = bench.stores["p"]
    load(store, {"id": "a"}, {"id": "x"} | CYCLIC)
    store.jobs["x"].slot = bench.time.now + 700
    store.route("x")
    bench.beat.look(["p"])
    bench.offers()
    bench.time.advance(701)
    bench.beat.look(())
    assert bench.offers() == {"p": 1, "q": 0, "r": 0}
    bench.beat.sweep()
    assert bench.offers() == {"p": 0, "q": 0, "r": 1}


def test_while_there_is_more_to_do_the_beat_looks_again_at_once() -> None:
    bench = Bench(slots=0)
    load(bench.store, {"id": "gate"})
    for number in range(2 * BATCH):
        bench.store.woken.append([f"unknown{number}"])
    assert bench.beat.sweep() == 0


def test_without_plans_there_is_nothing_to_look_at() -> None:
    bench = Bench()
    bench.fleet.names = []
    assert bench.beat.sweep() is None


def test_a_broker_that_is_away_is_no_gap_of_redis_and_stops_no_rescue() -> None:
    bench = Bench()
    load(bench.store, {"id": "a"}, {"id": "b"})
    bench.beat.sweep()
    bench.store.begin(bench.published[0][1], "n", "w", LEASE)
    asked: list[Hint] = []

    def away(plan: str, hint: Hint) -> None:
        asked.append(hint)
        raise UnreachableError("the broker")

    bench.publish = away
    bench.time.advance(33_000)
    bench.beat.sweep()
    bench.beat.sweep()
    assert bench.store.job("a").losses == 1
    assert bench.store.gap_at == 0
    assert len(asked) == 1  # each try may take seconds: once a look, and these two wait for theirs now


def test_what_is_wrong_with_one_plan_keeps_no_other_from_its_work(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench("bad", "good")
    for store in bench.stores.values():
        load(store, {"id": "a"})
    bad = bench.stores["bad"]
    bad.cut, bad.error = {"rescue": 2}, MoieError("Redis refused")
    bench.beat.sweep()
    bench.beat.sweep()
    assert bench.offers() == {"bad": 0, "good": 1}
    assert caplog.text.count("plan bad cannot be looked at: Redis refused") == 1, "and then every minute"
    bench.beat.sweep()
    assert bench.offers() == {"bad": 1, "good": 0}
    bad.cut = {"rescue": 1}
    bench.beat.sweep()
    assert caplog.text.count("plan bad cannot be looked at: Redis refused") == 2, "it was over"


def test_a_broker_that_stays_away_is_said_once_until_it_took_a_hint(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    load(bench.store, *many(40))
    ordinary, away = bench.publish, refusing
    for publish, said in ((away, 1), (away, 1), (ordinary, 1), (away, 2)):
        bench.publish = publish
        bench.store.hints.clear()
        bench.beat.sweep()
        assert caplog.text.count("no broker") == said


def refusing(plan: str, hint: Hint) -> None:
    raise UnreachableError("no broker")


def test_a_plan_that_is_gone_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench("p", "q")
    bench.beat.sweep()
    bench.fleet.names.remove("q")
    bench.beat.sweep()
    bench.beat.sweep()
    said = [record.getMessage() for record in caplog.records if "GONE" in record.getMessage()]
    assert said == ["plan q is GONE from Redis: `moie backup restore --plan q` brings it back"]
