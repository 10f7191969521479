"""What the settings allow to commands, and what doctor says of it."""

from dataclasses import replace

import pytest

from moie_worker.adapters.shell_rights import NO_LIMITS, Rights
from moie_worker.adapters.shell_spaces import Namespaces
from moie_worker.adapters.shell_spawn import NotAllowedError
from moie_worker.errors import InputError
from moie_worker.plan.doctor import Holding, Level, held_findings
from moie_worker.settings import Settings
from moie_worker.wiring import System

HELD = Holding(
    no_new_privileges=True,
    can_give_up=True,
    containment="group",
    namespaces="PID namespaces of some kind",
    no_namespaces="",
    programs={},
    run_as={},
)
NONE = "the worker needs root or CAP_SYS_ADMIN"


def rights(monkeypatch: pytest.MonkeyPatch, missing: str, **told: object) -> Rights:
    monkeypatch.setattr("moie_worker.wiring.try_namespaces", lambda for_others: Namespaces(missing))
    return System(Settings(**told)).rights  # type: ignore[arg-type]


def test_by_default_privileges_are_given_up_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rights(monkeypatch, "") == Rights(frozenset(), no_new_privileges=True, apart=False)


@pytest.mark.parametrize(
    ("containment", "missing", "apart"), [("auto", "", True), ("auto", NONE, False), ("pid", "", True)]
)
def test_namespaces_are_had_where_they_can(
    monkeypatch: pytest.MonkeyPatch, containment: str, missing: str, apart: bool
) -> None:
    assert rights(monkeypatch, missing, containment=containment).apart is apart


def test_namespaces_that_must_be_had_and_cannot_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="MOIE_CONTAINMENT: no PID namespaces here: the worker needs root"):
        rights(monkeypatch, NONE, containment="pid")


def test_users_are_named_by_words(monkeypatch: pytest.MonkeyPatch) -> None:
    named = rights(monkeypatch, "", run_as_users=" deploy  backup ")
    named.check_user("backup")
    with pytest.raises(NotAllowedError, match="nobody may run as root on this machine"):
        named.check_user("root")
    with pytest.raises(NotAllowedError):
        NO_LIMITS.check_user("deploy")


@pytest.mark.parametrize(
    ("held", "what", "level", "said"),
    [
        (HELD, "new privileges", Level.OK, "given up"),
        (replace(HELD, no_new_privileges=False), "new privileges", Level.NOTE, "MOIE_NO_NEW_PRIVILEGES"),
        (replace(HELD, can_give_up=False), "new privileges", Level.NOTE, "this kernel cannot"),
        (HELD, "containment", Level.OK, "=pid is possible here: PID namespaces of some kind"),
        (replace(HELD, no_namespaces=NONE), "containment", Level.OK, f"no PID namespaces here: {NONE}"),
        (replace(HELD, containment="auto"), "containment", Level.OK, "PID namespaces of some kind"),
        (replace(HELD, containment="auto", no_namespaces=NONE), "containment", Level.NOTE, NONE),
        (replace(HELD, containment="pid", no_namespaces=NONE), "containment", Level.FAULT, NONE),
        (HELD, "programs", Level.OK, "any"),
        (replace(HELD, programs={"sh": "/bin/dash"}), "programs", Level.OK, "these only: sh (/bin/dash)"),
        (replace(HELD, programs={"x": ""}), "programs", Level.NOTE, "none; this machine does not have x"),
        (replace(HELD, run_as={"ops": ""}), "run_as ops", Level.OK, "possible"),
        (replace(HELD, run_as={"ops": "no such user"}), "run_as ops", Level.FAULT, "no such user"),
    ],
)
def test_doctor_says_how_commands_are_held(held: Holding, what: str, level: Level, said: str) -> None:
    (found,) = [finding for finding in held_findings(held) if finding.what == what]
    assert found.level is level
    assert said in found.message
