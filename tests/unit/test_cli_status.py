"""Where a plan stands, computed from the twin of the store."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from moie_worker.adapters.memory.store import MemoryStore
from moie_worker.doors.cli.screen import status_screen
from moie_worker.plan.compile import compile_plan
from moie_worker.plan.flow import Breaker
from moie_worker.plan.letters import Measured, Run, RunHistory
from moie_worker.plan.model import Plan
from moie_worker.plan.presence import Beat, Worker
from moie_worker.plan.states import Health, PhaseStatus, Place
from moie_worker.plan.status import (
    Crew,
    Status,
    current_phase,
    cyclic_standing,
    is_sovereign,
    phase_standings,
    phase_status,
)
from moie_worker.plan.status_fields import job_fields, status_document
from moie_worker.plan.times import moment, ms_of

NOW = ms_of(datetime(2026, 1, 1, tzinfo=UTC))


def job(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "task": f"task {name}", "verification_cmd": "true"} | fields


def cyclic(name: str, **fields: Any) -> dict[str, Any]:
    return job(name, status="cyclic", schedule={"every": "10m"}) | fields


def loaded(*phases: dict[str, Any]) -> MemoryStore:
    store = MemoryStore()
    plan = Plan.model_validate({"version": 3, "meta": {"project": "P"}, "phases": phases})
    store.load(compile_plan(plan, NOW, imported=True), 0, "ops", "")
    while store.apply():
        pass
    store.drain()
    return store


def status_of(store: MemoryStore, crew: Crew = Crew()) -> Status:  # noqa: B008
    overview = store.overview()
    return Status(
        overview=overview,
        meta=store.meta,
        phases=phase_standings(overview),
        crew=crew,
        waiting=store.in_places([Place.WAITING], 10),
        cyclic=[cyclic_standing(store.job(name), store.history(name), overview.now) for name in store.cyclic()],
        regressed=store.regressions(10),
    )


def text_of(store: MemoryStore, crew: Crew = Crew()) -> str:  # noqa: B008
    return "\n".join("".join(map(str, line)) for line in status_screen(status_of(store, crew)))


THREE = (
    {"id": 1, "name": "ONE", "jobs": [job("1.1", status="completed")]},
    {"id": 2, "name": "TWO", "jobs": [job("2.1"), job("2.2", status="completed")]},
    {"id": 5, "name": "FIVE", "jobs": [cyclic("5.1")]},
)


def test_phases_before_the_current_one_are_completed_and_those_behind_it_locked() -> None:
    assert [standing.status for standing in phase_standings(loaded(*THREE).overview())] == [
        PhaseStatus.COMPLETED, PhaseStatus.ACTIVE, PhaseStatus.LOCKED
    ]  # fmt: skip


def test_a_phase_is_told_as_name_completed_total_and_status() -> None:
    assert [standing.line for standing in phase_standings(loaded(*THREE).overview())] == [
        "ONE – 1/1 (completed)", "TWO – 1/2 (active)", "FIVE – 0/1 (locked)"
    ]  # fmt: skip


def test_the_last_phase_stays_active_for_its_cyclic_jobs_when_all_is_done() -> None:
    store = loaded(THREE[0], THREE[2])
    assert is_sovereign(store.overview())
    assert current_phase(store.overview()) == 5
    assert phase_status(store.overview(), 5) is PhaseStatus.ACTIVE


def test_a_plan_without_cyclic_jobs_ends_with_a_completed_phase() -> None:
    store = loaded(THREE[0])
    assert phase_status(store.overview(), 1) is PhaseStatus.COMPLETED
    assert "CYCLIC OPERATION MODE" not in text_of(store)


def test_nothing_is_current_before_a_plan_is_loaded() -> None:
    overview = MemoryStore().overview()
    assert current_phase(overview) is None
    assert not is_sovereign(overview)


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ([], PhaseStatus.AWAITING_APPROVAL),
        ([False], PhaseStatus.REJECTED),
        ([False, True], PhaseStatus.ACTIVE),
    ],
)
def test_a_phase_that_asks_for_approval_says_what_it_was_answered(answers: list[bool], status: PhaseStatus) -> None:
    store = loaded({"id": 1, "name": "ONE", "approval": "required", "jobs": [job("1.1")]})
    for answer in answers:
        store.answer(1, answer, "ops", "")
    assert phase_status(store.overview(), 1) is status


def asking(terms: Any = "required") -> MemoryStore:
    return loaded({"id": 1, "name": "ONE", "approval": terms, "jobs": [job("1.1")]})


def test_a_phase_that_asks_says_who_said_yes_and_until_when_others_may() -> None:
    store = asking({"expires": "2h", "two_persons": True})
    assert "2 persons must approve, none yet; no answer by 2027-01-15 10:00:00 UTC means no" in text_of(store)
    store.answer(1, True, "ada@a", "fine")
    assert "2 persons must approve, ada@a" in text_of(store)
    (phase,) = status_document(status_of(store))["phases"]
    assert phase["approval"] == {
        "persons": 2,
        "loaded_by": "ops",
        "asked_at": "2027-01-15T08:00:00Z",
        "expires_at": "2027-01-15T10:00:00Z",
        "approved": [{"who": "ada@a", "why": "fine", "at": "2027-01-15T08:00:00Z"}],
        "rejected": None,
    }


def test_an_approval_that_timed_out_is_a_no_that_says_how_to_go_on() -> None:
    store = asking()
    store.time.advance(3_600_000)
    assert phase_status(store.overview(), 1) is PhaseStatus.EXPIRED
    assert (
        "APPROVAL EXPIRED   phase 1 was not approved by 2027-01-15 09:00:00 UTC, which means no; "
        "`moie approve 1` asks and answers anew"
    ) in text_of(store)
    store.answer(1, True, "ada", "")
    assert "APPROVAL" not in text_of(store)


def test_a_queue_that_was_stopped_says_why_and_when_it_tries_again() -> None:
    store = loaded(THREE[0])
    recent = tuple((f"j{n}", n % 4 > 0) for n in range(12))
    store.breakers["scan"] = Breaker(recent, store.now, 30_000, store.now + 30_000, "", "no such file: foo")
    store.breakers["default"] = Breaker(recent[:3])
    (line,) = [line for line in text_of(store).splitlines() if "STOPPED" in line]
    assert line == (
        "STOPPED   queue scan is stopped: 9 of its last 12 attempts could not be done, the last of them says: "
        "no such file: foo; one job is tried at 08:00:30 UTC, `moie resume --queue scan` goes on at once"
    )
    assert status_document(status_of(store))["stopped_queues"] == [
        {
            "queue": "scan",
            "since": "2027-01-15T08:00:00Z",
            "retry_at": "2027-01-15T08:00:30Z",
            "failed": 9,
            "of": 12,
            "reason": "no such file: foo",
        }
    ]


def test_what_regressed_is_said_first_and_what_looks_again_is_counted_apart() -> None:
    store = loaded({"id": 1, "name": "ONE", "jobs": [job(f"1.{n}", reverify="1h") for n in range(10)]})
    assert "stay verified  10 jobs · 0 looked at now · 0 regressed" in text_of(store)
    store.regressed |= {f"1.{n}": store.now for n in range(10)}
    said = text_of(store).splitlines()
    assert [line.split()[0] for line in said if "REGRESSED 2027-01-15T08:00:00Z" in line] == [
        f"1.{n}" for n in range(8)
    ]
    assert "REGRESSED   10 jobs in all" in said
    document = status_document(status_of(store))
    assert (document["reverified"], document["regressed"], document["blocked"]) == (10, 10, 0)
    assert document["phases"][0]["total"] == 10
    assert document["regressions"][0] == {
        "job": "1.0",
        "phase": 1,
        "since": "2027-01-15T08:00:00Z",
        "held_at": None,
        "receipt": None,
        "message": "",
        "changed": {},
    }


def test_what_must_not_be_overlooked_is_said_in_capitals() -> None:
    store = loaded({"id": 1, "name": "ONE", "approval": "required", "jobs": [job("1.1")]})
    store.pause("ops", "")
    assert "AWAITING APPROVAL   phase 1: `moie approve 1` or `moie reject 1`" in text_of(store)
    assert "PAUSED" in text_of(store)
    store.cancel_plan("ops", "")
    assert "CANCELLED" in text_of(store)


def test_a_sovereign_plan_with_cyclic_jobs_is_in_cyclic_operation_mode() -> None:
    text = text_of(loaded(THREE[0], THREE[2]))
    assert "SOVEREIGN since" in text
    assert "CYCLIC OPERATION MODE" in text


def test_a_job_whose_check_said_no_is_an_action_required() -> None:
    store = loaded({"id": 1, "name": "ONE", "jobs": [job("1.1", description="do this")]})
    store.jobs["1.1"].evidence = {"outcome": "failed", "message": "exit code 7"}
    store.move("1.1", Place.WAITING, store.now)
    text = text_of(store)
    assert "ACTION REQUIRED   1 not done yet" in text
    assert "1.1  task 1.1   exit code 7" in text
    assert "do this" in text
    assert status_document(status_of(store))["action_required"] == [
        {"id": "1.1", "task": "task 1.1", "message": "exit code 7"}
    ]


def test_jobs_that_hold_a_phase_up_for_ever_are_told() -> None:
    store = loaded({"id": 1, "name": "ONE", "jobs": [job("1.1"), job("1.2"), job("1.3")]})
    assert "given up" not in text_of(store)
    store.move("1.1", Place.CANCELLED, store.now)
    assert "given up       1 cancelled: `moie jobs --place cancelled`; `moie retry ID`" in text_of(store)
    store.move("1.2", Place.DEAD, store.now)
    assert "1 dead, 1 cancelled: `moie jobs --place dead --place cancelled`" in text_of(store)


def test_queues_without_a_worker_are_named() -> None:
    store = loaded({"id": 1, "name": "ONE", "jobs": [job("1.1"), job("1.2", queue="gpu")]})
    worker = Worker("w@h", "h", 1, ("default",), 3, NOW)
    crew = Crew([worker], ["v@h"], [Beat("b", "h", 2, NOW)], [])
    assert status_of(store, crew).idle_queues == ["gpu"]
    text = text_of(store, crew)
    assert "gpu: start a worker with -Q gpu" in text
    assert "gone without a word: v@h" in text


def test_the_age_of_the_heartbeat_is_in_seconds() -> None:
    store = loaded(*THREE)
    assert status_document(status_of(store))["heartbeat_age_s"] is None
    store.beat("report", "ops")
    store.time.advance(2500)
    document = status_document(status_of(store))
    assert document["heartbeat_age_s"] == 2.5
    assert document["last_heartbeat"].endswith("Z")


def test_only_the_phases_around_the_current_one_are_shown_of_many() -> None:
    phases = [{"id": number, "name": f"P{number}", "jobs": [job(f"{number}.1")]} for number in range(1, 101)]
    text = text_of(loaded(*phases))
    assert "30 of 100 phases" in text
    assert "P100" not in text


def history(*errors: str, at: int = NOW) -> RunHistory:
    runs = [Run(moment(at), Measured(0.5, error=error)) for error in errors]
    return RunHistory("5.1", len(runs), sum(map(bool, errors)), sum(map(bool, errors)), runs)


def test_a_cyclic_job_is_judged_by_the_rules_of_health() -> None:
    view = replace(loaded(*THREE[1:]).job("5.1"), place=Place.TIMED)
    assert cyclic_standing(view, history("", ""), NOW).health is Health.HEALTHY
    assert cyclic_standing(view, history("no", ""), NOW).health is Health.UNHEALTHY
    assert cyclic_standing(view, history(""), NOW + 3_600_000).health is Health.STALE


def test_a_cyclic_job_of_a_locked_phase_says_what_it_waits_for() -> None:
    standing = cyclic_standing(loaded(*THREE).job("5.1"), history(), NOW)
    assert (standing.health, standing.message) == (Health.UNKNOWN, "waits for phase 5")


def test_a_job_that_passed_has_no_last_error() -> None:
    view = loaded(*THREE).job("2.1")
    assert job_fields(replace(view, evidence={"outcome": "passed", "message": "exit code 0"}))["last_error"] is None
    assert job_fields(replace(view, evidence={"outcome": "failed", "message": "m"}))["last_error"] == "m"
    assert job_fields(view)["outcome"] is None
