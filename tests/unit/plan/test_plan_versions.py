"""Older documents become version 3 and come back as they were, but for what was repaired and said."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moie_worker.errors import DocumentError
from moie_worker.plan.model import Plan
from moie_worker.plan.older import to_v2
from moie_worker.plan.states import JobStatus, Order
from moie_worker.plan.versions import resolve
from tests.unit.plan.samples import read, sample

words = st.text("abcXYZ äöü-_'\"|&;$", min_size=1, max_size=12).filter(str.strip)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.sampled_from([0.5, 1e300]) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
times = st.sampled_from(
    [
        "2025-12-12T06:00:00",
        "2025-12-12T00:00:00.000Z",
        "2025-12-12T08:00:00+02:00",
        "2025-12-12",
        "2025-12-12 06:00:00",
    ]
)
# Names that v2 does not know, those that v3 gives a meaning among them.
extras = st.dictionaries(
    words | st.sampled_from(["priority", "estimate", "files", "risks", "schedule", "timeout", "kept", "order", "env"]),
    anything,
    max_size=3,  # of each mapping: a document has about six
)


@st.composite
def shuffled(draw: st.DrawFn, /, **fields: Any) -> dict[str, Any]:
    mapping = draw(extras) | {name: draw(value) for name, value in fields.items()}
    return dict(draw(st.permutations(list(mapping.items()))))


@st.composite
def v2_documents(draw: st.DrawFn) -> dict[str, Any]:
    phase_ids = sorted(draw(st.sets(st.integers(0, 30), min_size=1, max_size=3)))
    said = {"project": words, "operator": words, "mode": st.just("daemon"), "current_phase": st.none()}
    meta = shuffled(**said, boot_time=times, last_heartbeat=st.none() | times)
    return {"meta": draw(meta), "phases": [draw(v2_phases(number, phase_ids)) for number in phase_ids]}


@st.composite
def v2_phases(draw: st.DrawFn, number: int, phase_ids: list[int]) -> dict[str, Any]:
    jobs = [draw(v2_jobs(f"{number}.{index}")) for index in range(draw(st.integers(1, 2)))]
    earlier = st.lists(st.sampled_from([one for one in phase_ids if one < number] or [99]), max_size=2)
    needs: dict[str, Any] = draw(
        st.sampled_from([{}, {"depends_on": earlier}, {"depends_on": anything.filter(_is_no_list_of_ids)}])
    )
    fields = {"id": st.just(number), "name": words, "status": st.just("active"), "jobs": st.just(jobs)}
    return draw(shuffled(**fields, **needs))


def _is_no_list_of_ids(value: Any) -> bool:
    return not isinstance(value, list)


@st.composite
def v2_jobs(draw: st.DrawFn, name: str) -> dict[str, Any]:
    status = draw(st.sampled_from(["pending", "completed", "cyclic"]))
    command = words | st.lists(words, min_size=1, max_size=3) | st.just("false")
    job = shuffled(id=st.just(name), task=words, status=st.just(status), verification_cmd=command)
    return draw(job) | draw(st.sampled_from([{}, {"description": ""}, {"description": "what for"}]))


def without_standing(document: dict[str, Any]) -> str:
    """The text of a document without what is computed."""
    copy = deepcopy(document)
    copy["meta"]["current_phase"] = None
    for phase in copy["phases"]:
        phase["status"] = None
    return json.dumps(copy)


@settings(max_examples=50)
@given(v2_documents())
def test_an_export_of_an_import_is_the_document_key_for_key(document: dict[str, Any]) -> None:
    plan = read(document).plan
    assert without_standing(to_v2(plan).document) == without_standing(document)


@settings(max_examples=50)
@given(v2_documents())
def test_what_was_imported_survives_a_document_of_version_3(document: dict[str, Any]) -> None:
    plan = read(document).plan
    again = read(plan.to_document())
    assert again.plan == plan
    assert again.report.notes == ()
    assert to_v2(again.plan) == to_v2(plan)


def differences(after: Any, before: Any, path: str = "") -> Iterator[str]:
    """The paths at which two documents differ."""
    if isinstance(after, dict) and isinstance(before, dict):
        for key in after.keys() | before.keys():
            yield from differences(after.get(key), before.get(key), f"{path}.{key}".strip("."))
    elif isinstance(after, list) and isinstance(before, list) and len(after) == len(before):
        for index, pair in enumerate(zip(after, before, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif after != before:
        yield path


@pytest.mark.parametrize(
    ("name", "version", "changed"),
    [
        ("sovereign_state_v2", 2, ["phases[0].status", "phases[1].status"]),
        ("phase5_proposal", 2, []),
        ("sovereign_state_v1", 1, ["meta.boot_time", "meta.mode", "meta.last_heartbeat"]),
    ],
)
def test_a_sample_comes_back_but_for_what_the_report_says(name: str, version: int, changed: list[str]) -> None:
    imported = read(sample(name))
    assert imported.report.version == version
    exported, original = to_v2(imported.plan).document, sample(name)
    assert set(differences(exported, original)) == set(changed)
    for path in changed:
        assert any(note.startswith(f"{path}: was ") for note in imported.report.notes)


def test_the_v2_sample_says_what_was_repaired_and_what_has_nothing_to_run() -> None:
    report = read(sample("sovereign_state_v2")).report
    assert [note.split(": ", 1)[1] for note in report.notes] == [
        "2025-12-12T06:00:00 has no time zone; it is taken as UTC",
        'was "active"; by its jobs the phase is completed',
        'was "active"; by its jobs the phase is completed',
        "never completes and has nothing to run until it is given an action and a schedule",
    ]
    assert report.warnings == ("phases: phase ids 3, 4 are missing between 2 and 5; say why under `reserved` (line 1)",)


def test_a_cyclic_job_that_is_false_is_idle_and_false_again() -> None:
    plan = read(sample("sovereign_state_v2")).plan
    job = plan.job("5.1")
    assert (job.status, job.verification_cmd, job.idle) == (JobStatus.CYCLIC, None, True)
    assert to_v2(plan).document["phases"][2]["jobs"][0]["verification_cmd"] == "false"


def test_a_cyclic_job_with_a_command_runs_at_the_beat_of_the_older_versions() -> None:
    document = sample("sovereign_state_v2")
    document["phases"][2]["jobs"][0]["verification_cmd"] = "df /"
    imported = read(document)
    job = imported.plan.job("5.1")
    assert job.schedule is not None
    assert job.schedule.every is not None
    assert (job.idle, job.schedule.every.total_seconds()) == (False, 600)
    assert "phases[2].jobs[0].schedule: was missing; the job runs every 10m" in imported.report.notes
    assert to_v2(imported.plan).document["phases"][2]["jobs"] == document["phases"][2]["jobs"]


def test_the_proposal_loads_with_a_warning_and_keeps_what_it_says() -> None:
    imported = read(sample("phase5_proposal"))
    assert imported.report.warnings == (
        "phases[0].depends_on: phases 1, 2, 3, 4 are not in this document; they are taken as done",
    )
    phase = imported.plan.phases[0]
    assert phase.kept is not None
    assert phase.kept.fields == {"depends_on": [1, 2, 3, 4], "risk": "low", "estimate_hours": "12-17"}
    kept = phase.jobs[0].kept
    assert kept is not None
    assert kept.fields == {"priority": "high impact, low effort", "estimate_hours": "1-2"}


def test_imports_are_sequential() -> None:
    assert {phase.order for phase in read(sample("sovereign_state_v1")).plan.phases} == {Order.SEQUENTIAL}


def test_another_mode_is_kept_and_not_used() -> None:
    document = sample("sovereign_state_v2")
    document["meta"]["mode"] = "manual"
    imported = read(document)
    assert imported.plan.meta.mode == "daemon"
    assert to_v2(imported.plan).document["meta"]["mode"] == "manual"
    assert any(note.startswith('meta.mode: "manual" is kept and not used') for note in imported.report.notes)


def test_a_report_of_many_lines_is_cut_short_and_says_so() -> None:
    jobs = [{"id": str(n), "task": "t", "verification_cmd": "x", "timeout": "5s"} for n in range(60)]
    exported = to_v2(read({"version": 3, "phases": [{"id": 1, "name": "n", "jobs": jobs}]}).plan)
    assert (len(exported.notes), exported.notes[-1]) == (51, "… and 11 more")


def test_a_last_heartbeat_is_kept() -> None:
    document = sample("sovereign_state_v1")
    document["meta"]["last_heartbeat"] = "2025-01-02T03:04:05Z"
    assert to_v2(read(document).plan).document["meta"]["last_heartbeat"] == "2025-01-02T03:04:05Z"


def test_a_wrong_current_phase_is_repaired_and_said() -> None:
    document = sample("sovereign_state_v1")
    document["meta"]["current_phase"] = 4
    imported = read(document)
    assert "meta.current_phase: was 4; by its jobs the plan is in phase 1" in imported.report.notes
    assert to_v2(imported.plan).document["meta"]["current_phase"] == 1


def test_phases_in_any_order_are_put_in_order_and_the_report_says_so() -> None:
    document = sample("sovereign_state_v2")
    document["phases"].reverse()
    imported = read(document)
    assert [phase.id for phase in imported.plan.phases] == [1, 2, 5]
    assert imported.report.notes[-1] == "phases: are put into the order of their ids"


def test_a_field_that_only_version_3_knows_is_kept_and_not_used() -> None:
    document = sample("sovereign_state_v1")
    document["phases"][0]["jobs"][1]["timeout"] = "5 minutes"
    imported = read(document)
    assert imported.plan.job("1.2").timeout.total_seconds() == 60
    assert any(note.startswith("phases[0].jobs[1].timeout: is kept and not used") for note in imported.report.notes)


def test_metadata_that_means_the_same_is_handed_on() -> None:
    document = sample("sovereign_state_v1")
    document["phases"][1]["jobs"][0] |= {"priority": 3, "files": ["a"], "depends_on": ["1.1", "9.9"]}
    imported = read(document)
    job = imported.plan.job("2.1")
    assert (job.priority, job.files, job.depends_on) == (3, ("a",), ("1.1",))
    assert to_v2(imported.plan).document["phases"][1]["jobs"] == document["phases"][1]["jobs"]


def test_a_change_takes_the_place_of_what_was_kept() -> None:
    plan = read(sample("sovereign_state_v2")).plan
    beat = plan.meta.model_copy(update={"last_heartbeat": plan.meta.boot_time})
    exported = to_v2(plan.model_copy(update={"meta": beat})).document
    assert exported["meta"]["last_heartbeat"] == "2025-12-12T06:00:00Z"
    assert exported["meta"]["boot_time"] == "2025-12-12T06:00:00"


@pytest.mark.parametrize(
    ("document", "version", "reason"),
    [
        ({"meta": {"boot_time": "x"}}, 2, "meta says boot_time"),
        ({"meta": {"mode": "daemon"}}, 2, "meta says mode"),
        ({"meta": {"current_phase": 1}}, 1, "no boot_time"),
        ({"phases": [{"status": "active"}]}, 1, "no boot_time"),
        ({"version": 3}, 3, "it says version 3"),
        ({"version": 2, "meta": {}}, 2, "it says version 2"),
        ({"version": "1.0", "meta": {"mode": "daemon"}}, 1, "it says version 1.0"),
    ],
)
def test_the_version_is_found_by_content_with_a_reason(document: Any, version: int, reason: str) -> None:
    resolved = resolve(document)
    assert resolved.version == version
    assert reason in resolved.reason


def test_a_stated_version_moves_with_the_document() -> None:
    document = {"version": 1} | sample("sovereign_state_v1")
    exported = to_v2(read(document).plan).document
    assert (exported["version"], list(exported)) == (2, ["version", "meta", "phases"])


@given(anything)
def test_no_shape_of_an_older_document_does_anything_but_load_or_be_refused(shape: Any) -> None:
    job = {"id": shape, "status": shape, "verification_cmd": shape}
    for document in (
        {"meta": {"mode": "daemon"}, "phases": shape},
        {"meta": {"mode": shape, "boot_time": shape, "last_heartbeat": shape}, "phases": [shape]},
        {"version": 2, "meta": shape, "phases": [{"id": shape, "name": "n", "status": shape, "jobs": [shape]}]},
        {"version": 1, "phases": [{"id": 1, "name": shape, "depends_on": shape, "jobs": [job]}]},
    ):
        with pytest.raises(DocumentError):
            read(document)


def test_an_export_to_version_2_says_what_it_cannot_hold() -> None:
    source = """
