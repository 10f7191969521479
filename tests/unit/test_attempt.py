"""One attempt: what is run in which order, what it proves, and what is kept of it."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from moie_worker.heart.attempt import LEAVING_SEEN_S, Run, now_of, perform
from moie_worker.heart.checks import check_of
from moie_worker.heart.hints import work
from moie_worker.plan.flow import Attempt, Settlement
from moie_worker.plan.model import Job
from moie_worker.plan.receipts import command_digest
from moie_worker.plan.states import Outcome, Place
from moie_worker.plan.times import Ms, moment
from moie_worker.ports import ActionContext, Command, Evidence, Stop
from tests.receipt_kit import Key
from tests.unit.heart_kit import ACTION, CYCLIC, FAILED, PASSED, Flag, Heart

KILLED = Evidence(Outcome.BROKEN, "killed by signal 9 (SIGKILL)", signal=9, duration_s=0.1)
SHELL_KILLED = Evidence(Outcome.BROKEN, "exit code 143 (128 + SIGTERM)", exit_code=143, duration_s=0.1)


class Armed:
    """Remembers what was armed."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Ms, Ms]] = []

    def __call__(self, token: str, slot: Ms, due: Ms) -> bool:
        self.calls.append((token, slot, due))
        return True


def begun(heart: Heart, **job: Any) -> Attempt:
    heart.load({"id": "a"} | job)
    (attempt,) = heart.desk().store.begin(heart.hint("a"), "n", "w", heart.desk().lease)
    heart.runner.renewed([attempt.token], heart.desk().lease, 0)
    return attempt


def run(heart: Heart, arm: Armed | None = None, **job: Any) -> Settlement:
    attempt = begun(heart, **job)
    made = Run(attempt, Job.model_validate(attempt.definition.job), Flag(), heart.clock.monotonic())
    return perform(made, heart.tools, arm or Armed())


def answers(heart: Heart, *evidence: Evidence) -> None:
    """The checks say these, one after the other."""
    queue = list(evidence)
    heart.runner.does = lambda command, stop: queue.pop(0)


def test_a_check_that_passes_is_all() -> None:
    heart = Heart()
    found = run(heart, **ACTION)
    assert (found.place, found.outcome) == (Place.COMPLETED, Outcome.PASSED)
    assert (len(heart.runner.commands), len(heart.actions.contexts)) == (1, 0)


def test_a_check_by_hand_runs_what_a_worker_runs() -> None:
    heart = Heart()
    told: dict[str, Any] = {
        "verification_cmd": ["test", "-d", "x"], "timeout": "7s", "env": {"A": "b"}, "pass_env": ["C"], "cwd": "/x",
        "run_as": "nobody",
    }  # fmt: skip
    run(heart, **told)
    by_worker, job = heart.runner.commands[0], Job.model_validate({"id": "a", "task": "t"} | told)
    assert check_of(job) == replace(by_worker, token="")
    shared = ({field.name for field in fields(Command)} & Job.model_fields.keys()) - {"grace"}  # of a slot
    assert {name: getattr(by_worker, name) for name in shared} == {name: getattr(job, name) for name in shared}
    assert shared | {"verification_cmd"} == told.keys()


def test_where_the_check_says_no_the_action_is_done_and_checked() -> None:
    heart = Heart()
    answers(heart, FAILED, PASSED)
    heart.actions.does = lambda context: Evidence(Outcome.PASSED, "did it", detail={"made": 3})
    found = run(heart, **ACTION)
    assert found.place is Place.COMPLETED
    assert json.loads(found.evidence)["detail"]["action"]["detail"] == {"made": 3}


def test_an_action_that_changed_nothing_is_not_believed() -> None:
    heart = Heart()
    answers(heart, FAILED, FAILED)
    found = run(heart, **ACTION)
    assert (found.place, found.outcome) == (Place.TIMED, Outcome.FAILED)


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.BROKEN, Outcome.TIMED_OUT])
def test_an_action_that_does_not_work_ends_the_attempt(outcome: Outcome) -> None:
    heart = Heart()
    answers(heart, FAILED)
    heart.actions.does = lambda context: Evidence(outcome, "no")
    found = run(heart, **ACTION)
    assert (found.outcome, found.message, found.place) == (outcome, "action fake: no", Place.TIMED)
    assert len(heart.runner.commands) == 1


