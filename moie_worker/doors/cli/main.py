"""The command `moie`: its table of commands, and what becomes of errors.

A command is imported when it is called: most of the time a command takes is imports, and the help needs none.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from moie_worker.doors.cli.failures import report

# Sections of the help: command -> (module of this package, what the help says).
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Run": {
        "up": ("up", "Run everything on this machine: Redis, worker, beat, Flower."),
        "down": ("up", "Stop it."),
    },
    "Plans": {
        "validate": ("plans", "Say all that is wrong with a plan document; load nothing."),
        "lint": ("lint", "Find checks that cannot fail or prove nothing."),
        "load": ("plans", "Load a plan, or a new revision of it."),
        "export": ("export", "Write the loaded plan as a document, with where its jobs stand."),
        "migrate": ("export", "Write a document in another version of the format."),
    },
    "Look": {
        "status": ("status", "Where the plan stands; --watch stays."),
        "health": ("health", "Whether all is well: exit code 0 healthy, 1 not, 2 unknown."),
        "alive": ("alive", "Whether the worker or beat of this host lives; for health checks."),
        "doctor": ("doctor", "Look for what may be wrong with this installation."),
        "show": ("show", "A picture of the plan: its phases and jobs."),
        "jobs": ("jobs", "List jobs."),
        "job": ("jobs", "Everything about one job."),
        "journal": ("jobs", "What happened, by whom and why."),
    },
    "Dead letters": {
        "dead": ("dead", "list, show, replay, discard: what was given up."),
    },
    "Foresee": {
        "simulate": ("foresee", "What the next heartbeats would do; nothing is run or written."),
        "verify": ("foresee", "Run verification commands here; nothing is changed."),
    },
    "Go back": {
        "backup": ("backup", "create, list, restore: snapshots of the plan."),
        "rollback": ("backup", "Bring the plan back to where it stood."),
    },
    "Act": {
        "heartbeat": ("beat", "Ask for a heartbeat now."),
        "pause": ("operate", "Begin nothing new."),
        "resume": ("operate", "Go on."),
        "cancel": ("operate", "Take jobs out, or stop the whole plan."),
        "approve": ("operate", "Let a phase begin that asks for approval."),
        "reject": ("operate", "Say no to it."),
        "retry": ("operate", "Start jobs anew."),
        "run": ("operate", "Look at jobs now."),
    },
    "Guard": {
        "keys": ("keys", "make, list, show, trust: who may sign plans and receipts."),
        "receipts": ("receipts", "list, export, verify: the proof of what was done."),
        "policies": ("policies", "list, explain, decisions: rules about what may run."),
        "acl": ("acl", "Users of Redis that may do no more than their work needs."),
    },
}


def _table() -> Iterator[tuple[str, str, str]]:
    for commands in SECTIONS.values():
        for name, (module, line) in commands.items():
            yield name, module, line


class Commands(click.Group):
    """Imports commands when they are called, and says every error in one way."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names, in the order of the help."""
        return [name for name, _, _ in _table()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now; its module names it `{command}_command`."""
        for name, module, _ in _table():
            if name == cmd_name:
                found = getattr(import_module(f"moie_worker.doors.cli.{module}"), f"{name}_command")
                return found if isinstance(found, click.Command) else None
        return None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """With a suggestion for what is mistyped."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"{error.message}{hint}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """By sections, without importing anything."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, line) for name, (_, line) in commands.items()], col_max=10)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; its errors become an exit code and words."""
        try:
            return super().invoke(ctx)
        except Exception as error:  # the last frame of ours: whatever comes is said, none is swallowed
            raise click.exceptions.Exit(report(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="moie-worker", prog_name="moie")
def moie() -> None:
    """Bring plans of jobs to their verified end.

    Exit codes: 0 done, 1 a negative answer, 2 wrong use, bad input or a file that cannot be used, 3 Redis or the
    broker out of reach, 70 an error of moie itself.
    """


def main() -> None:
    """The entry point `moie`."""
    moie(prog_name="moie")