version: 3
reserved: [{ids: [2], reason: later}]
phases:
  - id: 1
    name: n
    approval: required
    jobs:
      - {id: a, task: t, verification_cmd: [test, -d, a b], timeout: 5s}
      - {id: b, task: t, status: cyclic, schedule: {every: 1m}, action: {use: shell}}
"""
    exported = to_v2(read(source).plan)
    assert [note.split(":")[0] for note in exported.notes] == [
        "reserved",
        "phases[0].order",
        "phases[0].approval",
        "phases[0].jobs[0].timeout",
        "phases[0].jobs[0].verification_cmd",
        "phases[0].jobs[1].action",
        "phases[0].jobs[1].schedule",
    ]
    jobs = exported.document["phases"][0]["jobs"]
    assert [job["verification_cmd"] for job in jobs] == ["test -d 'a b'", "false"]
    assert isinstance(read(exported.document).plan, Plan)


def test_an_export_to_v2_puts_each_job_behind_what_it_waits_for() -> None:
    jobs = [
        {"id": "a", "task": "t", "verification_cmd": "x", "depends_on": ["d"]},
        {"id": "b", "task": "t", "verification_cmd": "x"},
        {
            "id": "c",
            "task": "t",
            "verification_cmd": "x",
            "status": "cyclic",
            "schedule": {"every": "1m"},
            "depends_on": ["d"],
        },
        {"id": "d", "task": "t", "verification_cmd": "x"},
    ]
    exported = to_v2(read({"version": 3, "phases": [{"id": 1, "name": "n", "jobs": jobs}]}).plan)
    again = read(exported.document).plan
    assert [job.id for _, job in again.jobs()] == ["b", "c", "d", "a"]
    assert any("stands behind what it waits for" in str(note) for note in exported.notes)
