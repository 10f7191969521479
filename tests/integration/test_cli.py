"""The commands on a real Redis: what they print, what they change, how they end."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.adapters.redis.fleet import RedisFleet
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.plan.letters import Death, LetterKind
from moie_worker.plan.presence import Beat, Worker
from moie_worker.plan.states import Outcome, Place
from moie_worker.plan.times import Ms
from tests.cli_kit import PLAN, Cli, cli, digest, settled

__all__ = ["cli"]

DATA = Path(__file__).parents[1] / "data"
V1, V2 = DATA / "sovereign_state_v1.json", DATA / "sovereign_state_v2.json"


@pytest.fixture
def plan(cli: Cli, tmp_path: Path) -> Path:
    """A loaded plan."""
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN)
    cli.says("load", str(file))
    return file


@pytest.fixture
def store(redis_url: str) -> RedisStore:
    return RedisStore(connect(redis_url), "default")


@pytest.fixture
def fleet(redis_url: str) -> RedisFleet:
    return RedisFleet(connect(redis_url))


# -- loading ----------------------------------------------------------------------------------------


def test_validate_prints_how_a_document_was_understood_and_touches_nothing(
    cli: Cli, redis_client: "redis.Redis"
) -> None:
    done = cli.run("validate", str(V2))
    assert done.exit_code == 0
    assert "a good plan of version 2: 3 phases, 5 jobs" in done.stdout
    assert "version 2: " in done.stderr
    assert 'note: phases[0].status: was "active"; by its jobs the phase is completed' in done.stderr
    assert "warning: phases: phase ids 3, 4 are missing" in done.stderr
    assert cli.json("validate", str(V2)) | {"valid": True, "version": 2, "jobs": 5} == cli.json("validate", str(V2))
    assert redis_client.dbsize() == 0


def test_a_script_that_validates_a_bad_plan_is_told_what_is_wrong_with_it(cli: Cli, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 3\nphases: [{id: 1, name: ONE, jobs: [{id: a, task: t, verify: x}]}]\n")
    done = cli.run("validate", str(bad), "--json")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["valid"], done.stderr) == (2, False, "")
    assert cli.fails(2, "validate", str(bad)) == f"Error: {bad}: {told['problems'][0]}\n"


def test_loading_again_prints_what_changes(cli: Cli, plan: Path) -> None:
    plan.write_text(
        PLAN.replace("exit 3", "exit 4").replace("priority: 2", "priority: 3").replace("every: 10m", "every: 5m")
    )
    done = cli.json("load", str(plan))
    assert (done["revision"], done["changed"], done["edited"], done["re-armed"]) == (2, ["1.2"], ["1.1"], ["5.1"])
    assert done["unchanged"] == 1


def test_a_dry_run_prints_the_difference_and_changes_nothing(cli: Cli, plan: Path, redis_client: "redis.Redis") -> None:
    plan.write_text(PLAN.replace("exit 3", "exit 4"))
    before = digest(redis_client)
    assert "changed         1  1.2" in cli.says("load", str(plan), "--dry-run")
    assert digest(redis_client) == before


def test_a_plan_comes_from_standard_input_under_any_name(cli: Cli) -> None:
    done = cli.run("load", "-", "--plan", "other", stdin=PLAN.encode())
    assert done.exit_code == 0
    assert cli.json("status", "--plan", "other")["plan"] == "other"
    assert "known plans: other" in cli.fails(1, "status")


def test_loading_goes_on_where_a_killed_loader_stopped(cli: Cli, plan: Path, store: RedisStore) -> None:
    from moie_worker.doors.cli.files import read_document
    from moie_worker.plan.compile import compile_plan

    store.load(compile_plan(read_document(str(plan)).plan, 0), 1, "ops", "")  # committed, nothing applied
    assert cli.json("status")["loading"] is True
    assert cli.json("load", str(plan))["revision"] == 3
    assert cli.json("status")["loading"] is False


@pytest.mark.parametrize("document", [V1, V2, DATA / "phase5_proposal.json"], ids=lambda path: path.name)
def test_every_sample_is_loaded(cli: Cli, document: Path) -> None:
    cli.says("load", str(document))
    assert cli.json("status")["revision"] == 1


def test_a_plan_that_would_remove_most_jobs_is_loaded_only_when_it_is_meant(
    cli: Cli, plan: Path, redis_client: "redis.Redis"
) -> None:
    before = digest(redis_client)
    plan.write_text(PLAN.partition("  - id: 2")[0].replace('"1.2"', '"1.3"'))
    said = cli.fails(1, "load", str(plan))
    assert "This removes 3 of the 4 jobs of default. Load it?" in said
    assert "say --yes" in said
    assert digest(redis_client) == before
    assert len(json.loads(cli.run("load", str(plan), "--dry-run", "--json").stdout)["removed"]) == 3
    assert cli.json("load", str(plan), "--yes")["revision"] == 2


def test_a_plan_that_removes_half_of_the_jobs_is_loaded_without_a_question(cli: Cli, plan: Path) -> None:
    plan.write_text(PLAN.partition("  - id: 2")[0])
    assert len(cli.json("load", str(plan))["removed"]) == 2


# -- documents --------------------------------------------------------------------------------------


def test_an_export_of_the_sample_differs_only_in_what_was_repaired_and_said(cli: Cli) -> None:
    said = cli.run("load", str(V2)).stderr
    exported, original = json.loads(cli.says("export", "--format", "v2")), json.loads(V2.read_text())
    for number in (0, 1):
        assert f"phases[{number}].status" in said
        assert exported["phases"][number].pop("status") == "completed"
        assert original["phases"][number].pop("status") == "active"
    assert json.dumps(exported) == json.dumps(original)  # the order of fields too


def test_an_export_says_where_the_jobs_stand(cli: Cli, plan: Path, store: RedisStore, tmp_path: Path) -> None:
    settled(store, "1.1", Outcome.PASSED, Place.COMPLETED)
    cli.says("heartbeat", "--local")
    file = tmp_path / "out.yaml"
    cli.says("export", str(file))
    document = yaml.safe_load(file.read_text())
    assert document["phases"][0]["jobs"][0]["status"] == "completed"
    assert document["meta"]["last_heartbeat"] == cli.json("status")["last_heartbeat"]
    assert "is there already" in cli.fails(2, "export", str(file))
    cli.says("export", str(file), "--force")
    assert cli.json("load", str(file))["changed"] == []


def test_a_job_that_its_document_calls_completed_is_verified_all_the_same(cli: Cli) -> None:
    job = {"id": "1.1", "task": "t", "status": "completed", "verification_cmd": "false"}
    document = {"version": 3, "phases": [{"id": 1, "name": "ONE", "jobs": [job]}]}
    cli.run("load", "-", stdin=json.dumps(document).encode())
    status = cli.json("status")
    assert (status["sovereign"], status["imported"], status["phases"][0]["completed"]) == (False, 0, 0)
    assert json.loads(cli.says("export", "--format", "v2"))["phases"][0]["jobs"][0]["status"] == "pending"


def test_a_job_that_an_older_document_calls_completed_is_taken_over_and_shown_as_such(cli: Cli) -> None:
    cli.run("load", str(V2))
    loaded = cli.json("status")
    done = sum(job["status"] == "completed" for phase in json.loads(V2.read_text())["phases"] for job in phase["jobs"])
    assert loaded["imported"] == done > 0
    assert (loaded["sovereign"], f"{done} that were imported as completed" in cli.says("status")) == (True, True)
    assert "imported as completed, never" in cli.says("jobs", "--place", "completed")
    assert "imported as completed, never verified" in cli.says("job", "1.1")
    doctor = {row["check"]: row for row in json.loads(cli.run("doctor", "--json").stdout)}
    assert doctor["verified"]["status"] == "note"
    assert not [name for name, jobs in cli.json("load", str(V2)).items() if name in ("added", "changed") and jobs]
    assert cli.json("status")["imported"] == done


def test_what_version_2_cannot_hold_is_said(cli: Cli, plan: Path) -> None:
    done = cli.run("export", "--format", "v2")
    assert done.exit_code == 0
    assert "v2 cannot say that it waits for approval" in done.stderr


def test_migration_writes_a_new_file_and_keeps_the_old_one(cli: Cli, tmp_path: Path) -> None:
    old = tmp_path / "plan.json"
    old.write_bytes(V1.read_bytes())
    assert cli.run("migrate", str(old), "--to", "2", "--dry-run").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.json"]
    cli.says("migrate", str(old), "--to", "2")
    cli.says("migrate", str(tmp_path / "plan.v2.json"), "--to", "3")
    assert old.read_bytes() == V1.read_bytes()
    assert json.loads((tmp_path / "plan.v2.json").read_text())["meta"]["mode"] == "daemon"
    assert json.loads((tmp_path / "plan.v2.v3.json").read_text())["version"] == 3
    assert "is there already" in cli.fails(2, "migrate", str(old), "--to", "2")
    assert "is of version 2 already" in cli.fails(2, "migrate", str(tmp_path / "plan.v2.json"), "--to", "2")
    cli.fails(2, "migrate", str(old))
    assert cli.json("migrate", str(tmp_path / "plan.v2.v3.json"), "--to", "2", "--dry-run")["from"] == 3


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--output", "-")], ids=" ".join)
def test_a_migration_to_standard_output_is_one_json_document_when_that_is_asked_for(
    cli: Cli, more: tuple[str, ...]
) -> None:
    done = cli.run("migrate", "-", "--to", "2", "--json", *more, stdin=V1.read_bytes())
    said = json.loads(done.stdout)
    assert (said["from"], said["to"], said["file"], said["document"]["meta"]["mode"]) == (1, 2, None, "daemon")


# -- looking ----------------------------------------------------------------------------------------


def test_the_status_of_the_sample(cli: Cli) -> None:
    cli.says("load", str(V2))
    text = cli.says("status")
    assert "WIRE THE NERVOUS SYSTEM (Resurrection) – 3/3 (completed)" in text
    assert "UPGRADE THE HEART (Llama 3) – 1/1 (completed)" in text
    assert "ETERNAL MONITORING (The Infinite Game) – 0/1 (active)" in text
    document = cli.json("status")
    assert (document["sovereign"], document["current_phase"]) == (True, 5)
    assert [phase["cyclic"] for phase in document["phases"]] == [0, 0, 1]


def test_status_shows_the_rest_beside_what_cannot_be_read(cli: Cli, plan: Path, redis_client: "redis.Redis") -> None:
    redis_client.hset("moie:{default}:approvals", "2", "{")
    redis_client.hset("moie:{default}:plan", "breaker:default", '{"recent": 5}')
    said = cli.says("status")
    assert "UNREADABLE   2 of moie:{default}:approvals is no JSON" in said
    assert "`moie resume --queue default` takes it away" in said
    assert "TWO – 0/1" in said
    assert [one["what"] for one in cli.json("status")["unreadable"]] == ["breaker:default", "2"]
    cli.says("resume", "--queue", "default")
    cli.says("approve", "2")
    assert "UNREADABLE" not in cli.says("status")


LOOKS = (
    ("status",), ("status", "--json"), ("jobs",), ("job", "1.1"), ("job", "5.1"), ("journal",), ("show",),
    ("simulate",), ("dead", "list"), ("receipts", "list"), ("policies", "decisions"), ("export",), ("backup", "list"),
)  # fmt: skip


@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
def test_who_looks_is_answered_by_a_redis_without_room(
    cli: Cli, plan: Path, store: RedisStore, redis_client: "redis.Redis", command: tuple[str, ...]
) -> None:
    settled(store, "1.2", Outcome.BROKEN, Place.DEAD, reason="no such file")
    redis_client.config_set("maxmemory", 1)
    try:
        cli.says(*command)
    finally:
        redis_client.config_set("maxmemory", 0)


def test_status_has_the_fields_that_scripts_rely_on(cli: Cli, plan: Path) -> None:
    assert cli.json("status").keys() >= {
        "plan", "sovereign", "current_phase", "last_heartbeat", "heartbeat_age_s", "revision", "due", "running",
        "dead_letters", "phases",
    }  # fmt: skip
    assert cli.json("jobs")[0].keys() >= {
        "id", "phase", "task", "status", "outcome", "attempts", "due_at", "last_error"
    }  # fmt: skip


def test_jobs_are_listed_in_the_order_of_the_plan_and_filtered(cli: Cli, plan: Path, store: RedisStore) -> None:
    settled(store, "1.2", Outcome.FAILED, Place.WAITING)
    assert [job["id"] for job in cli.json("jobs")] == ["1.1", "1.2", "2.1", "5.1"]
    assert [job["id"] for job in cli.json("jobs", "--phase", "2")] == ["2.1"]
    waiting = cli.json("jobs", "--place", "waiting")
    assert [(job["id"], job["outcome"], job["last_error"]) for job in waiting] == [("1.2", "failed", "it failed")]
    assert [job["id"] for job in cli.json("jobs", "--limit", "1")] == ["1.1"]
    assert "1.2  1      bad    waiting" in cli.says("jobs")


def test_a_job_is_shown_with_its_metadata_evidence_and_journal_but_no_secret(
    cli: Cli, plan: Path, store: RedisStore
) -> None:
    settled(store, "1.2", Outcome.FAILED, Place.WAITING)
    text, document = cli.says("job", "1.2"), cli.json("job", "1.2")
    assert "job 1.2 failed its check: it failed (on w@h)" in text
    assert "sesame" not in text + json.dumps(document)
    assert document["journal"][-1]["event"] == "job.failed"
    text = cli.says("job", "1.1")
    assert all(f"{name:<18}{value}" in text for name, value in {
        "priority": "2", "estimate": "1 h", "files": "a.py", "risks": "it may"
    }.items())  # fmt: skip
    assert "no job '9.9'" in cli.fails(1, "job", "9.9")


def test_the_journal_is_lines_of_words(cli: Cli, plan: Path) -> None:
    cli.says("pause", "--why", "lunch")
    lines = cli.says("journal").splitlines()
    assert all(line.startswith("- **20") for line in lines)
    assert lines[-1].endswith(": lunch")
    assert "plan PAUSED by " in lines[-1]
    assert cli.json("journal", "-n", "1")[0]["why"] == "lunch"


def test_both_pictures_render_the_sample(cli: Cli) -> None:
    cli.says("load", str(V2))
    assert "   └─ ↻ 5.1  Deep Research Scan  (nothing to run)" in cli.says("show")
    assert cli.says("show", "--format", "mermaid").startswith("flowchart TD\n")
    assert cli.json("show")["phases"][2]["jobs"][0]["id"] == "5.1"


# -- foreseeing -------------------------------------------------------------------------------------


def test_simulation_names_what_would_happen_and_changes_not_one_byte(
    cli: Cli, plan: Path, store: RedisStore, redis_client: "redis.Redis"
) -> None:
    settled(store, "1.2", Outcome.FAILED, Place.WAITING)
    before = digest(redis_client)
    text, document = cli.says("simulate", "--beats", "3"), cli.json("simulate", "--beats", "3")
    assert digest(redis_client) == before
    assert "look again   1.2  bad" in text
    assert "if verified  phase 2 begins" in text
    assert [beat["verify"] for beat in document] == [["1.1"], [], []]
    assert [fire["id"] for beat in document for fire in beat["cyclic"]] == ["5.1"] * 3


def test_verification_commands_are_tested_and_nothing_changes(
    cli: Cli, plan: Path, redis_client: "redis.Redis"
) -> None:
    before = digest(redis_client)
    done = cli.run("verify", "--json")
    assert digest(redis_client) == before
    assert done.exit_code == 1
    assert [(one["id"], one["verdict"]) for one in json.loads(done.stdout)] == [
        ("1.1", "pass"), ("1.2", "fail"), ("2.1", "pass"), ("5.1", "pass")
    ]  # fmt: skip
    assert "password=***" in done.stdout
    assert "sesame" not in done.stdout
    assert "1 pass" in cli.says("verify", "1.1")
    assert "no job '9'" in cli.fails(1, "verify", "9")


# -- acting -----------------------------------------------------------------------------------------


def test_a_pause_is_shown_and_ended(cli: Cli, plan: Path) -> None:
    assert "PAUSED" in cli.says("pause")
    assert "already" in cli.says("pause")
    assert cli.json("status")["paused"] is True
    cli.says("resume")
    assert cli.json("status")["paused"] is False
    assert "was not paused" in cli.says("resume")


def test_only_a_queue_that_is_stopped_goes_on(cli: Cli, plan: Path) -> None:
    assert "queue 'scan' is not stopped" in cli.fails(1, "resume", "--queue", "scan")


def test_jobs_and_plans_are_cancelled(cli: Cli, plan: Path) -> None:
    assert "job 1.1 cancelled" in cli.says("cancel", "1.1")
    assert "job '1.1' is cancelled" in cli.fails(1, "cancel", "1.1")
    cli.fails(2, "cancel")
    cli.fails(2, "cancel", "--all", "1.1")
    cli.says("retry", "1.1")
    cli.says("cancel", "--all")
    assert "CANCELLED" in cli.says("status")
    cli.says("resume")
    assert cli.json("status")["cancelled"] is False


def test_what_is_refused_keeps_nothing_else_from_being_done(cli: Cli, plan: Path) -> None:
    done = cli.run("cancel", "9.9", "1.1")
    assert done.exit_code == 1
    assert "job 1.1 cancelled" in done.stdout
    assert "no job '9.9'" in done.stderr


def test_what_acts_says_what_it_changed_as_json(cli: Cli, plan: Path, store: RedisStore) -> None:
    assert [cli.json("pause")["changed"] for _ in range(2)] == [True, False]
    assert cli.json("resume") == {"id": "default", "changed": True, "message": "default goes on"}
    done = cli.run("cancel", "9.9", "1.1", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout) == [
        {"id": "9.9", "changed": False, "message": "no job '9.9'"},
        {"id": "1.1", "changed": True, "message": "job 1.1 cancelled"},
    ]
    assert cli.json("retry", "1.1")[0]["changed"]
    assert cli.json("run", "1.1")[0]["changed"]
    assert [cli.json(answer, "2")["id"] for answer in ("approve", "reject")] == ["2", "2"]
    settled(store, "1.2", Outcome.BROKEN, Place.DEAD, reason="no such file")
    assert cli.json("dead", "replay", "1.2") == [{"id": "1.2", "changed": True, "message": "job:1.2 replayed"}]
    assert cli.json("dead", "discard", "--all", "--yes")[0]["message"] == "job:1.2 discarded"
    assert cli.json("cancel", "--all")["changed"] is True


def test_the_journal_is_searched_by_job_event_and_time(cli: Cli, plan: Path) -> None:
    for job in ("1.1", "1.2"):
        cli.says("cancel", job)
        cli.says("retry", job)
    cli.says("pause")

    def found(*options: str) -> list[tuple[str, str | None]]:
        return [(entry["event"], entry["job"]) for entry in cli.json("journal", *options)]

    assert found("--job", "1.1") == [("job.cancel", "1.1"), ("job.retry", "1.1")]
    assert found("--event", "job.retry", "--event", "plan.paused", "-n", "2") == [
        ("job.retry", "1.2"), ("plan.paused", None)
    ]  # fmt: skip
    assert found("--event", "job", "--since", "1h", "-n", "1") == [("job.retry", "1.2")]
    assert found("--acts", "-n", "1") == [("plan.paused", None)]
    assert found("--acts", "--job", "1.2") == [("job.cancel", "1.2"), ("job.retry", "1.2")]
    assert found("--event", "jo") == found("--since", "2999-01-01T00:00") == []
    cli.fails(2, "journal", "--since", "soon")


def test_approval_is_asked_for_and_given(cli: Cli, plan: Path, store: RedisStore) -> None:
    settled(store, "1.1", Outcome.PASSED, Place.COMPLETED)
    cli.says("cancel", "1.2")
    cli.says("reject", "2", "--why", "not yet")
    cli.says("approve", "2", "--why", "now")
    assert "asks for no approval" in cli.fails(1, "approve", "1")
    assert "no phase 7; there are 1, 2, 5" in cli.fails(1, "reject", "7")
    assert [entry["why"] for entry in cli.json("journal", "-n", "2")] == ["not yet", "now"]


def test_a_reason_is_a_reason_and_no_document(cli: Cli, plan: Path) -> None:
    assert "at most 1,000 are kept" in cli.fails(2, "reject", "2", "--why", "w" * 1001)
    cli.says("reject", "2", "--why", "see caf\udce9")  # as a terminal gives what is no UTF-8
    assert cli.json("journal", "-n", "1")[0]["why"].startswith("see caf")


def test_two_persons_must_approve_and_the_one_who_loaded_it_is_neither(
    cli: Cli, tmp_path: Path, store: RedisStore
) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(PLAN.replace("approval: required", "approval: {expires: 2h, two_persons: true}"))
    cli.says("load", str(file))
    assert "phase 2 asks for others than" in cli.fails(1, "approve", "2")
    assert store.answer(2, True, "ada@a", "fine") is False
    (asks,) = [phase["approval"] for phase in cli.json("status")["phases"] if phase["id"] == 2]
    assert (asks["persons"], asks["asked_at"] is None) == (2, False)
    assert [vote["who"] for vote in asks["approved"]] == ["ada@a"]


def test_a_job_of_a_locked_phase_does_not_run(cli: Cli, plan: Path) -> None:
    assert "waits for phase:2" in cli.fails(1, "run", "2.1")


@pytest.mark.parametrize("command", ["pause", "resume", "simulate", "verify", "show", "jobs", "export", "heartbeat"])
def test_a_plan_that_is_not_loaded_is_a_negative_answer(cli: Cli, command: str, redis_client: "redis.Redis") -> None:
    assert "no plan is loaded as 'default'" in cli.fails(1, command)
    assert redis_client.dbsize() == 0


# -- dead letters -----------------------------------------------------------------------------------


def test_dead_letters_are_listed_shown_replayed_and_discarded(cli: Cli, plan: Path, store: RedisStore) -> None:
    assert "no dead letters" in cli.says("dead", "list")
    settled(store, "1.2", Outcome.BROKEN, Place.DEAD, reason="no such file")
    (letter,) = cli.json("dead", "list")
    assert letter.keys() >= {"id", "kind", "job", "reason", "attempts", "first_at", "last_at", "replayed_at"}
    assert (letter["id"], letter["replayed_at"]) == ("job:1.2", None)
    assert cli.json("dead", "list", "--reason", "other") == []
    assert len(cli.json("dead", "list", "--since", "1h", "--open", "--kind", "job")) == 1
    assert "sesame" not in cli.says("dead", "show", "1.2")
    assert "replayed" in cli.says("dead", "replay", "1.2", "--why", "mended")
    assert "was replayed already" in cli.fails(1, "dead", "replay", "1.2")
    assert cli.json("dead", "list", "--open") == []
    assert "discarded" in cli.says("dead", "discard", "1.2")
    assert "no dead letter '1.2'" in cli.fails(1, "dead", "show", "1.2")


def test_many_letters_ask_first(cli: Cli, plan: Path, store: RedisStore) -> None:
    settled(store, "1.2", Outcome.BROKEN, Place.DEAD, reason="no such file")
    cli.fails(2, "dead", "discard")
    cli.fails(1, "dead", "discard", "--all")
    assert len(cli.json("dead", "list")) == 1
    assert "1 replayed" in cli.says("dead", "replay", "--kind", "job", "--yes")
    assert "1 discarded" in cli.says("dead", "discard", "--all", "--yes")
    assert "no dead letter is meant" in cli.fails(1, "dead", "discard", "--all", "--yes")


def test_what_many_letters_are_refused_for_names_each_once(cli: Cli, plan: Path, store: RedisStore) -> None:
    settled(store, "1.2", Outcome.BROKEN, Place.DEAD, reason="no such file")
    cli.says("dead", "replay", "1.2")
    said = cli.fails(1, "dead", "replay", "--all", "--yes")
    assert said == "the dead letter of job '1.2' was replayed already\n"
    (told,) = json.loads(cli.run("dead", "replay", "--all", "--yes", "--json").stdout)
    assert told == {"id": "job:1.2", "changed": False, "message": said.strip()}


def test_a_time_that_is_none_is_wrong_use(cli: Cli) -> None:
    cli.fails(2, "dead", "list", "--since", "yesterday")


@pytest.mark.integration
def test_the_dead_letter_of_a_task_is_sent_again(
    cli: Cli, redis_url: str, redis_client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    payload: dict[str, Any] = {
        "task": "shop.pay", "args": [1], "kwargs": {}, "id": "abc", "root_id": None, "headers": {}, "priority": None,
        "exchange": "", "routing_key": "till",
    }  # fmt: skip
    box = RedisDeadLetters(connect(redis_url), "default")
    box.put(Death("task:abc", LetterKind.TASK, "shop.pay", "no money", 3, payload))
    monkeypatch.setenv("MOIE_BROKER_URL", "redis://127.0.0.1:1/0")
    assert "the broker cannot be reached" in cli.fails(3, "dead", "replay", "task:abc")
    assert cli.json("dead", "list")[0]["replayed_at"] is None
    monkeypatch.delenv("MOIE_BROKER_URL")
    assert "task:abc replayed" in cli.says("dead", "replay", "task:abc")
    assert json.loads(str(redis_client.lindex("till", 0)))["headers"]["task"] == "shop.pay"
    assert "force it" in cli.fails(1, "dead", "replay", "task:abc")
    assert "shop.pay" in cli.says("dead", "list")


# -- health -----------------------------------------------------------------------------------------


def presence(fleet: RedisFleet, now: Ms) -> None:
    fleet.worker_here(Worker("w@h", "h", 1, ("default",), 2, now), timedelta(minutes=1))
    fleet.beat_here(Beat("b", "h", 2, now), timedelta(minutes=1))


def test_health_has_an_exit_code_for_each_answer(
    cli: Cli, plan: Path, fleet: RedisFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.fails(2, "health")
    cli.says("heartbeat", "--local")
    assert "workers: none is there" in json.loads(cli.run("health", "--json").stdout)["problems"]
    cli.fails(1, "health")
    presence(fleet, 0)
    assert "heartbeat: healthy - last heartbeat" in cli.says("health")
    document = cli.json("health")
    assert document["status"] == "healthy"
    assert document["workers"] == 1
    assert document["heartbeat"]["age_s"] < 60
    assert document["jobs"][0].keys() >= {"id", "status", "message", "runs", "failures", "failure_share"}
    monkeypatch.setenv("MOIE_REDIS_URL", "redis://127.0.0.1:1/0")
    cli.fails(3, "health")


def test_a_job_that_was_given_up_is_no_health(cli: Cli, plan: Path, fleet: RedisFleet, store: RedisStore) -> None:
    cli.says("heartbeat", "--local")
    presence(fleet, 0)
    cli.says("health")
    settled(store, "1.2", Outcome.BROKEN, Place.DEAD, reason="cannot be run")
    told = cli.run("health")
    assert (told.exit_code, "given up: unhealthy - 1 job: `moie jobs --place dead`" in told.stdout) == (1, True)
    assert "given up: 1 job: `moie jobs --place dead`" in json.loads(cli.run("health", "--json").stdout)["problems"]
    cli.says("dead", "replay", "1.2")
    cli.says("health")


def test_doctor_finds_what_is_missing(cli: Cli, plan: Path, fleet: RedisFleet) -> None:
    found = {one["check"]: one["status"] for one in json.loads(cli.run("doctor", "--json").stdout)}
    assert found["workers"] == found["beats"] == found["queues"] == "fault"
    assert found["durability"] == "warning"
    cli.fails(1, "doctor")
    presence(fleet, 0)
    assert "broker" in cli.says("doctor")


def test_doctor_looks_through_the_plan_and_names_what_is_broken(
    cli: Cli, plan: Path, fleet: RedisFleet, store: RedisStore
) -> None:
    presence(fleet, 5)
    said = json.loads(cli.run("doctor", "--audit", "--json").stdout)
    assert [one["status"] for one in said if one["check"] == "audit"] == ["ok"]
    store.client.zadd(store.key("timed"), {"ghost": 1})
    told = cli.run("doctor", "--audit", "--json")
    broken = next(one for one in json.loads(told.stdout) if one["check"] == "audit")
    assert (told.exit_code, broken["status"], broken["where"], broken["what"]) == (1, "fault", "timed", "ghost")
    assert {"rule", "message", "remedy"} <= broken.keys()
    assert "timed: ghost stands there and is no job" in " ".join(cli.run("doctor", "--audit").stdout.split())


# -- errors -----------------------------------------------------------------------------------------


def test_without_any_redis_the_way_out_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOIE_REDIS_URL")
    assert "Start one with `moie up`" in cli.fails(3, "status")


def test_a_broker_out_of_reach_is_exit_code_3(cli: Cli, plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOIE_BROKER_URL", "redis://:sesame@127.0.0.1:1/0")
    said = cli.fails(3, "heartbeat")
    assert "the broker cannot be reached" in said
    assert "sesame" not in said


@pytest.mark.parametrize("line", ["status", "jobs", "job 1.1", "journal", "dead list", "doctor", "simulate", "export"])
def test_a_full_redis_can_be_looked_at(cli: Cli, plan: Path, redis_client: "redis.Redis", line: str) -> None:
    before = cli.run(*line.split())
    redis_client.config_set("maxmemory", 1)
    try:
        done = cli.run(*line.split())
    finally:
        redis_client.config_set("maxmemory", 0)
    assert (done.exit_code, done.stderr) == (before.exit_code, before.stderr)


def test_a_wrong_setting_is_bad_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOIE_HEARTBEAT", "soon")
    assert "MOIE_HEARTBEAT" in cli.fails(2, "status")
    monkeypatch.delenv("MOIE_HEARTBEAT")
    assert "MOIE_PLAN" in cli.fails(2, "status", "--plan", "a b")


def test_a_fault_of_moie_itself_is_exit_code_70_and_its_traceback_is_kept(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("by design")

    monkeypatch.setattr(RedisStore, "overview", broken)
    said = cli.fails(70, "status")
    kept = cli.home / "logs" / "errors.log"
    assert "ZeroDivisionError: by design" in said
    assert str(kept) in said
    assert "Traceback" in kept.read_text()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_disk_that_is_full_is_no_fault_of_moie(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unbuffered: str
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    (tmp_path / "plan.yaml").write_text(PLAN)
    command = [sys.executable, "-m", "moie_worker", "validate", str(tmp_path / "plan.yaml")]
    with Path("/dev/full").open("r+b", buffering=0) as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, timeout=60, text=True)
    assert done.stderr == ("Error: standard output: No space left on device. Make room there, or give another place\n")
    assert done.returncode == 2


def test_an_address_that_flower_cannot_have_is_wrong_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOIE_FLOWER_HOST", "192.0.2.1")
    said = cli.fails(2, "up")
    assert "MOIE_FLOWER_HOST: 192.0.2.1: Cannot assign requested address. Give an address of this machine" in said


def test_watching_needs_a_terminal(cli: Cli, plan: Path) -> None:
    assert "--watch is for a terminal" in cli.fails(2, "status", "--watch")


@pytest.mark.parametrize("words", [("-m", "moie_worker"), ("-m", "celery", "-A", "moie_worker", "moie")], ids=" ".join)
def test_the_commands_are_there_by_every_name(cli: Cli, plan: Path, words: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, *words, "status", "--json"], capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["plan"] == "default"


def test_the_command_line_does_not_import_celery(cli: Cli, plan: Path) -> None:
    code = (
        "import sys\nfrom moie_worker.doors.cli.main import moie\n"
        "moie(['status'], standalone_mode=False)\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60, text=True)
    loaded = set(done.stdout.split())
    assert "moie_worker.wiring" in loaded
    assert not loaded & {"celery", "kombu", "rich"}
