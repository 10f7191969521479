"""Each cell of the table in plan/decide.py, and what holds of all of them."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moie_worker.plan.compile import compile_plan
from moie_worker.plan.decide import Ended, crashed, settlement, skipped, slot_of
from moie_worker.plan.flow import Attempt, Settlement
from moie_worker.plan.model import Job, Plan
from moie_worker.plan.schedule import Fire, Skip
from moie_worker.plan.states import Outcome, Place
from moie_worker.plan.times import Ms

NOW: Ms = 1_800_000_000_000
EVERY = 600_000  # ms
HOUR = 3_600_000
CYCLIC: dict[str, Any] = {"status": "cyclic", "schedule": {"every": "10m"}}
ACTION: dict[str, Any] = {"action": {"use": "shell", "with": {"cmd": "true"}}}


def a_job(**changes: Any) -> Job:
    return Job.model_validate({"id": "a", "task": "t", "verification_cmd": "true"} | changes)


def attempt_at(job: Job, **changes: Any) -> Attempt:
    phase = {"id": 1, "name": "p", "jobs": [job.to_document()]}
    definition = compile_plan(Plan.model_validate({"version": 3, "phases": [phase]}), NOW).jobs[0]
    plain = Attempt(
        token="t", definition=definition, attempts=1, losses=0, first_at=NOW, slot=0, started_at=NOW, free_at=0
    )
    return replace(plain, **changes)


def ended(outcome: Outcome, message: str = "exit code 1") -> Ended:
    return Ended(outcome, message, {"exit_code": 1}, timedelta(seconds=2), 0.5, 1024)


def decide(job: Job, outcome: Outcome, fire: Fire | None = None, now: Ms = NOW, **changes: Any) -> Settlement:
    return settlement(job, attempt_at(job, **changes), ended(outcome), now, 0.5, fire)


# -- jobs that are done once --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{}, ACTION], ids=["check", "action"])
def test_passed_is_completed(kind: dict[str, Any]) -> None:
    found = decide(a_job(**kind), Outcome.PASSED)
    assert (found.place, found.reason, found.duration_ms) == (Place.COMPLETED, "", 2000)
    assert json.loads(found.evidence) == {"exit_code": 1}


def test_a_check_that_says_no_waits_and_uses_up_no_retries() -> None:
    found = decide(a_job(retry={"max": 0}), Outcome.FAILED, attempts=1)
    assert (found.place, found.fresh, found.reason) == (Place.WAITING, True, "")


def test_a_check_that_says_no_past_its_deadline_is_dead() -> None:
    job = a_job(deadline="1h")
    assert decide(job, Outcome.FAILED, now=NOW + HOUR - 1).place is Place.WAITING
    late = decide(job, Outcome.FAILED, now=NOW + HOUR)
    assert late.place is Place.DEAD
    assert late.reason == "its deadline is over and its check says no: exit code 1"


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [(ACTION, Outcome.FAILED), (ACTION, Outcome.TIMED_OUT), (ACTION, Outcome.BROKEN), ({}, Outcome.BROKEN)],
)
def test_what_would_be_retried_past_its_deadline_is_dead(kind: dict[str, Any], outcome: Outcome) -> None:
    job = a_job(deadline="1h", retry={"max": 9}, **kind)
    assert decide(job, outcome, now=NOW + HOUR - 1).place is Place.TIMED
    late = decide(job, outcome, now=NOW + HOUR)
    assert (late.place, late.due) == (Place.DEAD, 0)
    assert late.reason == f"its deadline is over: {outcome.replace('_', ' ')}: exit code 1"


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.PASSED])
def test_an_ending_that_is_no_failure_knows_no_deadline(outcome: Outcome) -> None:
    assert decide(a_job(deadline="1h", **ACTION), outcome, now=NOW + 2 * HOUR).reason == ""


def test_a_check_that_passes_past_its_deadline_is_done() -> None:
    assert decide(a_job(deadline="1h"), Outcome.PASSED, now=NOW + 2 * HOUR).place is Place.COMPLETED


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ({}, Outcome.BROKEN),
        ({}, Outcome.TIMED_OUT),
        (ACTION, Outcome.FAILED),
        (ACTION, Outcome.BROKEN),
        (ACTION, Outcome.TIMED_OUT),
    ],
)
def test_what_did_not_work_is_retried_and_then_dead(kind: dict[str, Any], outcome: Outcome) -> None:
    job = a_job(retry={"max": 2, "base": "10s"}, **kind)
    assert decide(job, outcome, attempts=2).place is Place.TIMED
    last = decide(job, outcome, attempts=3)
    assert last.place is Place.DEAD
    assert last.reason == f"after 3 attempts: {outcome.replace('_', ' ')}: exit code 1"


def test_without_retries_the_reason_says_nothing_of_attempts() -> None:
    assert decide(a_job(retry={"max": 0}), Outcome.BROKEN).reason == "broken: exit code 1"


@pytest.mark.parametrize("job", [a_job(), a_job(**ACTION), a_job(**CYCLIC)], ids=["check", "action", "cyclic"])
def test_cancelled_goes_where_it_belongs_and_uses_up_nothing(job: Job) -> None:
    fire = Fire(NOW, NOW + EVERY) if job.cyclic else None
    found = decide(job, Outcome.CANCELLED, fire, attempts=99)
    assert (found.place, found.reason, found.run) == (Place.READY, "", None)


@given(attempts=st.integers(1, 50), dice=st.floats(0, 1, exclude_max=True), factor=st.floats(1, 10))
def test_a_retry_comes_within_its_back_off(attempts: int, dice: float, factor: float) -> None:
    job = a_job(retry={"max": 50, "base": "2s", "cap": "60s", "factor": factor})
    found = settlement(job, attempt_at(job, attempts=attempts), ended(Outcome.BROKEN), NOW, dice)
    assert found.place is Place.TIMED
    assert 0 <= found.due - NOW <= round(min(2_000 * factor ** (attempts - 1), 60_000))


# -- runs of cyclic jobs ------------------------------------------------------------------------------


def test_a_run_that_passed_counts_and_arms_the_next_slot() -> None:
    found = decide(a_job(**CYCLIC), Outcome.PASSED, Fire(NOW, NOW + EVERY), now=NOW + 5, slot=NOW)
    assert (found.place, found.slot, found.due) == (Place.TIMED, NOW + EVERY, NOW + EVERY)
    assert (found.run, found.fresh, found.reason) == (True, True, "")
    assert json.loads(found.measured) == {"duration_s": 2.0, "cpu_s": 0.5, "max_rss_bytes": 1024, "error": ""}


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.BROKEN, Outcome.TIMED_OUT])
def test_a_run_that_did_not_work_is_retried_and_then_a_dead_letter_and_goes_on(outcome: Outcome) -> None:
    job = a_job(retry={"max": 1, "base": "10s"}, **CYCLIC)
    first = decide(job, outcome, Fire(NOW, NOW + EVERY), slot=NOW)
    assert (first.place, first.due, first.run, first.fresh) == (Place.TIMED, NOW + 5_000, None, False)
    last = decide(job, outcome, Fire(NOW, NOW + EVERY), slot=NOW, attempts=2)
    assert (last.place, last.slot, last.run, last.fresh) == (Place.TIMED, NOW + EVERY, False, True)
    assert last.reason.startswith("after 2 attempts: ")
    assert json.loads(last.measured)["error"] == "exit code 1"


def test_a_retry_keeps_the_slot_that_its_run_was_for() -> None:
    """Also where that was not the one it began at: the first run of all, and the latest of several missed ones."""
    job = a_job(**CYCLIC)
    for slot in (0, NOW - 5 * EVERY):
        assert decide(job, Outcome.FAILED, Fire(NOW, NOW + EVERY), slot=slot).slot == NOW


def test_a_run_that_overlaps_is_not_retried() -> None:
    found = decide(a_job(overlap="allow", **CYCLIC), Outcome.FAILED, Fire(NOW, NOW + EVERY), slot=NOW)
    assert (found.run, found.reason) == (False, "failed: exit code 1")


@pytest.mark.parametrize(
    ("overlap", "expected"), [("skip", NOW + 3 * EVERY), ("queue", NOW + 2 * EVERY), ("allow", NOW + 3 * EVERY)]
)
def test_what_came_during_a_long_run_is_for_overlap_to_judge(overlap: str, expected: Ms) -> None:
    job = a_job(overlap=overlap, **CYCLIC)
    found = decide(job, Outcome.PASSED, Fire(NOW, NOW + EVERY), now=NOW + 2 * EVERY + 1, slot=NOW)
    assert found.slot == expected


@pytest.mark.parametrize("outcome", [Outcome.PASSED, Outcome.FAILED])
def test_an_extra_run_leaves_the_slots_alone(outcome: Outcome) -> None:
    job = a_job(retry={"max": 0}, **CYCLIC)
    slot = NOW + EVERY
    fire = slot_of(job, attempt_at(job, slot=slot), NOW)
    assert fire == Fire(NOW, slot)
    assert decide(job, outcome, fire, slot=slot).slot == slot


def test_the_retry_of_an_extra_run_does_not_use_up_the_slot() -> None:
    job = a_job(**CYCLIC)
    slot = NOW + EVERY
    failed = decide(job, Outcome.FAILED, Fire(NOW, slot), slot=slot)
    assert failed.slot in (0, slot)  # 0 leaves it as it is
    fire = slot_of(job, attempt_at(job, slot=slot, attempts=2), NOW + 2_000)
    assert isinstance(fire, Fire)
    assert decide(job, Outcome.PASSED, fire, now=NOW + 3_000, slot=slot, attempts=2).slot == slot


def test_a_slot_waits_for_its_jitter() -> None:
    job = a_job(jitter="5m", **CYCLIC)
    slot = NOW - 1
    assert slot_of(job, attempt_at(job, slot=slot), NOW) == Skip(slot)
    due = skipped(job, attempt_at(job, slot=slot), Skip(slot)).due
    assert NOW < due < slot + 300_000
    assert slot_of(job, attempt_at(job, slot=slot), due) == Fire(slot, slot + EVERY)


# -- which slot runs ----------------------------------------------------------------------------------


def test_what_never_ran_and_runs_every_some_time_starts_at_once() -> None:
    job = a_job(**CYCLIC)
    assert slot_of(job, attempt_at(job), NOW) == Fire(NOW, NOW + EVERY)


def test_what_never_ran_and_follows_a_calendar_waits_for_its_first_slot() -> None:
    job = a_job(status="cyclic", schedule={"cron": "0 6 * * *"})
    found = slot_of(job, attempt_at(job), NOW)
    assert isinstance(found, Skip)
    left = skipped(job, attempt_at(job), found)
    assert (left.place, left.slot, left.run, left.reason) == (Place.TIMED, found.next, None, "")
    assert left.message == "its slot has not come"


def test_a_slot_in_time_runs() -> None:
    job = a_job(**CYCLIC)
    assert slot_of(job, attempt_at(job, slot=NOW - 1000), NOW) == Fire(NOW - 1000, NOW - 1000 + EVERY)


def test_a_retry_goes_on_with_its_slot_however_late() -> None:
    job = a_job(catch_up="none", **CYCLIC)
    slot = NOW - 10 * EVERY
    assert slot_of(job, attempt_at(job, slot=slot, attempts=2), NOW) == Fire(slot, slot + EVERY)


def test_missed_slots_are_left_out_or_caught_up_with() -> None:
    slot = NOW - 3 * EVERY
    none, once, every = (a_job(catch_up=policy, **CYCLIC) for policy in ("none", "once", "all"))
    assert slot_of(none, attempt_at(none, slot=slot), NOW) == Skip(NOW + EVERY, 4)
    assert slot_of(once, attempt_at(once, slot=slot), NOW) == Fire(NOW, NOW + EVERY, 3)
    assert slot_of(every, attempt_at(every, slot=slot), NOW) == Fire(slot, slot + EVERY)
    left = skipped(none, attempt_at(none, slot=slot), Skip(NOW + EVERY, 4))
    assert left.message == "4 missed slots are left out"


def test_a_slot_that_was_queued_behind_a_run_is_not_missed() -> None:
    job = a_job(overlap="queue", catch_up="none", **CYCLIC)
    slot = NOW - EVERY + 1
    assert slot_of(job, attempt_at(job, slot=slot, free_at=NOW - 1), NOW) == Fire(slot, slot + EVERY)
    skip = a_job(overlap="skip", catch_up="none", **CYCLIC)
    assert isinstance(slot_of(skip, attempt_at(skip, slot=slot, free_at=NOW - 1), NOW), Skip)


# -- errors of our own --------------------------------------------------------------------------------


def test_what_we_could_not_carry_out_is_a_dead_letter() -> None:
    found = crashed(attempt_at(a_job()), "an error")
    assert (found.place, found.outcome, found.reason, found.run) == (Place.DEAD, Outcome.BROKEN, "an error", None)


def test_a_cyclic_job_that_we_could_not_carry_out_goes_on_and_counts_a_failure() -> None:
    found = crashed(attempt_at(a_job(**CYCLIC)), "an error")
    assert (found.place, found.due, found.fresh) == (Place.TIMED, NOW + EVERY, True)
    assert (found.reason, found.run, json.loads(found.measured)["error"]) == ("an error", False, "an error")


# -- what holds of all --------------------------------------------------------------------------------

JOBS = st.sampled_from(
    [
        a_job(), a_job(deadline="1h"), a_job(**ACTION), a_job(retry={"max": 0}, **ACTION),
        a_job(**CYCLIC), a_job(**CYCLIC, **ACTION), a_job(overlap="queue", **CYCLIC), a_job(overlap="allow", **CYCLIC),
        a_job(catch_up={"all": 3}, jitter="2m", **CYCLIC), a_job(catch_up="none", grace="0s", **CYCLIC),
        a_job(status="cyclic", schedule={"cron": "*/7 * * * *", "timezone": "Europe/Berlin"}, overlap="queue"),
    ]
)  # fmt: skip
TIMES = st.integers(-20 * EVERY, 3 * EVERY).map(lambda ms: NOW + ms)


@given(job=JOBS, outcome=st.sampled_from(list(Outcome)), attempts=st.integers(1, 6), slot=st.just(0) | TIMES,
       took=st.integers(0, 5 * EVERY), dice=st.floats(0, 1, exclude_max=True))  # fmt: skip
def test_every_ending_leads_somewhere_that_fits(
    job: Job, outcome: Outcome, attempts: int, slot: Ms, took: int, dice: float
) -> None:
    attempt = attempt_at(job, attempts=attempts, slot=slot if job.cyclic else 0)
    fire = slot_of(job, attempt, NOW) if job.cyclic else None
    if isinstance(fire, Skip):
        found = skipped(job, attempt, fire)
        assert found.slot > NOW or found.due > NOW
    else:
        found = settlement(job, attempt, ended(outcome), NOW + took, dice, fire)
    assert found.place not in {Place.PARKED, Place.SENT, Place.RUNNING, Place.CANCELLED}
    if job.cyclic:
        assert found.place in {Place.TIMED, Place.READY}
        assert found.slot == 0 or found.slot >= attempt.slot
        assert bool(found.reason) == (found.run is False)
    else:
        assert (found.place is Place.DEAD) == bool(found.reason)
        assert (found.place is Place.COMPLETED) == (outcome is Outcome.PASSED)
    if found.place is Place.TIMED:
        assert found.due > 0
    json.loads(found.evidence)
    json.loads(found.measured)
