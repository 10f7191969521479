"""Commands that a text names are completed with the plan that was asked about."""

from collections.abc import Iterator

import click
import pytest

from moie_worker.doors.cli.hints import PLANLESS, completed, name_plan
from moie_worker.doors.cli.main import moie


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 dead: `moie jobs --place dead`; `moie retry ID`",
         "1 dead: `moie jobs --place dead --plan hers`; `moie retry ID --plan hers`"),
        ("`moie status --plan mine` or `moie keys trust FILE`", "`moie status --plan mine` or `moie keys trust FILE`"),
        ("no command: moie status", "no command: moie status"),
    ],
)  # fmt: skip
def test_each_command_that_needs_it_gets_the_plan(text: str, told: str) -> None:
    with click.Context(moie):
        name_plan("hers")
        assert completed(text) == told


def test_who_named_no_plan_is_told_as_it_is_written() -> None:
    assert completed("`moie status`") == "`moie status`"
    with click.Context(moie):
        name_plan(None)
        assert completed("`moie status`") == "`moie status`"


def test_a_name_is_quoted_for_the_shell() -> None:
    with click.Context(moie):
        name_plan("a b")
        assert completed("`moie status`") == "`moie status --plan 'a b'`"


def commands(command: click.Command, name: tuple[str, ...], context: click.Context) -> Iterator[tuple[str, bool]]:
    """Every command, and whether it takes --plan as the name of the plan that it is about."""
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            assert below is not None
            yield from commands(below, (*name, word), context)
    else:
        options = [each for each in command.params if isinstance(each, click.Option)]
        yield " ".join(name), any("--plan" in each.opts and each.metavar == "NAME" for each in options)


def test_the_commands_without_a_plan_are_those_that_do_not_take_one() -> None:
    for name, takes in commands(moie, (), click.Context(moie)):
        assert takes is not any(f"{name} ".startswith(f"{less} ") for less in PLANLESS), name