def test_an_action_that_gives_up_by_itself_has_failed() -> None:
    heart = Heart()
    answers(heart, FAILED)
    heart.actions.does = lambda context: Evidence(Outcome.CANCELLED, "not today")
    found = run(heart, **ACTION)
    assert (found.outcome, found.place) == (Outcome.FAILED, Place.TIMED)
    assert "gave up by itself: not today" in found.message


@pytest.mark.parametrize("outcome", [Outcome.BROKEN, Outcome.TIMED_OUT, Outcome.CANCELLED])
def test_a_check_that_could_not_say_no_starts_no_action(outcome: Outcome) -> None:
    heart = Heart()
    answers(heart, Evidence(outcome, "?"))
    assert run(heart, **ACTION).outcome is outcome
    assert heart.actions.contexts == []


def test_a_check_that_a_signal_ended_starts_no_action_and_uses_up_a_retry() -> None:
    heart = Heart()
    answers(heart, KILLED)
    found = run(heart, **ACTION)
    assert (found.outcome, found.place, heart.actions.contexts) == (Outcome.BROKEN, Place.TIMED, [])


@pytest.mark.parametrize("killed", [KILLED, SHELL_KILLED])
@pytest.mark.parametrize("fields", [{}, CYCLIC, ACTION], ids=["once", "cyclic", "with an action"])
def test_what_a_signal_ends_while_the_worker_is_asked_to_end_is_given_back_uncounted(
    killed: Evidence, fields: dict[str, Any]
) -> None:
    heart = Heart()

    def does(command: Command, stop: Flag) -> Evidence:
        heart.asked_to_leave = True
        return killed

    heart.runner.does = does
    heart.load({"id": "a"} | fields)
    assert work(heart.hint("a"), heart.desk()) == {"cancelled": 1}
    job = heart.store.job("a")
    assert (job.place, job.attempts, job.losses, job.evidence) == (Place.READY, 0, 0, {})


def test_a_worker_may_hear_a_moment_later_than_its_commands_that_it_is_to_end() -> None:
    heart = Heart()
    answers(heart, KILLED)

    def asked(stop: Stop, seconds: float) -> bool:
        heart.asked_to_leave = seconds == LEAVING_SEEN_S
        return True

    heart.tools = replace(heart.tools, wait=asked)
    assert run(heart).outcome is Outcome.CANCELLED


def test_a_command_that_could_not_be_run_is_broken_however_the_worker_fares() -> None:
    heart = Heart(asked_to_leave=True)
    answers(heart, Evidence(Outcome.BROKEN, "exit code 127: command not found", exit_code=127))
    assert run(heart).outcome is Outcome.BROKEN


def test_without_an_action_the_job_waits() -> None:
    heart = Heart()
    answers(heart, FAILED)
    assert run(heart).place is Place.WAITING


def test_a_cyclic_job_acts_first_and_then_checks() -> None:
    heart = Heart()
    seen: list[str] = []

    def check(command: Command, stop: Flag) -> Evidence:
        seen.append("check")
        return PASSED

    def act(context: ActionContext) -> Evidence:
        seen.append("act")
        return PASSED

    heart.runner.does, heart.actions.does = check, act
    found = run(heart, **CYCLIC, **ACTION)
    assert seen == ["act", "check"]
    assert (found.place, found.run) == (Place.TIMED, True)


def test_a_cyclic_action_that_failed_is_not_checked() -> None:
    heart = Heart()
    heart.actions.does = lambda context: FAILED
    assert run(heart, **CYCLIC, **ACTION, retry={"max": 0}).run is False
    assert heart.runner.commands == []


def test_a_cyclic_job_may_be_an_action_alone() -> None:
    heart = Heart()
    found = run(heart, **CYCLIC, **ACTION, verification_cmd=None)
    assert (found.run, heart.runner.commands) == (True, [])


def test_commands_are_told_their_token_their_slot_and_their_limits() -> None:
    heart = Heart()
    started = heart.store.now
    run(heart, **CYCLIC, **ACTION, timeout="5s", env={"A": "b"}, pass_env=["HOME"], cwd="/")
    (command,), (context,) = heart.runner.commands, heart.actions.contexts
    assert (command.slot, command.cmd) == (moment(started).isoformat(timespec="milliseconds"), "true")
    assert (command.timeout.total_seconds(), dict(command.env), command.cwd) == (5, {"A": "b"}, "/")
    assert (context.command.token, context.command.slot, context.command.cmd) == (command.token, command.slot, "")
    assert (context.plan, context.job, dict(context.params)) == ("default", "a", {"a": 1})


