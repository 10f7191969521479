"""A job survives its trip to a worker, and what holds between the parts of a plan is looked after."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from moie_worker.errors import NotFoundError
from moie_worker.plan.model import ActionSpec, Job, Plan, Schedule
from moie_worker.plan.states import CatchUp, JobStatus
from moie_worker.plan.terms import CatchUpPolicy
from tests.unit.plan.samples import read

FULL = Job(
    id="5.1",
    task="Deep Research Scan",
    description="Scan daily.\nTwice.",
    status=JobStatus.CYCLIC,
    verification_cmd=("test", "-d", "/"),
    action=ActionSpec(use="arxiv_scan", params={"query": "cat:gr-qc", "keywords": {"time reversal": 3}}),
    timeout=timedelta(minutes=5, milliseconds=250),
    schedule=Schedule(cron="0 6 * * *", timezone="Europe/Vienna"),
    retry={"max": 5, "base": "2s", "cap": "2m"},
    overlap="queue",
    catch_up={"all": 3},
    jitter="30s",
    grace="10m",
    start="at_load",
    queue="scan",
    priority=-3,
    estimate="two days",
    files=["a.py"],
    risks=["slow"],
    depends_on=["1.1"],
    env={"LANG": "C"},
    pass_env=["HOME"],
    cwd="/tmp",
    run_as="deploy",
    on_lease_lost="continue",
    evidence={"files": ["a.py"]},
    expect_fail={"cmd": "false"},
)
PLAIN = Job(id="1.1", task="t", verification_cmd="true")


@pytest.mark.parametrize("job", [FULL, PLAIN], ids=["full", "plain"])
def test_a_job_is_the_same_after_its_trip_as_json(job: Job) -> None:
    assert Job.from_json(job.to_json()) == job
    assert Job.model_validate(job.to_document()) == job
    assert Job.from_json(job.to_json()).to_json() == job.to_json()


def test_every_field_of_a_job_makes_that_trip() -> None:
    assert set(FULL.to_document()) == {info.alias or name for name, info in Job.model_fields.items()} - {
        "deadline",
        "kept",
        "reverify",
    }


@pytest.mark.parametrize("reverify", ["never", "1h30m"])
def test_how_often_a_job_is_looked_at_again_makes_that_trip(reverify: str) -> None:
    job = Job.model_validate(PLAIN.to_document() | {"reverify": reverify})
    assert job.to_document()["reverify"] == reverify
    assert Job.from_json(job.to_json()) == job


def test_the_json_of_a_plain_job_is_short() -> None:
    assert PLAIN.to_json() == '{"id":"1.1","task":"t","verification_cmd":"true"}'


def test_a_job_is_read_from_json_in_a_few_times_what_plain_json_takes() -> None:
    text = FULL.to_json()
    plain = min(_seconds_for_100(json.loads, text) for _ in range(20))
    assert min(_seconds_for_100(Job.from_json, text) for _ in range(20)) < 10 * plain


def _seconds_for_100(read: Callable[[str], object], text: str) -> float:
    begun = time.perf_counter()
    for _ in range(100):
        read(text)
    return time.perf_counter() - begun


def test_a_plan_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PLAIN.priority = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        ("none", CatchUpPolicy(policy=CatchUp.NONE)),
        ("once", CatchUpPolicy()),
        ("all", CatchUpPolicy(policy=CatchUp.ALL, limit=10)),
        ({"all": 3}, CatchUpPolicy(policy=CatchUp.ALL, limit=3)),
    ],
)
def test_each_form_of_catch_up_is_understood_and_written_again(written: object, policy: CatchUpPolicy) -> None:
    assert CatchUpPolicy.model_validate(written) == policy
    assert policy.model_dump() == written


def test_a_job_or_a_phase_that_is_not_there_is_said_by_name() -> None:
    plan = Plan.model_validate({"phases": [{"id": 1, "name": "n", "jobs": [PLAIN]}]})
    assert plan.job("1.1") == PLAIN
    assert plan.phase(1).name == "n"
    with pytest.raises(NotFoundError, match=r"job '9\.9'"):
        plan.job("9.9")
    with pytest.raises(NotFoundError, match="phase 2: the plan has 1"):
        plan.phase(2)


def test_times_are_utc_whatever_their_zone() -> None:
    source = "version: 3\nmeta: {boot_time: 2025-12-12T08:00:00+02:00, last_heartbeat: 2025-12-12 06:00}\nphases: [{id: 1, name: n, jobs: [{id: a, task: t, verification_cmd: x}]}]"  # noqa: E501
    meta = read(source).plan.meta
    assert meta.boot_time == meta.last_heartbeat == datetime(2025, 12, 12, 6, tzinfo=UTC)


def test_yaml_and_json_are_the_same_plan() -> None:
    source = 'version: 3\nphases: [{id: 1, name: n, jobs: [{id: "1.1", task: t, verification_cmd: "true"}]}]\n'
    document = {"version": 3, "phases": [{"id": 1, "name": "n", "jobs": [PLAIN.to_document()]}]}
    assert read(source).plan == read(document).plan


def ids(*numbers: int, reserved: str = "[]") -> tuple[str, ...]:
    jobs = "".join(
        f"  - {{id: {number}, name: n, jobs: [{{id: j{number}, task: t, verification_cmd: x}}]}}\n"
        for number in numbers
    )
    return read(f"version: 3\nreserved: {reserved}\nphases:\n{jobs}").report.warnings


def test_a_gap_in_the_phase_ids_is_warned_of_unless_it_is_explained() -> None:
    assert ids(1, 2, 3) == ids(0, 1) == ids(7) == ()
    assert ids(1, 2, 4) == ("phases: phase id 3 is missing between 2 and 4; say why under `reserved` (line 4)",)
    assert ids(1, 2, 5, reserved="[{ids: [3, 4], reason: merged into 2}]") == ()
    assert len(ids(1, 2, 5, reserved="[{ids: [3], reason: merged into 2}]")) == 1


def test_a_wide_jump_is_warned_of_explained_or_not() -> None:
    assert "a jump of 9" in ids(1, 10)[0]
    assert ids(1, 9)[0].startswith("phases: phase ids 2, 3, 4, 5, 6, 7, 8 are missing")
    assert "a jump of 999999" in ids(1, 1_000_000, reserved="[{ids: [2], reason: r}]")[0]


def test_jobs_may_depend_on_each_other_and_on_earlier_phases() -> None:
    source = """
version: 3
phases:
  - {id: 1, name: a, jobs: [{id: a, task: t, verification_cmd: x}]}
  - id: 2
    name: b
    depends_on: [1]
    jobs:
      - {id: d, task: t, verification_cmd: x, depends_on: [b, c]}
      - {id: b, task: t, verification_cmd: x, depends_on: [a]}
      - {id: c, task: t, verification_cmd: x, depends_on: [a, b]}
      - {id: e, task: t, verification_cmd: x, status: cyclic, schedule: {every: 1m}, depends_on: [d]}
"""
    assert read(source).plan.job("d").depends_on == ("b", "c")


def test_a_long_chain_of_jobs_is_no_problem() -> None:
    jobs: list[dict[str, object]] = [{"id": "0", "task": "t", "verification_cmd": "x"}]
    jobs += [{**jobs[0], "id": str(number), "depends_on": [str(number - 1)]} for number in range(1, 5000)]
    assert len(list(read({"version": 3, "phases": [{"id": 1, "name": "n", "jobs": jobs}]}).plan.jobs())) == 5000
