"""`moie jobs`, `moie job ID` and `moie journal`."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import click

from moie_worker.doors.cli.desk import Desk, reads
from moie_worker.doors.cli.output import (
    PLACE_STYLES,
    Cell,
    Line,
    Styled,
    clock_time,
    echo,
    first_line,
    print_json,
    print_lines,
    print_table,
    span,
)
from moie_worker.heart.redact import values_shown
from moie_worker.plan.flow import JobView, JournalEntry
from moie_worker.plan.journal import JournalFilter, journal_fields, line, merged
from moie_worker.plan.regression import reverify_fields, reverify_lines
from moie_worker.plan.states import Place
from moie_worker.plan.status import last_message
from moie_worker.plan.status_fields import job_fields, time_or_none
from moie_worker.plan.times import ms_of

SAID = ("id", "task", "description", "status", "kept", "queue")  # elsewhere on the page
JOURNAL_OF_JOB = 20
LOOKED_AT = 20_000  # entries of the journal that are searched: all, it is cut roughly at half of that


@click.command("jobs")
@click.option("--phase", type=int, help="Only of this phase.")
@click.option(
    "--place", "--status", "places", multiple=True, type=click.Choice([str(place) for place in Place]),
    help="Only in this place; may be given again.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@reads
def jobs_command(desk: Desk, as_json: bool, phase: int | None, places: tuple[str, ...], limit: int | None) -> None:
    """List jobs in the order of the plan: where each is, how its last attempt ended, when it is due."""
    now = desk.loaded().now
    wanted = [
        view
        for view in desk.store.all_jobs()
        if phase in (None, view.definition.phase) and (not places or view.place in places)
    ]
    views = sorted(wanted, key=lambda view: view.definition.position)[:limit]
    if as_json:
        print_json([job_fields(view) for view in views])
        return
    print_table(
        ("id", "phase", "task", "status", "tries", "due", "last said"), [_row(view, now) for view in views], widest=2
    )
    if limit is not None and len(wanted) > limit:
        click.echo(f"… and {len(wanted) - limit} more", err=True)


def _row(view: JobView, now: int) -> Sequence[Cell]:
    job = view.definition
    said = "" if view.evidence.get("outcome") == "passed" else first_line(last_message(view), 30)
    return (
        job.id,
        str(job.phase),
        first_line(str(job.job["task"]), 80),
        Styled(str(view.place), PLACE_STYLES.get(view.place, "")),
        str(view.attempts),
        f"in {span(max(view.due - now, 0) / 1000)}" if view.due else "",
        said,
    )


@click.command("job")
@click.argument("job_id", metavar="ID")
@reads
def job_command(desk: Desk, as_json: bool, job_id: str) -> None:
    """Everything about one job: what the document says, where it is, its last evidence and its lines of the journal."""
    desk.loaded()
    view = _shown_view(desk.store.job(job_id))
    journal, look = merged(desk.store.read_journal(LOOKED_AT), desk.store.read_acts(LOOKED_AT)), None
    if view.definition.reverified_by:
        look = _shown_view(desk.store.job(view.definition.reverified_by))
    names = (job_id, view.definition.reverified_by or job_id)
    entries = [entry for entry in journal if entry.job in names][-JOURNAL_OF_JOB:]
    if as_json:
        stays = {"reverify": reverify_fields(view, look, journal)} if look else {}
        print_json(_document(view, entries) | stays)
        return
    print_lines(_lines(view, entries, reverify_lines(view, look, journal) if look else ()), wrap=True)


def _shown_view(view: JobView) -> JobView:
    """Without what looks like a secret in commands, environment and output."""
    definition = replace(view.definition, job=values_shown(view.definition.job))
    token = {name: view.evidence[name] for name in ("token",) if name in view.evidence}
    return replace(view, definition=definition, evidence=values_shown(view.evidence) | token)


def _document(view: JobView, entries: Sequence[JournalEntry]) -> dict[str, Any]:
    job = view.definition
    metadata = {name: job.job.get(name) for name in ("description", "priority", "estimate", "files", "risks")}
    return (
        job_fields(view)
        | {name: value for name, value in metadata.items() if value is not None}
        | {
            "queue": job.queue,
            "needs": list(job.needs),
            "losses": view.losses,
            "revision": view.revision,
            "slot": time_or_none(view.slot),
            "first_at": time_or_none(view.first_at),
            "definition": dict(job.job),
            "evidence": dict(view.evidence),
            "journal": [journal_fields(entry) for entry in entries],
        }
    )


def _lines(view: JobView, entries: Sequence[JournalEntry], stays: Iterable[tuple[str, str]] = ()) -> Iterator[Line]:
    job = view.definition
    yield (Styled(f"{job.id}  {job.job['task']}", "bold"),)
    if description := job.job.get("description"):
        yield (str(description),)
    yield ()
    yield from (_pair(name, value) for name, value in _state(view) if value)
    yield from (_pair(name, value) for name, value in stays)
    yield ()
    yield from (_pair(name, value) for name, value in _definition(job.job) if value)
    if view.evidence:
        yield ()
        yield from _evidence(view)
    if entries:
        yield ()
        yield from ((line(entry),) for entry in entries)


def _state(view: JobView) -> Iterator[tuple[str, Cell]]:
    job = view.definition
    yield "status", Styled(f"{view.place}{', cyclic' if job.cyclic else ''}", PLACE_STYLES.get(view.place, ""))
    yield "phase", str(job.phase)
    yield "queue", job.queue
    yield "needs", ", ".join(job.needs)
    yield "attempts", f"{view.attempts}" + (f", and {view.losses} lost" if view.losses else "")
    yield "due", clock_time(view.due) if view.due else ""
    yield "slot", clock_time(view.slot) if view.slot else ""


def _definition(job: Any) -> Iterator[tuple[str, str]]:
    """What the document says, the fields of people last."""
    said = {name: value for name, value in job.items() if name not in SAID}
    for name in ("verification_cmd", "action", "schedule", "timeout", "retry"):
        yield name, _shown(said.pop(name, ""))
    last = ("priority", "estimate", "files", "risks")
    for name in [*(name for name in said if name not in last), *last]:
        yield name, _shown(said.get(name, ""))


def _shown(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _evidence(view: JobView) -> Iterator[Line]:
    evidence = dict(view.evidence)
    told = last_message(view)
    yield _pair("last attempt", told if evidence.get("imported") else f"{evidence.get('outcome', '?')}: {told}")
    if at := evidence.get("at"):
        yield _pair("at", clock_time(int(at)))
    if where := " ".join(str(evidence[name]) for name in ("worker", "host") if evidence.get(name)):
        yield _pair("on", where)
    if "duration_s" in evidence:
        memory = f", {evidence['max_rss_bytes'] / 2**20:.0f} MiB" if evidence.get("max_rss_bytes") else ""
        yield _pair("took", f"{evidence['duration_s']:.3f} s, {evidence.get('cpu_s', 0):.3f} s of CPU{memory}")
    if evidence.get("output_bytes"):
        yield _pair("output", f"{evidence['output_bytes']} bytes, SHA-256 {evidence.get('sha256', '')}")
    for part in ("head", "tail"):
        for text in str(evidence.get(part, "")).splitlines():
            yield (Styled(f"  | {text}", "dim"),)


def _pair(name: str, value: Cell) -> Line:
    return Styled(f"{name:<18}", "dim"), value


@click.command("journal")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="The newest so many.")
@click.option("--job", "job_id", metavar="ID", help="Only of this job.")
@click.option(
    "--event",
    "events",
    metavar="NAME",
    multiple=True,
    help="Only of this kind: job.dead, or job for all of jobs; may be given again.",
)
@click.option("--since", metavar="TIME", help="Only what happened since: 2h ago, or 2026-01-31T12:00.")
@click.option(
    "--acts", is_flag=True, help="Only what people and the plan did, not how attempts ended; kept for longer."
)
@reads
def journal_command(
    desk: Desk, as_json: bool, limit: int, job_id: str | None, events: tuple[str, ...], since: str | None, acts: bool
) -> None:
    """What happened, by whom and why; the newest last."""
    wanted = JournalFilter(job_id, events, ms_of(desk.since(since)) if since else None)
    depth = limit if wanted == JournalFilter() else LOOKED_AT
    read = desk.store.read_acts(depth)
    if not acts:
        read = merged(desk.store.read_journal(depth), read)
    entries = [entry for entry in read if wanted.means(entry)][-limit:]
    if as_json:
        print_json([journal_fields(entry) for entry in entries])
        return
    for entry in entries:
        echo(line(entry))
