"""`moie dead`: what was given up, and what becomes of it."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from itertools import islice
from typing import Any

import click

from moie_worker.doors.cli.acting import confirm, each, result
from moie_worker.doors.cli.desk import Desk, Function, acts, json_option, reads
from moie_worker.doors.cli.output import Line, Styled, echo, first_line, print_json, print_lines, print_table
from moie_worker.errors import NotFoundError, RefusedError
from moie_worker.heart.dead_letters import Act, DeadLetters, Done, matching
from moie_worker.heart.redact import head_shown, shown
from moie_worker.plan.fields import format_time
from moie_worker.plan.letters import Letter, LetterFilter, LetterHead, LetterKind

HEADERS = ("id", "kind", "tries", "last died", "replayed", "reason")


@click.group("dead")
def dead_command() -> None:
    """Dead letters: jobs, tasks and messages that were given up. Nothing is dropped until you discard it."""


def filters(function: Function) -> Function:
    """The options that say which letters are meant."""

    @click.option("--kind", type=click.Choice([str(kind) for kind in LetterKind]), help="Only of this kind.")
    @click.option("--name", metavar="NAME", help="Only of this job, task or queue.")
    @click.option("--reason", metavar="TEXT", help="Only with this in their reason.")
    @click.option("--since", metavar="TIME", help="Only those that died since: 2h ago, or 2026-01-31T12:00.")
    @click.option("--open", "open_only", is_flag=True, help="Only those not replayed since they died.")
    @wraps(function)
    def command(
        desk: Desk, *, kind: str | None, name: str | None, reason: str | None, since: str | None, open_only: bool,
        **options: Any,
    ) -> Any:  # fmt: skip
        at = desk.since(since) if since else None
        wanted = LetterFilter(LetterKind(kind) if kind else None, name, reason, at, open_only)
        return function(desk, wanted=wanted, **options)

    return command


@dead_command.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many.")
@reads
@filters
def list_command(desk: Desk, as_json: bool, wanted: LetterFilter, limit: int) -> None:
    """List dead letters, the last to die first."""
    found = list(islice(matching(desk.system.dead_letters(), wanted), limit + 1))
    heads = [head_shown(head) for head in found[:limit]]
    if as_json:
        print_json([_fields(head) for head in heads])
        return
    if not heads:
        click.echo("no dead letters")
        return
    print_table(HEADERS, [_row(head) for head in heads], widest=HEADERS.index("reason"))
    if len(found) > limit:
        click.echo("… and more: say --limit, or filter", err=True)


def _fields(head: LetterHead) -> dict[str, Any]:
    return {
        "id": head.id,
        "kind": str(head.kind),
        "job": head.name,
        "reason": head.reason,
        "attempts": head.attempts,
        "deaths": head.deaths,
        "replays": head.replays,
        "first_at": format_time(head.first_at),
        "last_at": format_time(head.last_at),
        "replayed_at": format_time(head.replayed_at) if head.replayed_at else None,
    }


def _row(head: LetterHead) -> Sequence[str | Styled]:
    style = "dim" if head.replayed_at else "red"
    replayed = f"{head.replayed_at:%m-%d %H:%M}" if head.replayed_at else ""
    return (
        Styled(head.id, style),
        head.name if head.kind is LetterKind.TASK else str(head.kind),
        str(head.attempts),
        f"{head.last_at:%m-%d %H:%M:%S}",
        replayed,
        first_line(head.reason),
    )


@dead_command.command("show")
@click.argument("letter_id", metavar="ID")
@reads
def show_command(desk: Desk, as_json: bool, letter_id: str) -> None:
    """Everything that was kept of one dead letter, without what looks like a secret."""
    letter = shown(_found(desk, letter_id))
    if as_json:
        print_json(_fields(letter.head) | {"payload": dict(letter.payload), "evidence": dict(letter.evidence)})
    else:
        print_lines(_lines(letter), wrap=True)


def _lines(letter: Letter) -> Iterator[Line]:
    for name, value in _fields(letter.head).items():
        if value is not None:
            yield Styled(f"{name:<14}", "dim"), str(value)
    for title, values in (("payload", letter.payload), ("evidence", letter.evidence)):
        if values:
            yield ()
            yield (Styled(title, "dim"),)
        for name, value in values.items():
            if name == "at":
                continue  # what last_at says, in milliseconds
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            head, *rest = text.splitlines() or [""]
            yield Styled(f"  {name:<14}", "dim"), head
            yield from ((f"  {'':<14}{line}",) for line in rest)


def many(function: Function) -> Function:
    """The arguments of what is done to one letter or to many."""
    decorators = (
        click.argument("letter_ids", metavar="[ID]…", nargs=-1),
        click.option("--all", "everything", is_flag=True, help="All dead letters."),
        click.option("--yes", is_flag=True, help="Do not ask."),
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


@dead_command.command("replay")
@many
@click.option(
    "--force",
    is_flag=True,
    help="Again although replayed already; a message although nobody could read it; a part of a chord.",
)
@json_option
@acts
@filters
def replay_command(
    desk: Desk, as_json: bool, wanted: LetterFilter, letter_ids: tuple[str, ...], everything: bool, yes: bool,
    force: bool,
) -> None:  # fmt: skip
    """Let dead letters live again: by their ids, by filters, or all of them.

    A job starts anew, a task is sent again under a new id.
    """
    from moie_worker.doors.cli.broker import Publisher  # Celery takes a while to import

    box = desk.system.dead_letters()
    letters = DeadLetters(box, desk.store, Publisher.of(desk.system.settings))
    act = Act(desk.who, desk.why, force)
    if letter_ids:
        each(letter_ids, _step(desk, letters.replay, act, "replayed"), as_json=as_json)
    else:
        _confirm(desk, wanted, "replay", everything=everything, yes=yes)
        _tell(letters.replay_all(wanted, act, _pause), "replayed", as_json=as_json)
    desk.system.fleet.ring(desk.plan)


@dead_command.command("discard")
@many
@json_option
@acts
@filters
def discard_command(
    desk: Desk, as_json: bool, wanted: LetterFilter, letter_ids: tuple[str, ...], everything: bool, yes: bool
) -> None:
    """Drop dead letters for good: by their ids, by filters, or all of them. A dead job is cancelled by it."""
    letters = DeadLetters(desk.system.dead_letters(), desk.store, _Nobody())
    act = Act(desk.who, desk.why)
    if letter_ids:
        each(letter_ids, _step(desk, letters.discard, act, "discarded"), as_json=as_json)
    else:
        _confirm(desk, wanted, "discard", everything=everything, yes=yes)
        _tell(letters.discard_all(wanted, act), "discarded", as_json=as_json)
    desk.system.fleet.ring(desk.plan)


class _Nobody:
    """Discarding publishes nothing."""

    def task(self, letter: Letter, new_id: str) -> None:
        raise RefusedError(f"{letter.head.id} would be sent as {new_id} by somebody who only discards")

    def message(self, letter: Letter) -> None:
        raise RefusedError(f"{letter.head.id} would be sent by somebody who only discards")


def _pause(seconds: float) -> bool:
    time.sleep(seconds)
    return True


def _found(desk: Desk, letter_id: str) -> Letter:
    """A letter by its id, or that of a job by the job's id."""
    box = desk.system.dead_letters()
    try:
        return box.get(letter_id)
    except NotFoundError:
        if ":" in letter_id:
            raise
    try:
        return box.get(f"job:{letter_id}")
    except NotFoundError:
        raise NotFoundError(f"no dead letter {letter_id!r}; `moie dead list` names them") from None


