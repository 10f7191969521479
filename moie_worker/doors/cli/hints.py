"""The commands that a text names, completed: who asked about one plan by `--plan` is told about that one."""

import re
import shlex

import click

HINT = re.compile(r"`moie ([^`]+)`")
# What is about no plan, or takes its name elsewhere.
PLANLESS = ("up", "down", "validate", "lint", "migrate", "alive", "keys", "acl", "policies list")

_NAMED = "moie_worker.plan"  # in what the contexts of one command share


def name_plan(plan: str | None) -> None:
    """This command was asked about a plan by `--plan`, or by none."""
    click.get_current_context().meta[_NAMED] = plan


def completed(text: str) -> str:
    """The text with `--plan NAME` in each command that needs it."""
    context = click.get_current_context(silent=True)
    plan = context.meta.get(_NAMED) if context else None
    return text if plan is None or "`moie " not in text else HINT.sub(lambda hint: _with(hint[1], plan), text)


def _with(command: str, plan: str) -> str:
    words = f"{command} "
    if "--plan" in command or any(words.startswith(f"{less} ") for less in PLANLESS):
        return f"`moie {command}`"
    return f"`moie {command} --plan {shlex.quote(plan)}`"
