"""The shell action gives its command to the runner, with the job's own settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moie_worker.actions.shell import ShellAction
from moie_worker.plan.states import Outcome
from moie_worker.ports import Evidence
from tests.web_kit import Bench, RecordingRunner, bench


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.mark.parametrize("cmd", ["echo $HOME | cat", ["echo", "$HOME"]])
def test_the_command_runs_with_the_settings_of_the_job(table: Bench, cmd: Any) -> None:
    table.runner = RecordingRunner(Evidence(Outcome.FAILED, "exit code 3", exit_code=3))
    context = table.context({"cmd": cmd})
    assert ShellAction().run(context) is table.runner.answer
    (command,) = table.runner.commands
    assert command.cmd == cmd
    assert (command.timeout, command.env, command.token) == (context.command.timeout, {"A": "b"}, "t")


def test_bad_parameters_are_broken_and_run_nothing(table: Bench) -> None:
    evidence = ShellAction().run(table.context({"cmd": ""}))
    assert evidence.outcome is Outcome.BROKEN
    assert "cmd" in evidence.message
    assert table.runner.commands == []
