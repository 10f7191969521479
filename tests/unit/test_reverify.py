"""Stays verified, from the document to what people are told: made, run, judged, said."""

import json
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from moie_worker.errors import UnreachableError
from moie_worker.heart.attempt import Run, opened
from moie_worker.heart.hints import work
from moie_worker.plan.compile import compile_plan, decompile
from moie_worker.plan.definition import Compiled, Definition
from moie_worker.plan.diff import definitions, diff
from moie_worker.plan.flow import SOVEREIGN, JournalEntry, Regression
from moie_worker.plan.model import Job, Plan
from moie_worker.plan.older import to_v2
from moie_worker.plan.receipts import sha256
from moie_worker.plan.regression import changes, line, meanwhile, regression_fields, reverify_fields, reverify_lines
from moie_worker.plan.reverify import look_id
from moie_worker.plan.states import Outcome, Place
from moie_worker.plan.times import Ms
from moie_worker.plan.validate import find_problems
from moie_worker.ports import Evidence
from tests.receipt_kit import Key
from tests.unit.heart_kit import ACTION, CYCLIC, FAILED, PASSED, Flag, Heart

NOW: Ms = 1_800_000_000_000
HOUR_MS = 3_600_000
LOOK = "a@reverify"
JOB: dict[str, Any] = {"id": "a", "task": "t", "verification_cmd": "true"}
BROKEN = Evidence(Outcome.BROKEN, "exit code 127", exit_code=127, duration_s=0.1)


def a_plan(*jobs: dict[str, Any], **plan: Any) -> Plan:
    phase = {"id": 1, "name": "p", "jobs": [JOB | job for job in jobs or ({},)]}
    return Plan.model_validate({"version": 3, "phases": [phase]} | plan)


def compiled(*jobs: dict[str, Any], **plan: Any) -> Compiled:
    return compile_plan(a_plan(*jobs, **plan), NOW)


def looks(found: Compiled) -> dict[str, int]:
    """Which jobs are looked at again, and how often."""
    return {job.verifies: job.period_ms for job in found.jobs if job.verifies}


def problems(plan: Plan) -> list[str]:
    return [message for _, message in find_problems(plan, {})]


# -- the document -------------------------------------------------------------------------------------


def test_a_job_says_how_often_itself_or_the_plan_does_and_never_means_never() -> None:
    jobs = ({"id": "a"}, {"id": "b", "reverify": "90s"}, {"id": "c", "reverify": "never"}, CYCLIC | {"id": "d"})
    assert looks(compiled(*jobs, reverify="1h")) == {"a": HOUR_MS, "b": 90_000}
    assert looks(compiled(*jobs)) == {"b": 90_000}


def test_what_is_looked_at_again_is_the_same_document_again() -> None:
    plan = a_plan({"reverify": "1h"}, {"id": "b", "reverify": "never"}, reverify="2h")
    assert decompile(compile_plan(plan, NOW)) == plan
    assert plan.to_document()["reverify"] == "2h"


def test_a_plan_that_says_nothing_of_it_is_stored_as_it_was() -> None:
    (job,) = compiled().jobs
    assert "reverif" not in job.to_json()
    assert "verifies" not in job.to_json()
    assert Definition.from_json(job.to_json()) == job


def test_who_looks_again_is_made_of_the_check_alone() -> None:
    asked = {"reverify": "1h", "evidence": {"files": ["x"]}, "deadline": "1h", "env": {"A": "1"}, "queue": "q"} | ACTION
    job, look = compiled(asked).jobs
    assert (job.reverified_by, look.id, look.verifies, look.needs) == (LOOK, LOOK, "a", ("a",))
    made = Job.model_validate(look.job)
    assert (made.verification_cmd, made.env, made.queue, made.timeout) == (
        "true",
        {"A": "1"},
        "q",
        Job(**asked | JOB).timeout,
    )
    assert (made.action, made.evidence, made.deadline, made.depends_on) == (None, None, None, ())
    assert look.digest == job.digest  # whatever verifies the job again, does away with looks that are under way
    assert Definition.from_json(look.to_json()) == look