def test_commands_are_told_the_user_they_run_as() -> None:
    heart = Heart()
    run(heart, **ACTION, run_as="deploy")
    assert [command.run_as for command in heart.runner.commands] == ["deploy"]


@pytest.mark.parametrize("fields", [{}, CYCLIC, {**CYCLIC, **ACTION}], ids=["once", "cyclic", "action"])
def test_what_this_machine_does_not_allow_is_refused_and_told(fields: dict[str, Any]) -> None:
    heart = Heart()
    no = Evidence(Outcome.REFUSED, "refused: nobody may run as root here")
    heart.runner.does = lambda command, stop: no
    heart.actions.does = lambda context: no
    heart.load({"id": "a"} | fields)
    assert work(heart.hint("a"), heart.desk()) == {"refused": 1}
    assert heart.store.letters["a"].reason == no.message
    assert heart.alerts.events == ["raised refused:default"]


def test_an_action_that_is_refused_keeps_the_reason_that_letters_are_found_by() -> None:
    heart = Heart()
    answers(heart, FAILED)
    heart.actions.does = lambda context: Evidence(Outcome.REFUSED, "refused: not here")
    assert run(heart, **ACTION).reason == "refused: not here"


def test_an_action_waits_no_longer_than_its_stop() -> None:
    heart = Heart()
    answers(heart, FAILED, PASSED)
    waits: list[bool] = []

    def act(context: ActionContext) -> Evidence:
        waits.append(context.pause(3))
        context.stop.set("enough")
        waits.append(context.pause(3))
        return PASSED

    heart.actions.does = act
    run(heart, **ACTION)
    assert waits == [True, False]


def test_a_job_that_overlaps_arms_its_next_slot_before_it_runs() -> None:
    heart, arm = Heart(), Armed()

    def check(command: Command, stop: Flag) -> Evidence:
        assert len(arm.calls) == 1
        return PASSED

    heart.runner.does = check
    run(heart, arm, **CYCLIC, overlap="allow")
    assert arm.calls == [(heart.runner.commands[0].token, heart.store.now + 600_000, heart.store.now + 600_000)]


def test_a_slot_that_has_not_come_runs_nothing() -> None:
    heart = Heart()
    found = run(heart, status="cyclic", schedule={"cron": "0 6 * * *"})
    assert (heart.runner.commands, found.outcome, found.run) == ([], Outcome.CANCELLED, None)
    assert found.slot > heart.store.now


def test_time_is_redis_carried_on_by_the_monotonic_clock() -> None:
    heart = Heart()
    attempt = begun(heart)
    made = Run(attempt, Job.model_validate(attempt.definition.job), Flag(), heart.clock.monotonic())
    heart.clock.advance(1234)
    assert now_of(made, heart.clock) == attempt.started_at + 1234


def test_a_run_lasts_from_its_beginning_to_its_end_and_a_check_as_long_as_its_command() -> None:
    def takes_3_s(command: Command, stop: Flag) -> Evidence:
        heart.clock.advance(3000)
        return PASSED

    heart = Heart()
    heart.runner.does = takes_3_s
    assert run(heart, **CYCLIC).duration_ms == 3000
    heart = Heart()
    heart.runner.does = takes_3_s
    assert run(heart).duration_ms == 100


@pytest.mark.parametrize("fields", [ACTION, ACTION | CYCLIC], ids=["job", "cyclic"])
def test_an_attempt_takes_what_its_checks_and_its_action_take(fields: dict[str, Any]) -> None:
    heart = Heart()

    def check(command: Command, stop: Flag) -> Evidence:
        heart.clock.advance(5)
        done = len(heart.actions.contexts) > 0
        return replace(PASSED if done else FAILED, duration_s=0.005, cpu_s=0.001, max_rss_bytes=7)

    def act(context: ActionContext) -> Evidence:
        heart.clock.advance(600_000)
        return replace(PASSED, duration_s=600, cpu_s=2, max_rss_bytes=9)

    heart.runner.does, heart.actions.does = check, act
    checks = 1 if "status" in fields else 2
    found = run(heart, **fields)
    kept = json.loads(found.evidence)
    assert found.duration_ms == 600_000 + 5 * checks
    assert kept["duration_s"] == pytest.approx(600 + 0.005 * checks)
    assert (kept["cpu_s"], kept["max_rss_bytes"]) == (2 + 0.001 * checks, 9)
    assert kept["detail"]["action"]["duration_s"] == 600


