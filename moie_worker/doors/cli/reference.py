"""The page docs/reference/cli.md, made from the commands themselves."""

import inspect
from collections.abc import Iterator

import click

from moie_worker.doors.cli.main import SECTIONS, moie

HEAD = """# Command line

`moie`, also reachable as `celery moie` and `python -m moie_worker`. Every command reads `MOIE_*` from the environment
([settings](settings.md)); `--plan NAME` chooses the plan (of `moie up`: `--name NAME`). Reading commands print JSON
with `--json`: times are ISO 8601 in UTC, durations in seconds. Changes take `--why TEXT`, which the journal keeps with
who did it.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | a negative answer: nothing of that name, refused, not healthy, a check that fails |
| 2 | wrong use or bad input; nothing was changed (`moie health`: unknown) |
| 3 | Redis or the broker is out of reach |
| 70 | a fault of moie itself; its traceback is in `MOIE_HOME/logs/errors.log` |

What a file, a disk or standard output refuses (no right, no room) is named, with 2; what was asked for may be done.
A process that ends for a pipe nobody reads any more, or for Ctrl-C, ends with 1. `moie up` ends with 0 after Ctrl-C or
`moie down`.

## JSON

Scripts may rely on these fields; more stand beside them.

```
status     {plan, sovereign, current_phase, last_heartbeat, heartbeat_age_s, revision, due, running, dead_letters,
            regressed, phases: [{id, name, status, completed, total, cyclic}]}
jobs       [{id, phase, task, status, outcome, attempts, due_at, last_error}]
health     {status, heartbeat: {status, age_s}, workers, jobs: [{id, status, message, runs, failures, failure_share}]}
dead list  [{id, kind, job, reason, attempts, first_at, last_at, replayed_at}]
policies   list: the rules as their file says them. explain: {facts: {plan, job, queue, action, user, programs},
            ruled: {policy, decision, why}}. decisions: [{at, job, policy, decision, effect, message, worker}]
journal    [{id, at, event, job, who, why, data, message}]
acting     {id, changed, message} of a plan or phase, [{id, changed, message}] of jobs and dead letters
```
"""


def page() -> str:
    """The page as Markdown."""
    return "\n".join([HEAD, *_sections()]).rstrip() + "\n"


def _sections() -> Iterator[str]:
    context = click.Context(moie, info_name="moie")
    for title, commands in SECTIONS.items():
        yield f"## {title}\n"
        for name in commands:
            command = moie.get_command(context, name)
            if isinstance(command, click.Group):
                yield from _group(command, click.Context(command, info_name=name, parent=context))
            elif command is not None:
                yield from _command(command, click.Context(command, info_name=name, parent=context))


def _group(group: click.Group, context: click.Context) -> Iterator[str]:
    yield f"{inspect.cleandoc(group.help or '')}\n"
    for name, command in sorted(group.commands.items()):
        yield from _command(command, click.Context(command, info_name=name, parent=context))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"### `{context.command_path}`\n"
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"```\n{context.command_path} {usage}\n```\n"
    yield f"{inspect.cleandoc(command.help or '')}\n"
    rows = [
        record
        for option in command.params
        if isinstance(option, click.Option) and (record := option.get_help_record(context))
    ]
    if rows:
        yield "| option | |\n|---|---|"
        yield from (f"| `{_cell(name)}` | {_cell(text)} |" for name, text in rows)
        yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