def test_jobs_that_were_verified_together_are_not_looked_at_together() -> None:
    found = compiled(*({"id": f"j{number}", "reverify": "1h"} for number in range(50)))
    delays = {job.delay_ms for job in found.jobs if job.verifies}
    assert len(delays) > 45
    assert min(delays) >= HOUR_MS
    assert max(delays) < HOUR_MS * 1.1


@pytest.mark.parametrize(("retries", "given"), [(0, 1), (1, 1), (7, 7)])
def test_one_no_is_looked_at_again_before_anything_is_opened(retries: int, given: int) -> None:
    _, look = compiled({"reverify": "1h", "retry": {"max": retries}}).jobs
    assert Job.model_validate(look.job).retry.max == given


@pytest.mark.parametrize(
    ("job", "message"),
    [
        ({"reverify": "500ms"}, "must be at least 1s"),
        ({"reverify": "often"}, "'often' is not a duration"),
        ({"reverify": 0}, "must be at least 1s"),
        ({"reverify": "1h"} | CYCLIC, "a cyclic job is never done, so it cannot stay verified"),
    ],
)
def test_what_cannot_be_meant_is_refused(job: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        a_plan(job)


def test_a_plan_has_a_period_and_no_never() -> None:
    with pytest.raises(ValueError, match="'never' is not a duration"):
        a_plan(reverify="never")


def test_ids_that_meet_are_said() -> None:
    assert problems(a_plan({"reverify": "1h"}, {"id": "b"})) == []
    (said,) = problems(a_plan({"reverify": "1h"}, {"id": LOOK}))
    assert said == "job 'a@reverify' has the id by which 'a' is looked at again; rename it"
    assert problems(a_plan({"id": LOOK})) == []


def test_a_job_with_too_long_an_id_is_said() -> None:
    assert problems(a_plan({"id": "x" * 191, "reverify": "1h"})) == []
    (said,) = problems(a_plan({"id": "x" * 192, "reverify": "1h"}))
    assert said.startswith("is longer than 191 characters")


def test_version_2_cannot_say_it_and_that_is_said() -> None:
    words = "is left out: v2 cannot say that it is looked at again once it is verified"
    notes = to_v2(a_plan({"reverify": "1h"}, reverify="2h")).notes
    assert list(notes) == [f"reverify: {words}", f"phases[0].jobs[0].reverify: {words}"]


def test_a_diff_names_jobs_and_not_what_looks_at_them() -> None:
    before = definitions([])
    found = diff(before, compiled({"reverify": "1h"}))
    assert (found.added, found.removed) == (("a",), ())
    again = diff({"a": compiled().jobs[0]}, compiled({"reverify": "1h"}))
    assert (again.changed, again.rearmed, again.added) == ((), ("a",), ())
    before = {job.id: job for job in compiled(reverify="1h").jobs if not job.verifies}
    assert diff(before, compiled(reverify="2h")).rearmed == ("a",)
    assert diff(before, compiled(reverify="1h")).empty


# -- a worker -----------------------------------------------------------------------------------------


class Watched:
    """A verified job that is to stay so, every hour, with a worker that signs receipts."""

    def __init__(self, **job: Any) -> None:
        self.heart = Heart()
        self.heart.tools = replace(self.heart.tools, signer=Key("k"))
        self.heart.load({"id": "a", "reverify": "1h"} | job)
        self.work("a")
        self.store.drain()

    @property
    def store(self) -> Any:
        return self.heart.store

    def work(self, name: str, *found: Evidence) -> None:
        """Run what is due; each look finds the next of these."""
        left = list(found)
        self.heart.runner.does = lambda command, stop: left.pop(0) if left else PASSED
        while self.store.reserve("default", 0, "none").more:
            pass
        work(self.heart.hint(name), self.heart.desk())

    def look(self, *found: Evidence) -> None:
        """The next look, with its retries."""
        self.heart.clock.advance(2 * HOUR_MS)
        for each in found:
            self.work(LOOK, each)
            self.heart.clock.advance(60_000)

    def regression(self) -> Regression:
        (found,) = self.store.regressions(10)
        return found  # type: ignore[no-any-return]


def test_a_job_that_holds_stays_verified_with_a_receipt_each_time() -> None:
    here = Watched()
    here.look(PASSED)
    here.look(PASSED)
    assert here.store.job("a").place is Place.COMPLETED
    bodies = [json.loads(each.packed)["receipt"] for each in here.store.receipts]
    assert [body["job"] for body in bodies] == ["a", "a", "a"]
    assert len({body["token"] for body in bodies}) == 3
    assert {body["definition"] for body in bodies} == {here.store.job("a").definition.digest}


def test_a_no_that_lasts_opens_the_job_after_its_retries() -> None:
    here = Watched(retry={"max": 2})
    here.look(FAILED, FAILED)
    assert here.store.flags.frontier == SOVEREIGN
    here.heart.clock.advance(60_000)
    here.work(LOOK, FAILED)
    assert here.store.flags.frontier == 1
    assert here.store.job("a").place is Place.READY
    assert here.store.letters == {}  # the open job says it


def test_one_no_between_two_yes_is_no_regression() -> None:
    here = Watched(retry={"max": 0})
    here.look(FAILED, PASSED)
    assert here.store.flags.frontier == SOVEREIGN


def test_what_cannot_be_run_is_no_verdict_but_a_dead_letter() -> None:
    here = Watched(retry={"max": 1})
    here.look(BROKEN, BROKEN)
    assert here.store.flags.frontier == SOVEREIGN
    assert here.store.letters[LOOK].reason == "after 2 attempts: broken: exit code 127"


def test_a_job_that_knows_what_to_do_mends_itself() -> None:
    here = Watched(retry={"max": 1}, **ACTION)
    here.look(FAILED, FAILED)
    assert here.heart.actions.contexts == []  # a look does nothing
    here.work("a", FAILED, PASSED)
    assert len(here.heart.actions.contexts) == 1
    assert here.store.flags.frontier == SOVEREIGN
    assert here.store.regressions(10) == []


def test_the_evidence_says_what_lets_two_looks_be_compared() -> None:
    here = Watched()
    first = here.store.job("a").evidence
    body = json.loads(here.store.receipts[0].packed)["receipt"]
    assert first["receipt"] == sha256(json.dumps(body, sort_keys=True, separators=(",", ":")))
    assert (first["revision"], first["definition"]) == (1, here.store.job("a").definition.digest)


def test_evidence_of_a_job_that_is_not_looked_at_again_is_as_it_was() -> None:
    heart = Heart()
    heart.load({"id": "a"})
    work(heart.hint("a"), heart.desk())
    assert {"receipt", "revision", "definition"}.isdisjoint(heart.store.job("a").evidence)


def test_files_need_not_be_fresh_again_at_each_look() -> None:
    here = Watched()
    here.heart.files.times.clear()
    here.look(PASSED)
    assert here.store.job("a").evidence["held"] == 1


# -- what is said -------------------------------------------------------------------------------------


def regressed(**job: Any) -> Watched:
    here = Watched(retry={"max": 1}, **job)
    here.look(FAILED, FAILED)
    return here


def test_a_regression_is_told_with_all_that_changed() -> None:
    here = regressed()
    found = here.regression()
    before = found.evidence["before"]
    assert changes(found) == {"exit code": (0, 1)}
    assert line(found) == (
        f"a t REGRESSED 2027-01-15T10:01:00Z (held until 2027-01-15T08:00:00Z, receipt {before['receipt'][:12]}; "
        "exit code 0 -> 1; seen on here): exit code 1"
    )
    fields = regression_fields(found)
    assert (fields["job"], fields["receipt"], fields["changed"]) == (
        "a", before["receipt"], {"exit code": {"before": 0, "after": 1}}
    )  # fmt: skip


def test_the_worker_that_finds_a_regression_raises_its_alert_at_once_and_once() -> None:
    here = Watched(retry={"max": 1})
    here.look(FAILED)
    assert here.heart.alerts.events == []  # it is looked at again
    here.work(LOOK, FAILED)
    assert here.heart.alerts.events == ["raised regressed:default:a"]
    assert here.heart.alerts.messages["regressed:default:a"] == f"plan default: {line(here.regression())}"
    here.work("a", FAILED)
    assert here.heart.alerts.events == ["raised regressed:default:a"]


def test_an_alert_that_cannot_be_raised_costs_nothing_but_itself(caplog: pytest.LogCaptureFixture) -> None:
    here = Watched(retry={"max": 1})
    here.look(FAILED)
    with patch.object(here.heart.alerts, "raise_once", side_effect=UnreachableError("Redis does not answer")):
        here.work(LOOK, FAILED)
    assert here.store.flags.frontier == 1
    assert [record.getMessage() for record in caplog.records] == [
        "the alerts of what regressed in plan default cannot be raised: Redis does not answer"
    ]


def test_digests_are_told_short_and_what_is_missing_is_said() -> None:
    before = {"at": NOW, "sha256": "a" * 64, "host": "one", "revision": 1, "exit_code": 0}
    after = {"before": before, "sha256": "b" * 64, "host": "two", "revision": 2, "signal": 9}
    said = line(Regression(compiled().jobs[0], NOW, after))
    for part in ("exit code 0 -> none", "signal none -> 9", f"output {'a' * 12} -> {'b' * 12}", "host one -> two"):
        assert part in said
    assert "revision 1 -> 2" in said


def test_a_job_that_only_a_document_called_done_has_nothing_to_compare() -> None:
    found = Regression(compiled().jobs[0], NOW, {"before": {}, "exit_code": 1, "message": "exit code 1"})
    assert changes(found) == {}
    assert "held until ?" in line(found)
    assert regression_fields(found)["held_at"] is None


def test_what_else_happened_in_between_is_told() -> None:
    found = Regression(
        replace(compiled().jobs[0], reverified_by=LOOK), NOW + 100, {"before": {"at": NOW}, "regressed": NOW + 100}
    )
    rows = (
        (NOW - 1, "plan.loaded", ""), (NOW + 1, "plan.loaded", ""), (NOW + 2, "heartbeat", ""),
        (NOW + 3, "job.passed", "b"), (NOW + 4, "job.failed", LOOK), (NOW + 5, "job.regressed", "a"),
        (NOW + 101, "job.passed", "c"),
    )  # fmt: skip
    journal = [JournalEntry("1", at, event, job, "", "", {}) for at, event, job in rows]
    assert [(entry.event, entry.job) for entry in meanwhile(found, journal)] == [
        ("plan.loaded", ""),
        ("job.passed", "b"),
    ]


def test_a_job_says_how_it_stays_verified() -> None:
    here = Watched()
    here.look(PASSED)
    job, look = here.store.job("a"), here.store.job(LOOK)
    said = dict(reverify_lines(job, look, []))
    assert said["looked at again"] == "every 1h"
    assert said["held"] == "1 times since 2027-01-15T08:00:00Z"
    assert said["next look"].startswith("2027-01-15T1")
    fields = reverify_fields(job, look, [])
    assert (fields["every"], fields["held"], fields["regression"]) == ("1h", 1, None)


def test_a_job_that_regressed_says_so_with_what_happened_meanwhile() -> None:
    here = Watched(retry={"max": 1})
    here.heart.clock.advance(1)
    here.store.log("plan.paused", who="ops")
    here.look(FAILED, FAILED)
    job, look = here.store.job("a"), here.store.job(LOOK)
    said = list(reverify_lines(job, look, here.store.journal))
    assert [name for name, _ in said] == ["looked at again", "regressed", "meanwhile"]
    assert "PAUSED by ops" in said[-1][1]
    regression = reverify_fields(job, look, here.store.journal)["regression"]
    assert [entry["event"] for entry in regression["meanwhile"]] == ["plan.paused"]


def test_what_looks_at_one_job_is_not_taken_for_another() -> None:
    """What Redis says of a look is not signed: its receipts must not speak of a job that its id does not name."""
    here = Watched()
    here.heart.clock.advance(2 * HOUR_MS)
    (attempt,) = _begun(here)
    forged = replace(attempt, definition=replace(attempt.definition, verifies="b"))
    assert isinstance(opened(attempt, Flag(), 0.0, "default", None), Run)
    ended = opened(forged, Flag(), 0.0, "default", None)
    assert not isinstance(ended, Run)
    assert ended.outcome is Outcome.REFUSED
    assert look_id("a") == LOOK


def _begun(here: Watched) -> list[Any]:
    while here.store.reserve("default", 0, "none").more:
        pass
    return here.store.begin(here.heart.hint(LOOK), "n", "w", here.heart.desk().lease)  # type: ignore[no-any-return]
