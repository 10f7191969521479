"""How commands print: JSON for scripts, aligned text for people, colours and widths only where a terminal is.

rich is imported for a terminal alone: in a pipe its import would be a quarter of the time of a command.
"""

import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from moie_worker.doors.cli.hints import completed
from moie_worker.plan.states import Health, Place
from moie_worker.plan.texts import json_shown, printable
from moie_worker.plan.times import Ms, moment

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
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


GAP = "  "  # between columns
LEAST_WIDTH = 20  # of the column that gives way
LEAST_LAST = 4


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
    click.echo(json_shown(json.dumps(value, indent=2, ensure_ascii=False)))


def echo(text: str, *, err: bool = False) -> None:
    """A text that others had a part in."""
    click.echo(printable(text), err=err)


def print_lines(lines: Iterable[Line], *, wrap: bool = False) -> None:
    """Lines as they are; on a terminal cut off at its edge, unless they `wrap`."""
    if is_terminal():
        screen = console()
        for line in lines:
            screen.print(rich_line(line, wrap=wrap))
    else:
        for line in lines:
            echo(completed("".join(map(str, line)).rstrip()))


def print_table(headers: Sequence[str], rows: Sequence[Sequence[Cell]], *, widest: int = 0, wrap: bool = False) -> None:
    """Aligned columns; on a terminal the column `widest` gives way, cut off or wrapped, so that the others fit."""
    grid = [[_in_a_cell(_shown(as_styled(cell))) for cell in row] for row in rows]
    head = [Styled(header, "dim") for header in headers]
    if is_terminal():
        screen = console()
        for line in fitted([head, *grid], widest, screen.width, wrap=wrap):
            screen.print(rich_line(line))
    else:
        for line in aligned([head, *grid], _widths([head, *grid])):
            click.echo("".join(map(str, line)).rstrip())


def fitted(grid: Sequence[Sequence[Styled]], widest: int, width: int, *, wrap: bool) -> Iterator[Line]:
    """The lines of a table in a terminal that is `width` wide: the column `widest` gives way, then the last one."""
    widths = _widths(grid)
    for column, least in ((widest, LEAST_WIDTH), (-1, LEAST_LAST)):
        over = sum(widths) + len(GAP) * (len(widths) - 1) - width
        widths[column] = max(widths[column] - max(over, 0), min(widths[column], least))
    for row in grid:
        cut = [Styled(first_line(cell.text, most), cell.style) for cell, most in zip(row, widths, strict=True)]
        first, *more = (textwrap.wrap(row[widest].text, widths[widest]) if wrap else None) or [cut[widest].text]
        yield from aligned([_with(cut, widest, first)], widths)
        blank = [Styled("")] * len(row)
        yield from aligned([_with(blank, widest, piece) for piece in more], widths)


def aligned(grid: Iterable[Sequence[Styled]], widths: Sequence[int]) -> Iterator[Line]:
    """Columns two spaces apart."""
    for row in grid:
        *cells, last = row
        padded = (Styled(cell.text.ljust(width) + GAP, cell.style) for cell, width in zip(cells, widths, strict=False))
        yield (*padded, last)


def as_styled(cell: Cell) -> Styled:
    """A cell with a style, perhaps none."""
    return cell if isinstance(cell, Styled) else Styled(cell)


def _shown(cell: Styled) -> Styled:
    return Styled(printable(completed(cell.text)), cell.style)


def _in_a_cell(cell: Styled) -> Styled:
    return Styled(cell.text.replace("\n", " "), cell.style)


def _with(row: Sequence[Styled], column: int, text: str) -> list[Styled]:
    return [*row[:column], Styled(text, row[column].style), *row[column + 1 :]]


def _widths(grid: Sequence[Sequence[Styled]]) -> list[int]:
    return [max(len(row[column].text) for row in grid) for column in range(len(grid[0]))]


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

    parts = [(cell.text, cell.style) for cell in map(_shown, map(as_styled, line))]
    return Text.assemble(*parts, no_wrap=not wrap, overflow="fold" if wrap else "ellipsis")


def rich_lines(lines: Iterable[Line]) -> "RenderableType":
    """Lines for a live view."""
    from rich.console import Group

    return Group(*map(rich_line, lines))


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


def first_line(text: str, most: int = 200) -> str:
    """The first line, shortened."""
    line = printable(text.strip()).partition("\n")[0]
    return line if len(line) <= most else line[: most - 1] + "…"
