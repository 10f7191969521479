"""What the next heartbeats would do, told from the twin of the store."""

from typing import Any

from moie_worker.adapters.memory.store import MemoryStore
from moie_worker.plan.simulate import SimulatedBeat, beat_document, simulate
from moie_worker.plan.states import Place
from tests.unit.test_cli_status import cyclic, job, loaded

MINUTE = 60_000


def beats(store: MemoryStore, number: int = 3, interval_ms: int = 10 * MINUTE) -> list[SimulatedBeat]:
    return simulate(store.overview(), list(store.all_jobs()), interval_ms, number)


def verified(store: MemoryStore, number: int = 3) -> list[list[str]]:
    return [beat_document(beat)["verify"] for beat in beats(store, number)]


def promoted(store: MemoryStore, number: int = 3) -> list[list[int]]:
    return [beat_document(beat)["promoted_if_verified"] for beat in beats(store, number)]


def phase(number: int, *jobs: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": number, "name": f"P{number}", "jobs": jobs} | fields


def test_jobs_of_the_current_phase_come_first_then_those_of_the_next() -> None:
    store = loaded(phase(1, job("a"), job("b")), phase(2, job("c")), phase(5, job("d")))
    assert verified(store) == [["a", "b"], ["c"], ["d"]]
    assert promoted(store) == [[2], [5], []]
    assert [beat.sovereign for beat in beats(store)] == [False, False, True]


def test_jobs_of_a_sequential_phase_come_one_by_one() -> None:
    store = loaded(phase(1, job("a"), job("b"), job("c"), order="sequential"))
    assert verified(store) == [["a"], ["b"], ["c"]]


def test_a_job_comes_after_what_it_depends_on() -> None:
    assert verified(loaded(phase(1, job("a", depends_on=["b"]), job("b")))) == [["b"], ["a"], []]


def test_a_job_whose_check_said_no_is_looked_at_again() -> None:
    store = loaded(phase(1, job("a"), job("b")))
    store.move("a", Place.WAITING, store.now)
    first = beats(store)[0]
    assert [view.definition.id for view in first.look_again] == ["a"]
    assert [view.definition.id for view in first.verify] == ["b"]


def test_a_phase_without_its_approval_lets_nothing_begin() -> None:
    store = loaded(phase(1, job("a")), phase(2, job("b"), approval="required"))
    assert verified(store) == [["a"], [], []]
    assert promoted(store) == [[2], [], []]
    store.answer(2, True, "ops", "")
    assert verified(store) == [["a"], ["b"], []]


def test_a_dead_job_keeps_its_phase_open() -> None:
    store = loaded(phase(1, job("a"), job("b")), phase(2, job("c")))
    store.move("a", Place.DEAD)
    assert verified(store) == [["b"], [], []]
    assert promoted(store) == [[], [], []]


def test_a_job_that_waits_for_its_retry_comes_when_it_is_due() -> None:
    store = loaded(phase(1, job("a")))
    store.move("a", Place.TIMED, store.now + 15 * MINUTE)
    assert verified(store) == [[], [], ["a"]]


def test_beats_follow_the_last_heartbeat() -> None:
    store = loaded(phase(1, job("a")))
    store.beat("", "ops")
    store.time.advance(4 * MINUTE)
    assert [beat.at - store.now for beat in beats(store, 2)] == [6 * MINUTE, 16 * MINUTE]


def test_cyclic_jobs_fire_by_their_schedule_once_their_phase_is_reached() -> None:
    store = loaded(phase(1, job("a")), phase(2, cyclic("c", schedule={"every": "4m"})))
    store.beat("", "ops")
    fires = [[(one.job.definition.id, one.count) for one in beat.fires] for beat in beats(store)]
    assert fires == [[], [("c", 3)], [("c", 2)]]


def test_a_cron_job_fires_at_its_time() -> None:
    store = loaded(phase(1, cyclic("c", schedule={"cron": "0 6 * * *"})))
    found = [one for beat in beats(store, 144) for one in beat.fires]
    assert [one.count for one in found] == [1]
    assert beat_document(beats(store, 144)[-1])["cyclic"] == []
    assert found[0].first % (24 * 60 * MINUTE) == 6 * 60 * MINUTE


def test_a_paused_plan_begins_nothing() -> None:
    store = loaded(phase(1, job("a"), cyclic("c")))
    store.pause("ops", "")
    assert [(beat.verify, beat.fires) for beat in beats(store, 2)] == [((), ()), ((), ())]
