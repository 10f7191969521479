"""What was measured, as tables; and whether it is what this project asks of itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.idle import JOBS, Part
from bench.sizes import BEATS, Size
from bench.snapshots import ASKED, ROUNDS, Taken
from bench.speed import OURS, Speed

SHOWN = 6  # commands of Redis
WORDS = "most of them"  # head of a column without figures


@dataclass(frozen=True, slots=True)
class Target:
    """A figure with its limit."""

    name: str
    value: float
    limit: float
    least: bool  # the limit is the least, else the most

    @property
    def met(self) -> bool:
        """Whether the limit is kept."""
        return self.value >= self.limit if self.least else self.value <= self.limit


def speed(rows: Sequence[Speed]) -> str:
    """Checks a second, and Redis commands a check."""
    rates = [_rate(row) for row in rows]
    asked = [
        (row.name, f"{sum(row.commands.values()):.2f}", f"{row.commands.get('evalsha', 0):.2f}", _most(row.commands))
        for row in rows
        if row.commands
    ]
    return "\n\n".join(
        (
            _table(("checks a second", "median", "worst", "best", "x xargs", "x bare", "CPU ms a check"), rates),
            _table(("Redis commands a check", "all", "scripts", WORDS), asked),
        )
    )


def _rate(row: Speed) -> tuple[str, ...]:
    rates = (row.median, min(row.a_second), max(row.a_second))
    return (
        row.name,
        *(f"{rate:.0f}" for rate in rates),
        f"{row.to_xargs:.2f}",
        f"{row.to_bare:.2f}",
        f"{row.cpu_ms:.2f}",
    )


def _most(commands: dict[str, float]) -> str:
    return ", ".join(f"{name} {calls:.2f}" for name, calls in list(commands.items())[:SHOWN])


def sizes(rows: Sequence[Size]) -> str:
    """Loads and heartbeats by the size of the plan."""
    heads = ("jobs", "moie load", "jobs a second", "Redis bytes a job", f"heartbeat (called, median of {BEATS})")
    return _table(heads, [_size(row) for row in rows])


def _size(row: Size) -> tuple[str, ...]:
    rate, used = row.jobs / row.load_s, row.redis_bytes
    return (f"{row.jobs}", f"{row.load_s:.1f} s", f"{rate:.0f}", f"{used:.0f}", f"{row.beat_ms:.2f} ms")


def snapshots(rows: Sequence[Taken]) -> str:
    """Snapshots by the size of the plan."""
    heads = ("jobs", f"snapshot (median of {ROUNDS})", "our CPU", "Redis CPU", "Redis held", "file")
    return _table(heads, [_taken(row) for row in rows])


def _taken(row: Taken) -> tuple[str, ...]:
    times = (row.ms, row.our_cpu_ms, row.redis_cpu_ms, row.held_ms)
    return (f"{row.jobs}", *(f"{each:.1f} ms" for each in times), f"{row.file_bytes / 1000:.0f} kB")


def idle(rows: Sequence[Part]) -> str:
    """CPU and memory of each part."""
    heads = (f"idle with {JOBS} cyclic jobs of 10 min", "CPU of a core", "PSS", "RSS")
    return _table(
        heads, [(row.name, f"{row.cpu_share:.2%}", f"{row.pss_mb:.0f} MB", f"{row.rss_mb:.0f} MB") for row in rows]
    )


def targets(found: dict[str, list[Any]]) -> list[Target]:
    """The targets of the parts that were measured."""
    judged: list[Target] = []
    for row in found.get("speed", []):
        if row.name == OURS:
            judged.append(Target("checks a second, x xargs", row.to_xargs, 0.6, least=True))
            judged.append(Target("checks a second, x bare Celery", row.to_bare, 2.0, least=True))
    if by_size := sorted(found.get("sizes", []), key=lambda row: row.jobs):
        least, most = by_size[0], by_size[-1]
        ratio = most.beat_ms / least.beat_ms
        judged.append(Target(f"heartbeat with {most.jobs} jobs, x {least.jobs} jobs", ratio, 1.5, least=False))
    for row in found.get("snapshots", []):
        if row.jobs == ASKED:
            judged.append(Target(f"snapshot of {row.jobs} jobs, ms", row.ms, 100, least=False))
            cpu = row.our_cpu_ms + row.redis_cpu_ms
            judged.append(Target(f"snapshot of {row.jobs} jobs, CPU ms, Redis included", cpu, 60, least=False))
    if parts := found.get("idle"):
        share = sum(part.cpu_share for part in parts if part.name in ("worker", "beat"))
        judged.append(Target("idle worker and beat, % of a core", 100 * share, 1.0, least=False))
    return judged


def verdicts(judged: Iterable[Target]) -> str:
    """Each target with what was reached."""
    rows = [
        (
            each.name,
            f"{each.value:.2f}",
            f"{'≥' if each.least else '≤'} {each.limit:g}",
            "met" if each.met else "MISSED",
        )
        for each in judged
    ]
    return _table(("target", "reached", "asked", ""), rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need, figures to the right; the first column and one of words to the left."""
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    words = {0} | {column for column, head in enumerate(heads) if head == WORDS}
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
