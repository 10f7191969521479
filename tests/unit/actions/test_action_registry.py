"""Actions are plugins: found by entry point, and harmless to others when broken."""

import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from moie_worker.actions.registry import GROUP, Registry, load
from moie_worker.plan.states import Outcome
from moie_worker.ports import ActionContext, Evidence
from tests.web_kit import Bench, bench

PROJECT = Path(__file__).parents[3] / "pyproject.toml"


class Good:
    def check(self, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for name in params:
            yield name, "is wrong"

    def run(self, context: ActionContext) -> Evidence:
        return Evidence(Outcome.PASSED, f"ran {context.job}")


class Raises(Good):
    def run(self, context: ActionContext) -> Evidence:
        raise ZeroDivisionError("by\nzero \x1b[31m")


class Exits(Good):
    def run(self, context: ActionContext) -> Evidence:
        raise SystemExit(3)


class NoAction:
    pass


class BrokenConstructor:
    def __init__(self) -> None:
        raise OSError("no disk")


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def registry(**classes: str) -> Registry:
    return load([EntryPoint(name, value, GROUP) for name, value in classes.items()])


def test_our_own_actions_are_plugins_like_any_other(table: Bench) -> None:
    declared = tomllib.loads(PROJECT.read_text())["project"]["entry-points"][GROUP]
    found = registry(**declared)
    assert set(found.actions) == {"shell", "http", "arxiv_scan"}
    assert found.broken == {}
    assert found.run("shell", table.context({"cmd": "true"})).outcome is Outcome.PASSED


def test_a_plugin_runs_and_checks_its_parameters(table: Bench) -> None:
    found = registry(good=f"{__name__}:Good")
    assert found.run("good", table.context({})).message == "ran 5.1"
    assert list(found.check("good", {"a": 1})) == [("with.a", "is wrong")]


def test_a_broken_plugin_breaks_only_the_jobs_that_name_it(table: Bench, caplog: pytest.LogCaptureFixture) -> None:
    found = registry(
        good=f"{__name__}:Good",
        gone="no_such_module:Action",
        empty=f"{__name__}:NoAction",
        disk=f"{__name__}:BrokenConstructor",
    )
    assert set(found.actions) == {"good"}
    evidence = found.run("gone", table.context({}))
    assert evidence.outcome is Outcome.BROKEN
    assert evidence.message.startswith('action "gone" cannot be loaded: no_such_module:Action: ModuleNotFoundError')
    assert "needs a method check" in found.run("empty", table.context({})).message
    assert "OSError: no disk" in found.run("disk", table.context({})).message
    assert found.run("good", table.context({})).outcome is Outcome.PASSED
    assert len(caplog.records) == 3


def test_an_unknown_action_is_broken_with_a_suggestion(table: Bench) -> None:
    found = registry(good=f"{__name__}:Good")
    evidence = found.run("god", table.context({}))
    assert (evidence.outcome, 'did you mean "good"?' in evidence.message) == (Outcome.BROKEN, True)
    assert list(found.check("zzz", {})) == [("use", 'no action is named "zzz"; known are good')]
    assert "known are none" in registry().run("x", table.context({})).message


def test_an_action_that_raises_has_failed_and_says_where(table: Bench, caplog: pytest.LogCaptureFixture) -> None:
    evidence = registry(raises=f"{__name__}:Raises").run("raises", table.context({}))
    assert evidence.outcome is Outcome.FAILED
    assert evidence.message.startswith("action raises raised ZeroDivisionError: by zero")
    assert "\x1b" not in evidence.message + evidence.tail
    assert "test_action_registry.py" in evidence.tail
    assert caplog.records


def test_an_action_that_would_exit_has_failed(table: Bench, caplog: pytest.LogCaptureFixture) -> None:
    evidence = registry(exits=f"{__name__}:Exits").run("exits", table.context({}))
    assert (evidence.outcome, evidence.message) == (Outcome.FAILED, "action exits raised SystemExit: 3")
    assert caplog.records


def test_a_name_that_is_offered_twice_keeps_the_first(table: Bench, caplog: pytest.LogCaptureFixture) -> None:
    twice = [EntryPoint("a", f"{__name__}:{name}", GROUP) for name in ("NoAction", "Good", "Raises")]
    assert load(twice).run("a", table.context({})).outcome is Outcome.PASSED
    assert "offered twice" in caplog.text


def test_the_settings_give_parameters_that_the_plan_does_not(table: Bench) -> None:
    class Tells(Good):
        def run(self, context: ActionContext) -> Evidence:
            return Evidence(Outcome.PASSED, f"{context.params}")

    found = Registry({"tells": Tells()}, {}, {"tells": {"a": "setting", "b": "setting"}})
    assert found.run("tells", table.context({"a": "plan"})).message == "{'a': 'plan', 'b': 'setting'}"
