"""How commands print: JSON for scripts, aligned text for people, colours and widths only where a terminal is.

rich is imported for a terminal alone: in a pipe its import would be a quarter of the time of a command.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from moie_worker.plan.states import Health, Place
from moie_worker.plan.times import Ms, moment

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table
    from rich.text import Text

PLACE_STYLES = {
    Place.COMPLETED: "green",
    Place.RUNNING: "cyan",
    Place.SENT: "cyan",
    Place.WAITING: "yellow",
    Place.DEAD: "red",
    Place.CANCELLED: "dim",
    Place.PARKED: "dim",
}
HEALTH_STYLES = {Health.HEALTHY: "green", Health.STALE: "yellow", Health.UNHEALTHY: "red", Health.UNKNOWN: "dim"}


@dataclass(frozen=True, slots=True)
class Styled:
    """A text with a style of rich."""

    text: str
    style: str = ""

    def __str__(self) -> str:
        return self.text


Cell = str | Styled
Line = tuple[Cell, ...]


def is_terminal(*, err: bool = False) -> bool:
    """Whether a person reads along."""
    return (sys.stderr if err else sys.stdout).isatty()


def console(*, err: bool = False) -> "Console":
    """The terminal."""
    from rich.console import Console

    return Console(stderr=err, highlight=False, emoji=False, markup=False)


def print_json(value: Any) -> None:
    """Indented, with the characters of people."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_lines(lines: Iterable[Line], *, wrap: bool = False) -> None:
    """Lines as they are; on a terminal cut off at its edge, unless they `wrap`."""
    if is_terminal():
        screen = console()
        for line in lines:
            screen.print(rich_line(line, wrap=wrap))
    else:
        for line in lines:
            click.echo("".join(map(str, line)).rstrip())


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Cell]], *, widest: int = 0) -> None:
    """Aligned columns; the column `widest` gives way when the terminal is narrow."""
    if is_terminal():
        console().print(_table(headers, rows, widest))
    else:
        for line in _plain(headers, rows):
            click.echo(line)


@contextmanager
def progress_bar(what: str, total: int, least: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error where that is a terminal and there are at least so many steps; yields what moves it."""
    if total < least or not is_terminal(err=True):
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(f"{what:<8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(err=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda steps: progress.advance(task, steps)


def rich_line(line: Line, *, wrap: bool = False) -> "Text":
    """A line for a terminal."""
    from rich.text import Text

    parts = [(cell.text, cell.style) if isinstance(cell, Styled) else cell for cell in line]
    return Text.assemble(*parts, no_wrap=not wrap, overflow="fold" if wrap else "ellipsis")


def rich_lines(lines: Iterable[Line]) -> "RenderableType":
    """Lines for a live view."""
    from rich.console import Group

    return Group(*map(rich_line, lines))


def _table(headers: Sequence[str], rows: Sequence[Sequence[Cell]], widest: int) -> "Table":
    """A quiet table: no lines but one under the head."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    for number, header in enumerate(headers):
        made.add_column(header, no_wrap=True, overflow="ellipsis", ratio=1 if number == widest else None)
    for row in rows:
        made.add_row(*(rich_line((cell,)) for cell in row))
    return made


def _plain(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """Columns two spaces apart, nothing cut off."""
    lines = [[str(cell) for cell in row] for row in (headers, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]


def ago(age_s: float | None) -> str:
    """`3 s ago`, `12 min ago`, `5 h ago`, `3 d ago`."""
    return "never" if age_s is None else f"{span(age_s)} ago"


def span(seconds: float) -> str:
    """A length of time in one short word."""
    for unit, size, until in (("s", 1, 90), ("min", 60, 10_800), ("h", 3600, 172_800)):
        if seconds < until:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86_400)} d"


def took(seconds: float) -> str:
    """How long something ran."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s" if seconds < 90 else span(seconds)


def clock_time(at: Ms) -> str:
    """`2026-01-31 12:00:00 UTC`"""
    return f"{moment(at):%Y-%m-%d %H:%M:%S} UTC"


def one_line(text: str, most: int = 200) -> str:
    """The first line, shortened."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= most else line[: most - 1] + "…"