def _step(desk: Desk, do: Callable[[str, Act], None], act: Act, done: str) -> Callable[[str], str]:
    def step(given: str) -> str:
        letter_id = _found(desk, given).head.id
        do(letter_id, act)
        return f"{letter_id} {done}"

    return step


def _confirm(desk: Desk, wanted: LetterFilter, what: str, *, everything: bool, yes: bool) -> None:
    """Somebody must mean it. Raises UsageError where nothing says which, NotFoundError where there are none."""
    if not everything and wanted == LetterFilter():
        raise click.UsageError(f"say which to {what}: ids, filters, or --all")
    number = sum(1 for _ in matching(desk.system.dead_letters(), wanted))
    if number == 0:
        raise NotFoundError("no dead letter is meant by this")
    confirm(f"{what} {number} dead letter{'' if number == 1 else 's'}?", yes=yes)


def _tell(results: Iterable[Done], done: str, *, as_json: bool) -> None:
    told = [_told(one, done) for one in results]
    refused = [one["message"] for one in told if not one["changed"]]
    if as_json:
        print_json(told)
    else:
        for message in refused:
            echo(message, err=True)
        click.echo(f"{len(told) - len(refused)} {done}" + (f", {len(refused)} refused" if refused else ""))
    if refused:
        raise click.exceptions.Exit(1)


def _told(one: Done, done: str) -> dict[str, Any]:
    """Most refusals name their letter; the others are given its name."""
    letter_id = one.head.id
    if not one.refused:
        return result(letter_id, f"{letter_id} {done}", changed=True)
    named = letter_id in one.refused or f"job {one.head.name!r}" in one.refused
    return result(letter_id, one.refused if named else f"{letter_id}: {one.refused}", changed=False)