def test_an_action_that_fails_after_a_long_time_took_that_long() -> None:
    heart = Heart()
    answers(heart, FAILED)

    def act(context: ActionContext) -> Evidence:
        heart.clock.advance(600_000)
        return FAILED

    heart.actions.does = act
    assert run(heart, **ACTION).duration_ms == 600_000


def test_what_is_kept_names_who_when_and_what() -> None:
    heart = Heart()
    answers(heart, Evidence(Outcome.FAILED, "exit code 3", exit_code=3, head="no", output_bytes=2, sha256="ab",
                            duration_s=0.25, cpu_s=0.1, max_rss_bytes=7))  # fmt: skip
    kept = json.loads(run(heart).evidence)
    started = moment(heart.store.now).isoformat(timespec="milliseconds")
    assert kept == {
        "outcome": "failed", "message": "exit code 3", "exit_code": 3, "head": "no", "output_bytes": 2, "sha256": "ab",
        "duration_s": 0.25, "cpu_s": 0.1, "max_rss_bytes": 7,
        "attempt": 1, "host": "here", "worker": "w@here", "started_at": started, "ended_at": started,
    }  # fmt: skip


def test_no_secret_that_a_command_prints_is_kept_anywhere() -> None:
    heart = Heart()
    acted = Evidence(Outcome.PASSED, "did it", head="Authorization: Bearer hunter2", detail={"api_key": "hunter2"})
    said = Evidence(Outcome.BROKEN, "no login with password=hunter2", exit_code=1, head="redis://:hunter2@h/0 refused",
                    tail='{"token": "hunter2"}', output_bytes=400, sha256="ab" * 32)  # fmt: skip
    answers(heart, FAILED, said)
    heart.actions.does = lambda context: acted
    found = run(heart, **ACTION, retry={"max": 0})
    kept = json.loads(found.evidence)
    assert "hunter2" not in repr(found)
    assert (kept["head"], kept["tail"]) == ("redis://:***@h/0 refused", '{"token": ***}')
    assert (kept["sha256"], kept["output_bytes"]) == ("ab" * 32, 400), "of what it printed"
    assert found.reason.endswith("no login with password=***")


# -- receipts -----------------------------------------------------------------------------------------


def with_key(**job: Any) -> tuple[Heart, Settlement]:
    heart = Heart()
    heart.tools = replace(heart.tools, signer=Key("k"))
    heart.runner.does = lambda command, stop: replace(PASSED, sha256="ab" * 32, output_bytes=7)
    return heart, run(heart, **job)


def test_what_is_verified_leaves_a_receipt_that_says_what_its_evidence_says() -> None:
    heart, found = with_key(verification_cmd="test -f x")
    receipt, evidence = json.loads(found.receipt), json.loads(found.evidence)
    assert {name: receipt[name] for name in ("attempt", "exit_code", "host", "worker", "started_at", "ended_at")} == {
        name: evidence[name] for name in ("attempt", "exit_code", "host", "worker", "started_at", "ended_at")
    }
    assert (receipt["plan"], receipt["job"], receipt["revision"], receipt["token"]) == ("default", "a", 1, found.token)
    assert (receipt["command"], receipt["output"]) == (command_digest("test -f x"), "ab" * 32)
    assert receipt["definition"] == heart.store.job("a").definition.digest


def test_without_a_key_there_is_no_receipt() -> None:
    assert run(Heart()).receipt == ""


def test_a_run_of_a_cyclic_job_leaves_none() -> None:
    assert with_key(**CYCLIC)[1].receipt == ""


def test_what_is_not_verified_leaves_none() -> None:
    heart = Heart()
    heart.tools = replace(heart.tools, signer=Key("k"))
    answers(heart, FAILED)
    assert run(heart).receipt == ""
