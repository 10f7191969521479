"""A check that passes on a file from before the job proves nothing."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from moie_worker.heart.attempt import Run, perform
from moie_worker.plan.flow import Attempt, Settlement
from moie_worker.plan.model import Job
from moie_worker.plan.states import Outcome, Place
from moie_worker.ports import ActionContext, Evidence
from tests.unit.heart_kit import ACTION, CYCLIC, FAILED, PASSED, Flag, Heart

REPORT: dict[str, Any] = {"evidence": {"files": ["report"], "newer_than": "start"}}
SECOND = timedelta(seconds=1)
TOOK_MS = 5000  # of each attempt


def begin(heart: Heart) -> Attempt:
    (attempt,) = heart.desk().store.begin(heart.hint("a"), f"n{heart.clock.monotonic()}", "w", heart.desk().lease)
    heart.runner.renewed([attempt.token], heart.desk().lease, 0)
    return attempt


def end(heart: Heart, attempt: Attempt) -> Settlement:
    """Run an attempt that began now. Afterwards it is `now` by the clock of the machine, which stands still."""
    made = Run(attempt, Job.model_validate(attempt.definition.job), Flag(), heart.clock.monotonic())
    heart.clock.advance(TOOK_MS)
    return perform(made, heart.tools, lambda *_: True)


def run(heart: Heart, **job: Any) -> Settlement:
    heart.load({"id": "a"} | REPORT | job)
    return end(heart, begin(heart))


def again(heart: Heart, first: Settlement, after_ms: int) -> Settlement:
    """The next attempt, so much later."""
    heart.store.settle([first], heart.hint("a"), done=True)
    heart.clock.advance(after_ms)
    heart.store.run("a", "ops", "")
    return end(heart, begin(heart))


def now(heart: Heart) -> datetime:
    return heart.clock.now()


def test_a_check_counts_when_its_file_is_newer_than_the_job() -> None:
    heart = Heart()
    heart.files.times["report"] = now(heart) - SECOND
    assert run(heart).place is Place.COMPLETED


def test_a_check_that_passes_on_an_old_file_has_failed_and_both_times_are_said() -> None:
    heart = Heart()
    heart.files.times["report"] = now(heart) - 6 * SECOND
    found = run(heart)
    assert (found.place, found.outcome) == (Place.WAITING, Outcome.FAILED)
    assert found.message == (
        "the evidence report is old: written 2029-12-31T23:59:54.000+00:00, the job began 2029-12-31T23:59:55.000+00:00"
    )
    assert json.loads(found.evidence)["exit_code"] == 0


@pytest.mark.parametrize(("earlier_ms", "outcome"), [(0, Outcome.PASSED), (10, Outcome.PASSED), (11, Outcome.FAILED)])
def test_a_file_may_bear_the_time_of_the_last_tick(earlier_ms: int, outcome: Outcome) -> None:
    heart = Heart()
    heart.files.times["report"] = now(heart) - timedelta(milliseconds=TOOK_MS + earlier_ms)
    assert run(heart).outcome is outcome


def test_a_file_that_is_not_there_fails_the_check() -> None:
    found = run(Heart())
    assert (found.outcome, found.message) == (Outcome.FAILED, "the evidence report is not there, or cannot be seen")


def test_every_file_counts_and_relative_ones_are_below_the_directory_of_the_job() -> None:
    heart = Heart()
    heart.files.times = {"/srv/report": now(heart), "/srv/log": now(heart) - 9 * SECOND}
    found = run(heart, cwd="/srv", evidence={"files": ["report", "log"]})
    assert found.message.startswith("the evidence log is old")


def test_an_old_file_lets_the_action_do_its_work() -> None:
    heart = Heart()
    heart.files.times["report"] = now(heart) - 60 * SECOND

    def write(_: ActionContext) -> Evidence:
        heart.files.times["report"] = now(heart)
        return PASSED

    heart.actions.does = write
    assert run(heart, **ACTION).place is Place.COMPLETED
    assert len(heart.actions.contexts) == 1


def test_what_was_done_between_two_looks_at_a_waiting_job_counts() -> None:
    heart = Heart()
    heart.runner.does = lambda command, stop: FAILED
    first = run(heart)
    assert first.place is Place.WAITING
    heart.runner.does = lambda command, stop: PASSED
    heart.files.times["report"] = now(heart) - 40 * SECOND
    assert again(heart, first, 60_000).place is Place.COMPLETED


def test_each_run_of_a_cyclic_job_leaves_evidence_of_its_own() -> None:
    heart = Heart()
    heart.files.times["report"] = now(heart) - SECOND
    first = run(heart, **CYCLIC)
    assert first.outcome is Outcome.PASSED
    heart.files.times["report"] = now(heart) - 40 * SECOND
    assert again(heart, first, 60_000).outcome is Outcome.FAILED


def test_a_check_that_says_no_says_why_itself() -> None:
    heart = Heart()
    heart.runner.does = lambda command, stop: FAILED
    assert run(heart).message == "exit code 1"


def test_nobody_looks_at_files_for_a_job_that_names_none() -> None:
    heart = Heart()
    heart.files.times = None  # type: ignore[assignment]
    heart.load({"id": "a"})
    assert end(heart, begin(heart)).place is Place.COMPLETED
