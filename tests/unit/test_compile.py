"""From the document to the store and back; what changes a digest and what does not."""

from typing import Any

import pytest

from moie_worker.plan.compile import compile_plan, decompile
from moie_worker.plan.definition import Definition, PhaseDefinition, digest
from moie_worker.plan.model import Plan

NOW = 1_800_000_000_000
PLAIN: dict[str, Any] = {"id": "a", "task": "t", "verification_cmd": "true"}
WATCH: dict[str, Any] = {"status": "cyclic", "schedule": {"every": "10m"}}


def a_plan(*jobs: dict[str, Any], **phase: Any) -> Plan:
    return Plan.model_validate(
        {"version": 3, "meta": {"project": "P"}, "phases": [{"id": 1, "name": "p", "jobs": list(jobs)} | phase]}
    )


def compiled(**changes: Any) -> Definition:
    return compile_plan(a_plan(PLAIN | changes), NOW).jobs[0]


def phase_of(*jobs: dict[str, Any], **phase: Any) -> PhaseDefinition:
    return compile_plan(a_plan(*jobs, **phase), NOW).phases[0]


def named(*names: str, **changes: Any) -> list[dict[str, Any]]:
    return [PLAIN | {"id": name} | changes for name in names]


def test_what_was_compiled_is_the_document_again() -> None:
    plan = Plan.model_validate(
        {
            "version": 3,
            "meta": {"project": "P", "operator": "ops"},
            "phases": [
                {"id": 7, "name": "first in the document", "order": "sequential", "jobs": named("z", "a", "m")},
                {
                    "id": 2,
                    "name": "then a lower id",
                    "approval": {"expires": "2h", "two_persons": True},
                    "jobs": [
                        PLAIN | {"id": "c", "depends_on": ["z"], "priority": 5, "queue": "scan", "env": {"A": "b"}},
                        PLAIN | WATCH | {"id": "w", "overlap": "queue", "catch_up": {"all": 3}, "jitter": "30s"},
                        PLAIN | {"id": "done", "status": "completed", "action": {"use": "shell", "with": {"cmd": "x"}}},
                    ],
                },
            ],
        }
    )
    assert decompile(compile_plan(plan, NOW)) == plan


def test_definitions_survive_their_json() -> None:
    for job in compile_plan(a_plan(*named("a", "b"), PLAIN | WATCH | {"id": "w"}, order="sequential"), NOW).jobs:
        assert Definition.from_json(job.to_json()) == job
    phase = phase_of(PLAIN, approval="required")
    assert PhaseDefinition.from_json(phase.to_json()) == phase


def test_in_a_sequential_phase_each_job_needs_the_one_before() -> None:
    jobs = [*named("a"), PLAIN | WATCH | {"id": "w"}, *named("b"), PLAIN | {"id": "c", "depends_on": ["a", "b"]}]
    found = compile_plan(a_plan(*jobs, order="sequential"), NOW).jobs
    assert {job.id: job.needs for job in found} == {"a": (), "w": (), "b": ("a",), "c": ("a", "b")}
    assert [job.position for job in found] == [0, 1, 2, 3]


def test_in_a_parallel_phase_a_job_needs_what_it_says() -> None:
    found = compile_plan(a_plan(*named("a", "b")), NOW).jobs
    assert [job.needs for job in found] == [(), ()]


@pytest.mark.parametrize(
    "change",
    [
        {"verification_cmd": "false"},
        {"verification_cmd": ["true"]},
        {"action": {"use": "shell", "with": {"cmd": "x"}}},
        {"timeout": "61s"},
        {"env": {"A": "b"}},
        {"pass_env": ["A"]},
        {"cwd": "/tmp"},  # only a text here
        {"evidence": {"files": ["out"]}},
        {"run_as": "deploy"},
    ],
)
def test_what_is_verified_is_in_the_digest(change: dict[str, Any]) -> None:
    assert compiled(**change).digest != compiled().digest
    assert phase_of(PLAIN | change).digest != phase_of(PLAIN).digest


def test_a_release_that_knows_of_evidence_verifies_nothing_anew() -> None:
    names = ("verification_cmd", "action", "timeout", "env", "pass_env", "cwd")  # what was digested before
    job = a_plan(PLAIN).job(PLAIN["id"])
    assert compiled().digest == digest(job.model_dump(mode="json", include=set(names)))


@pytest.mark.parametrize(
    "change",
    [
        {"task": "other words"},
        {"description": "more words"},
        {"priority": 3},
        {"estimate": "2 h"},
        {"queue": "scan"},
        {"retry": {"max": 9}},
        {"deadline": "1h"},
        {"files": ["a.py"]},
        {"status": "completed"},
        {"on_lease_lost": "continue"},
        {"expect_fail": {"cmd": "false"}},
    ],
)
def test_what_is_not_verified_is_not(change: dict[str, Any]) -> None:
    assert compiled(**change).digest == compiled().digest
    assert phase_of(PLAIN | change).digest == phase_of(PLAIN).digest


def test_a_phase_is_another_with_other_jobs_and_the_same_under_another_name() -> None:
    one = phase_of(*named("a", "b")).digest
    assert phase_of(*named("a", "b"), name="renamed", approval="required").digest == one
    assert phase_of(*named("a")).digest != one
    assert phase_of(*named("a", "c")).digest != one
    assert phase_of(*named("b", "a")).digest != one


def test_an_approval_has_terms() -> None:
    usual = phase_of(PLAIN, approval="required")
    assert (usual.approval, usual.persons, usual.expires_ms) == (True, 1, 3_600_000)
    strict = phase_of(PLAIN, approval={"expires": "90s", "two_persons": True})
    assert (strict.approval, strict.persons, strict.expires_ms) == (True, 2, 90_000)


def test_a_phase_is_another_when_another_number_of_people_must_approve_it() -> None:
    one = phase_of(PLAIN, approval={"expires": "90s"}).digest
    assert phase_of(PLAIN, approval="required").digest == one
    assert phase_of(PLAIN, approval={"two_persons": True}).digest != one


def test_only_another_schedule_changes_the_timing() -> None:
    watch = compiled(**WATCH)
    assert watch.timing
    assert compiled(**WATCH, description="words").timing == watch.timing
    assert compiled(**WATCH, verification_cmd="false").timing == watch.timing
    assert compiled(**WATCH, jitter="1s").timing != watch.timing
    assert compiled(**WATCH | {"schedule": {"every": "11m"}}).timing != watch.timing
    assert compiled().timing == ""


def test_the_period_is_the_distance_of_two_slots() -> None:
    assert compiled(**WATCH).period_ms == 600_000
    assert compiled(**WATCH | {"schedule": {"cron": "0 6 * * *"}}).period_ms == 86_400_000
    assert compiled().period_ms == 0


def test_a_lease_has_room_for_all_commands_of_the_job() -> None:
    assert compiled(timeout="10s").limit_ms == 70_000
    assert compiled(timeout="10s", action={"use": "shell", "with": {"cmd": "x"}}).limit_ms == 90_000


def test_what_a_document_calls_completed_is_believed_only_where_it_is_imported() -> None:
    plan = a_plan(PLAIN, PLAIN | {"id": "done", "status": "completed"})
    assert [job.imported for job in compile_plan(plan, NOW).jobs] == [False, False]
    assert [job.imported for job in compile_plan(plan, NOW, imported=True).jobs] == [False, True]


def test_what_the_document_says_of_a_job_is_told_to_the_store() -> None:
    assert compiled(**WATCH, start="at_load").at_load
    assert not compiled(**WATCH).at_load
