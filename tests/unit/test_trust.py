"""Signed plans: what a signature covers, what is refused without it, and what follows."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moie_worker.adapters.keys import KeyFolder, KeyRing, KeySigner, Role
from moie_worker.errors import UnreachableError
from moie_worker.heart.hints import work
from moie_worker.heart.trust import objection, signed
from moie_worker.plan.compile import compile_plan
from moie_worker.plan.definition import Compiled, Definition
from moie_worker.plan.model import Job, Plan
from moie_worker.plan.signing import EXECUTED, signed_body
from moie_worker.plan.states import Place
from moie_worker.ports import Verifier
from tests.unit.heart_kit import CYCLIC, Heart, HeldAlerts

JOB: dict[str, Any] = {
    "id": "a", "task": "t", "verification_cmd": "test -e x", "action": {"use": "shell", "with": {"cmd": "touch x"}},
    "timeout": "10s", "env": {"A": "1"}, "pass_env": ["HOME"], "cwd": "/tmp", "queue": "q", "on_lease_lost": "stop",
}  # fmt: skip
OTHER: dict[str, Any] = {
    "verification_cmd": ["test", "-e", "x"], "action": {"use": "shell", "with": {"cmd": "touch y"}}, "timeout": "11s",
    "env": {"A": "2"}, "pass_env": ["HOME", "PATH"], "cwd": "/", "queue": "r", "on_lease_lost": "continue",
}  # fmt: skip
COUNTED_NOT = {"priority": 7, "description": "more", "deadline": "1h", "retry": {"max": 9}, "estimate": "an hour"}


@pytest.fixture
def ops(tmp_path: Path) -> KeySigner:
    return KeyFolder(tmp_path).make("ops", Role.AUTHOR)


@pytest.fixture
def ring(ops: KeySigner) -> KeyRing:
    return KeyRing([ops.public])


def plan_of(*jobs: dict[str, Any]) -> Plan:
    return Plan.model_validate({"version": 3, "phases": [{"id": 1, "name": "p", "jobs": jobs}]})


def signed_plan(author: KeySigner, *jobs: dict[str, Any], plan: str = "default") -> Compiled:
    document = plan_of(*jobs)
    return signed(plan, compile_plan(document, 0), (job for _, job in document.jobs()), author)


def refused(definition: Definition, ring: Verifier, plan: str = "default") -> str:
    return objection(plan, definition, Job.model_validate(definition.job), ring)


def with_job(definition: Definition, **changes: Any) -> Definition:
    return replace(definition, job=dict(definition.job) | changes)


# -- what is signed -----------------------------------------------------------------------------------


def test_what_a_trusted_author_signed_is_executed_after_its_way_through_redis(ops: KeySigner, ring: KeyRing) -> None:
    for definition in signed_plan(ops, JOB, JOB | CYCLIC | {"id": "c"}).jobs:
        assert refused(Definition.from_json(definition.to_json()), ring) == ""


def test_each_field_that_decides_what_is_executed_is_signed() -> None:
    assert set(OTHER) == set(EXECUTED)


@pytest.mark.parametrize("name", OTHER)
def test_a_change_of_what_is_executed_breaks_the_signature(ops: KeySigner, ring: KeyRing, name: str) -> None:
    (definition,) = signed_plan(ops, JOB).jobs
    assert "does not hold" in refused(with_job(definition, **{name: OTHER[name]}), ring)


@pytest.mark.parametrize("changed", [None, {"files": ["other"]}])
def test_the_files_that_a_check_rests_on_are_signed(ops: KeySigner, ring: KeyRing, changed: Any) -> None:
    (definition,) = signed_plan(ops, JOB | {"evidence": {"files": ["out"]}}).jobs
    assert refused(definition, ring) == ""
    assert "does not hold" in refused(with_job(definition, evidence=changed), ring)
    (without,) = signed_plan(ops, JOB).jobs
    assert "does not hold" in refused(with_job(without, evidence={"files": ["out"]}), ring)


@pytest.mark.parametrize("changed", [None, "root"])
def test_the_user_that_its_commands_run_as_is_signed(ops: KeySigner, ring: KeyRing, changed: str | None) -> None:
    (definition,) = signed_plan(ops, JOB | {"run_as": "deploy"}).jobs
    assert refused(definition, ring) == ""
    assert "does not hold" in refused(with_job(definition, run_as=changed), ring)
    (without,) = signed_plan(ops, JOB).jobs
    assert "does not hold" in refused(with_job(without, run_as="root"), ring)


def test_a_job_that_is_made_cyclic_would_act_without_a_check_first(ops: KeySigner, ring: KeyRing) -> None:
    (definition,) = signed_plan(ops, JOB).jobs
    assert "does not hold" in refused(with_job(definition, **CYCLIC), ring)


@pytest.mark.parametrize("name", COUNTED_NOT)
def test_a_change_of_anything_else_needs_no_other_signature(ops: KeySigner, ring: KeyRing, name: str) -> None:
    (before,), (after,) = signed_plan(ops, JOB).jobs, signed_plan(ops, JOB | {name: COUNTED_NOT[name]}).jobs
    assert after.signature == before.signature
    assert refused(with_job(before, **{name: COUNTED_NOT[name]}), ring) == ""


def test_a_signature_is_of_one_job_of_one_plan(ops: KeySigner, ring: KeyRing) -> None:
    (definition,) = signed_plan(ops, JOB).jobs
    assert "does not hold" in refused(definition, ring, plan="other")
    assert "does not hold" in refused(with_job(definition, id="b"), ring)
    assert "does not hold" in refused(replace(definition, id="b"), ring)


def test_an_older_job_that_was_signed_is_not_run_under_the_digest_of_a_newer_one(ops: KeySigner, ring: KeyRing) -> None:
    (old,) = signed_plan(ops, JOB | {"cwd": "/srv/old"}).jobs
    (new,) = signed_plan(ops, JOB | {"cwd": "/srv/new"}).jobs
    assert (refused(old, ring), refused(new, ring)) == ("", "")
    assert "stands under the digest of another definition" in refused(replace(old, digest=new.digest), ring)


@pytest.mark.parametrize("signature", ["x", ":", "{id}:", "{id}:!", "{id}:ä", "{id}:AAAA", "{id}{good}", 7, ["x"]])
def test_what_is_no_signature_holds_nothing(ops: KeySigner, ring: KeyRing, signature: Any) -> None:
    (definition,) = signed_plan(ops, JOB).jobs
    good = definition.signature.partition(":")[2]
    forged = signature.format(id=ops.key_id, good=good) if isinstance(signature, str) else signature
    assert "does not hold" in refused(replace(definition, signature=forged), ring)


def test_the_key_of_somebody_else_signs_nothing(tmp_path: Path, ring: KeyRing) -> None:
    eve = KeyFolder(tmp_path / "eve").make("ops", Role.AUTHOR)
    (definition,) = signed_plan(eve, JOB).jobs
    assert f"by key '{eve.key_id}' does not hold" in refused(definition, ring)


def test_a_signature_under_the_name_of_a_trusted_key_is_checked(tmp_path: Path, ops: KeySigner, ring: KeyRing) -> None:
    eve = KeyFolder(tmp_path / "eve").make("ops", Role.AUTHOR)
    (definition,) = signed_plan(eve, JOB).jobs
    stolen = f"{ops.key_id}:{definition.signature.partition(':')[2]}"
    assert "does not hold" in refused(replace(definition, signature=stolen), ring)


def test_a_plan_without_signatures_takes_no_more_room_for_them(ops: KeySigner) -> None:
    plain, (definition,) = compile_plan(plan_of(JOB), 0).jobs[0], signed_plan(ops, JOB).jobs
    assert "signature" not in plain.to_json()
    assert len(definition.to_json()) - len(plain.to_json()) < 130
    assert definition.digest == plain.digest  # so that signing a loaded plan verifies nothing again


# -- what a worker does with it -----------------------------------------------------------------------


@pytest.fixture
def heart(ring: KeyRing) -> Heart:
    return Heart(authors=ring)


@pytest.fixture
def alerts(heart: Heart) -> HeldAlerts:
    return heart.alerts


def load(heart: Heart, compiled: Compiled) -> None:
    heart.store.load(compiled, heart.store.flags.revision, "ops", "")
    while heart.store.apply():
        pass
    while heart.store.reserve("default", 0, "none").more:
        pass


def test_a_worker_that_trusts_authors_runs_what_they_signed(heart: Heart, ops: KeySigner, alerts: HeldAlerts) -> None:
    load(heart, signed_plan(ops, {"id": "a", "task": "t", "verification_cmd": "true"}))
    assert work(heart.hint("a"), heart.desk()) == {"passed": 1}
    assert alerts.events == []


def test_nothing_unsigned_is_run_and_it_is_a_dead_letter(heart: Heart, alerts: HeldAlerts) -> None:
    heart.load({"id": "a"}, {"id": "b"})
    assert work(heart.hint("a", "b"), heart.desk()) == {"refused": 2}
    assert heart.runner.commands == []
    view = heart.store.job("a")
    assert (view.place, view.evidence["outcome"]) == (Place.DEAD, "refused")
    assert heart.store.letters["a"].reason.startswith("refused: job a is not signed")
    assert alerts.events == ["raised refused:default"]


def test_what_is_refused_takes_nothing_from_what_is_signed(heart: Heart, ops: KeySigner) -> None:
    plain = {"task": "t", "verification_cmd": "true"}
    good = signed_plan(ops, {"id": "a"} | plain, {"id": "b"} | plain)
    load(heart, replace(good, jobs=(replace(good.jobs[0], signature=""), good.jobs[1])))
    assert work(heart.hint("a", "b"), heart.desk()) == {"refused": 1, "passed": 1}
    assert [command.token.rpartition("-")[2] for command in heart.runner.commands] == ["1"]


def test_a_refused_cyclic_job_comes_again_in_its_period_and_not_at_once(heart: Heart) -> None:
    heart.load({"id": "c", "status": "cyclic", "schedule": {"every": "1s"}})
    assert work(heart.hint("c"), heart.desk()) == {"refused": 1}
    view = heart.store.job("c")
    assert (view.place, view.due) == (Place.TIMED, heart.clock.redis.now + 60_000)
    assert heart.runner.commands == []


def test_one_alert_stands_however_many_are_refused(heart: Heart, alerts: HeldAlerts) -> None:
    heart.load({"id": "a"}, {"id": "b"})
    work(heart.hint("a"), heart.desk())
    work(heart.hint("b"), heart.desk())
    assert alerts.events == ["raised refused:default"]
    assert "job a is not signed" in alerts.messages["refused:default"]


def test_an_alert_that_cannot_be_raised_changes_nothing_of_the_refusal(
    heart: Heart, alerts: HeldAlerts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(name: str, message: str) -> bool:
        raise UnreachableError("no Redis")

    monkeypatch.setattr(alerts, "raise_once", away)
    heart.load({"id": "a"})
    with caplog.at_level(logging.ERROR):
        assert work(heart.hint("a"), heart.desk()) == {"refused": 1}
    assert "no Redis" in caplog.text
    assert heart.store.job("a").place is Place.DEAD


def test_signing_what_is_loaded_keeps_what_is_done(heart: Heart, ops: KeySigner) -> None:
    job = {"id": "a", "task": "t", "verification_cmd": "true"}
    load(heart, signed_plan(ops, job))
    work(heart.hint("a"), heart.desk())
    load(heart, compile_plan(plan_of(job), 0))
    assert heart.store.job("a").place is Place.COMPLETED


def test_the_form_of_what_is_signed_stays_the_same() -> None:
    """A plan that was signed by an earlier release must hold: another form needs another FORMAT."""
    executed = "25d4909dab09b80c53b8024d5e7be14e47968b6412f40b23f91d27eebb8dacbf"
    body = f'{{"executed":"{executed}","format":"moie-job-1","job":"a","plan":"default"}}'
    assert signed_body("default", Job.model_validate(JOB)) == body.encode()


def test_what_looks_at_a_verified_job_again_is_signed_too(ops: KeySigner, ring: KeyRing) -> None:
    job, look = signed_plan(ops, JOB | {"reverify": "1h"}).jobs
    assert refused(look, ring) == ""
    assert "does not hold" in refused(with_job(look, verification_cmd="touch y"), ring)
    assert "does not hold" in refused(replace(look, signature=job.signature), ring)
