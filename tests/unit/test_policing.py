"""Policies on a worker: what runs, what is refused, what waits, and what is kept of it."""

from dataclasses import replace
from typing import Any

import pytest

from moie_worker.errors import UnreachableError
from moie_worker.heart.hints import work
from moie_worker.heart.policing import Policing
from moie_worker.plan.policies import Policies
from moie_worker.plan.states import Place
from moie_worker.ports import Effect
from tests.unit.heart_kit import CYCLIC, Heart, load

MINUTE = 60_000


def policed(*rules: dict[str, Any]) -> Heart:
    """A worker under these rules."""
    heart = Heart()
    made = Policies.model_validate({"policies": [{"name": f"p{n}"} | rule for n, rule in enumerate(rules)]})
    heart.policing = Policing("default", "w@here", made, heart.rulings, heart.store.overview)
    return heart


def decided(heart: Heart) -> list[tuple[str, str, Effect]]:
    return [(one.job, one.policy, one.effect) for one in heart.rulings.decisions(100)][::-1]


def due_again(heart: Heart, job: str) -> None:
    """Let the time come for which it waits."""
    heart.clock.advance(max(heart.store.job(job).due - heart.clock.redis.now, 0))
    heart.store.reserve("default", 0, "none")


def test_what_no_rule_fits_runs_and_leaves_no_trace() -> None:
    heart = policed({"decide": "deny", "when": {"job": "b"}})
    heart.load({"id": "a"})
    assert work(heart.hint("a"), heart.desk()) == {"passed": 1}
    assert decided(heart) == []


def test_what_is_denied_is_not_run_and_told_as_all_that_is_refused() -> None:
    heart = policed({"decide": "deny", "when": {"job": "a"}, "why": "not on a Friday"})
    heart.load({"id": "a"}, {"id": "b"})
    assert work(heart.hint("a", "b"), heart.desk()) == {"refused": 1, "passed": 1}
    assert len(heart.runner.commands) == 1
    assert heart.store.letters["a"].reason == "refused: job a is denied by policy p0: not on a Friday"
    assert heart.alerts.events == ["raised refused:default"]
    assert decided(heart) == [("a", "p0", Effect.REFUSED)]


def test_what_a_rule_allows_runs_and_is_kept() -> None:
    heart = policed({"decide": "allow", "when": {"job": "a"}}, {"decide": "deny"})
    heart.load({"id": "a"}, {"id": "b"})
    assert work(heart.hint("a", "b"), heart.desk()) == {"refused": 1, "passed": 1}
    assert decided(heart) == [("a", "p0", Effect.RUNS), ("b", "p1", Effect.REFUSED)]


def test_a_throttle_delays_and_never_drops() -> None:
    heart = policed({"decide": "throttle", "at_most": 1, "per": "1m"})
    heart.load({"id": "a"}, {"id": "b"}, {"id": "c"})
    assert work(heart.hint("a", "b", "c"), heart.desk()) == {"cancelled": 2, "passed": 1}
    assert heart.store.job("b").due == heart.clock.redis.now + MINUTE
    for job in "bc":
        due_again(heart, job)
        summary = work(heart.hint(job), heart.desk())
        if summary == {"cancelled": 1}:  # it was told a time that is too early
            due_again(heart, job)
            summary = work(heart.hint(job), heart.desk())
        assert summary == {"passed": 1}
    assert [one.effect for one in heart.rulings.decisions(1)] == [Effect.RUNS]
    assert heart.store.letters == {}


def test_waiting_for_a_turn_uses_up_no_retries() -> None:
    heart = policed({"decide": "throttle", "at_most": 1, "per": "1m"})
    heart.load({"id": "a"}, {"id": "b"})
    work(heart.hint("a", "b"), heart.desk())
    assert (heart.store.job("b").place, heart.store.job("b").attempts) == (Place.TIMED, 0)


def test_a_cyclic_job_that_waits_keeps_its_slot() -> None:
    heart = policed({"decide": "throttle", "at_most": 1, "per": "30m"})
    heart.load({"id": "c"} | CYCLIC)
    assert work(heart.hint("c"), heart.desk()) == {"passed": 1}
    due_again(heart, "c")
    slot = heart.store.job("c").slot
    heart.clock.advance(5000)
    assert work(heart.hint("c"), heart.desk()) == {"cancelled": 1}
    view = heart.store.job("c")
    assert (view.slot, view.due) == (slot, slot + 20 * MINUTE)


def test_what_must_be_approved_is_refused_where_its_phase_does_not_ask() -> None:
    heart = policed({"decide": "approve"})
    heart.load({"id": "a"})
    assert work(heart.hint("a"), heart.desk()) == {"refused": 1}
    assert "phase 1 must ask for approval: write `approval: required` there" in heart.store.letters["a"].reason


def test_it_runs_when_its_phase_asked_and_somebody_said_yes() -> None:
    heart = policed({"decide": "approve"})
    load(heart.store, {"id": "a"}, {"id": "w", "start": "at_load"} | CYCLIC, approval="required")
    assert work(heart.hint("w"), heart.desk()) == {"cancelled": 1}  # it does not wait for its phase, but for a yes
    assert heart.store.job("w").due == heart.clock.redis.now + MINUTE
    heart.store.answer(1, True, "ada@here", "")
    heart.store.reserve("default", 0, "none")
    assert work(heart.hint("a"), heart.desk()) == {"passed": 1}
    due_again(heart, "w")
    assert work(heart.hint("w"), heart.desk()) == {"passed": 1}
    assert [effect for *_, effect in decided(heart)] == [Effect.WAITS, Effect.RUNS, Effect.RUNS]


def test_a_rule_that_redis_cannot_be_asked_about_lets_nothing_run(monkeypatch: pytest.MonkeyPatch) -> None:
    heart = policed({"decide": "throttle", "at_most": 1, "per": "1m"})

    def away(*_: Any) -> None:
        raise UnreachableError("no Redis")

    monkeypatch.setattr(heart.rulings, "turn", away)
    heart.load({"id": "a"})
    assert work(heart.hint("a"), heart.desk()) == {"cancelled": 1}
    assert heart.store.job("a").due == heart.clock.redis.now + 5000


def test_decisions_that_cannot_be_kept_keep_nothing_from_running(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heart = policed({"decide": "allow"})

    def away(*_: Any) -> None:
        raise UnreachableError("no Redis")

    monkeypatch.setattr(heart.rulings, "note", away)
    heart.load({"id": "a"})
    assert work(heart.hint("a"), heart.desk()) == {"passed": 1}
    assert "decisions of policies cannot be kept (no Redis)" in caplog.text


def test_without_policies_nothing_is_asked() -> None:
    heart = policed({"decide": "deny"})
    heart.policing = None
    heart.load({"id": "a"})
    assert work(heart.hint("a"), replace(heart.desk(), policing=None)) == {"passed": 1}
    assert decided(heart) == []
