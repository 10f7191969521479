"""The page of the command line is what the commands say, and the help names every command."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from moie_worker.doors.cli.main import SECTIONS, moie
from moie_worker.doors.cli.reference import page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
NAMES = [name for commands in SECTIONS.values() for name in commands]


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text() == page(), (
        "write it again: python -c 'from moie_worker.doors.cli.reference import page; print(page(), end=\"\")' > "
        + str(PAGE)
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_command_of_the_table_is_there_and_has_a_help(name: str) -> None:
    command = moie.get_command(click.Context(moie), name)
    assert command is not None
    assert command.name == name
    assert command.help


def test_the_help_names_every_command() -> None:
    said = CliRunner().invoke(moie, ["--help"])
    assert said.exit_code == 0
    assert all(f"  {name} " in said.stdout for name in NAMES)


def test_a_mistyped_command_is_wrong_use_with_a_suggestion() -> None:
    said = CliRunner().invoke(moie, ["statsu"])
    assert said.exit_code == 2
    assert "Did you mean 'status'?" in said.stderr
