"""`moie validate` and `moie load`."""

from collections.abc import Mapping
from typing import Any

import click

from moie_worker.adapters.keys import KeySigner
from moie_worker.doors.cli.acting import confirm
from moie_worker.doors.cli.desk import Desk, acts, json_option
from moie_worker.doors.cli.files import read_document
from moie_worker.doors.cli.output import print_json, progress_bar
from moie_worker.doors.cli.policies import say_policies
from moie_worker.errors import DocumentError, MoieError, UnreachableError
from moie_worker.heart.trust import signed
from moie_worker.plan.compile import compile_plan
from moie_worker.plan.definition import Compiled, Definition, canonical
from moie_worker.plan.diff import Diff, definitions, diff, diff_document
from moie_worker.plan.flow import Overview
from moie_worker.plan.model import Plan
from moie_worker.plan.presence import Worker
from moie_worker.plan.reading import Imported
from moie_worker.plan.report import ImportReport
from moie_worker.plan.snapshot import Kind
from moie_worker.plan.texts import plural
from moie_worker.plan.times import ms_of
from moie_worker.wiring import System

BIG = 2000  # jobs: loading more shows a bar
NEWEST = 3  # the version of the format that this release writes
NAMED = 8  # ids that a line of the diff names


@click.command("validate")
@click.argument("file")
@json_option
def validate_command(file: str, as_json: bool) -> None:
    """Say all that is wrong with the plan document FILE (`-`: standard input). Nothing is loaded or changed.

    Prints which version it is and why, what older versions lack and was filled in, and warnings. Exit code 2 when it
    cannot be accepted; `--json` says then what is wrong, too.
    """
    try:
        found = read_document(file)
    except DocumentError as error:
        if not as_json:
            raise
        print_json({"valid": False, "problems": error.problems})
        raise click.exceptions.Exit(error.exit_code) from error
    jobs = sum(1 for _ in found.plan.jobs())
    if as_json:
        print_json({"valid": True} | _report_document(found.report) | {"phases": len(found.plan.phases), "jobs": jobs})
        return
    say_report(found.report)
    counted = f"{plural(len(found.plan.phases), 'phase')}, {plural(jobs, 'job')}"
    click.echo(f"{file}: a good plan of version {found.report.version}: {counted}")


@click.command("load")
@click.argument("file")
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask when more than half of the loaded jobs would go.")
@click.option("--sign-key", metavar="NAME", help="The author's key to sign with. [default: MOIE_SIGN_KEY]")
@json_option
@acts
def load_command(desk: Desk, file: str, dry_run: bool, yes: bool, sign_key: str | None, as_json: bool) -> None:
    """Load the plan document FILE (`-`: standard input), or a new revision of it.

    Unchanged jobs keep their state, removed ones go, jobs whose command, action, time limit or environment changed are
    verified again. If this command dies half way, beat brings it to its end. Where jobs go, a snapshot of the kind
    `replaced` is taken first: `moie rollback` brings them back.

    With a key every job is signed; workers that trust an author execute nothing else.
    """
    author = desk.system.author(sign_key)
    found = read_document(file)
    if not as_json:
        say_report(found.report)
        say_policies(desk.system, found.plan)
    compiled = compiled_for(desk.system, found, author)
    result, revision = load(desk, compiled, dry_run=dry_run, yes=yes)
    if as_json:
        key = {"signed_by": author.key_id if author else None}
        print_json({"plan": desk.plan, "revision": revision, "dry_run": dry_run} | key | diff_document(result))
        return
    say_diff(result)
    click.echo(_closing(desk.plan, found.plan, result, revision, dry_run))
    say_trust(desk.system, author)


def compiled_for(system: System, found: Imported, author: KeySigner | None) -> Compiled:
    """The plan as it is loaded under the name of the settings, signed where there is an author.

    Documents of older versions come from systems that ran their jobs; what such a one calls completed is not run again.
    """
    compiled = compile_plan(found.plan, ms_of(system.clock.now()), imported=found.report.version < NEWEST)
    if author is None:
        return compiled
    return signed(system.settings.plan, compiled, (job for _, job in found.plan.jobs()), author)


def say_trust(system: System, author: KeySigner | None) -> None:
    """Who signed; a warning where workers will refuse what was loaded: those of this machine, or those that live."""
    if author is not None:
        click.echo(f"signed by {author.public.name} ({author.key_id})")
    trusted = system.trusted_authors
    if system.signatures_required and (author is None or author.public not in trusted):
        names = ", ".join(f"{key.name} ({key.id})" for key in trusted) or "nobody (no author is trusted)"
        click.echo(f"  warning: workers of this machine refuse it: they execute what {names} signed only", err=True)
    elif refusing := [worker.name for worker in system.fleet.workers()[0] if _refuses(worker, author)]:
        names = ", ".join(refusing)
        click.echo(f"  warning: {names}: refuses it, as none of the authors that it trusts signed it", err=True)


def _refuses(worker: Worker, author: KeySigner | None) -> bool:
    return worker.authors is not None and (author is None or author.key_id not in worker.authors)


def load(desk: Desk, compiled: Compiled, *, dry_run: bool, yes: bool) -> tuple[Diff, int]:
    """Load it to its end; returns what changed and the revision.

    Raises RefusedError when somebody else loads too, and when too much would go and nobody says that it is meant.
    """
    before = desk.store.overview()
    if not dry_run:
        before = _ready(desk, before)
    old = definitions(desk.store.all_jobs())
    result = diff(old, compiled)
    if dry_run:
        return result, before.flags.revision
    if _most_go(result, old):
        confirm(f"This removes {len(result.removed)} of the {len(old)} jobs of {desk.plan}. Load it?", yes=yes)
    _save(desk, result)
    desk.system.fleet.add_plan(desk.plan)
    with progress_bar("staging", len(compiled.jobs), BIG) as advance:
        revision = desk.store.load(compiled, before.flags.revision, desk.who, desk.why, advance)
    desk.system.fleet.ring(desk.plan)
    finish_load(desk)
    return result, revision


def begin_load(desk: Desk, compiled: Compiled) -> str:
    """Load a plan if it differs from what is loaded, and let beat bring it to its end; says what it did.

    A plan of another project stays, and so does one of which most jobs would go: starting a system is no order to drop
    the work that is in it.
    """
    before, meta = desk.store.overview(), desk.store.meta()
    old = definitions(desk.store.all_jobs())
    result = diff(old, compiled)
    if before.flags.revision:
        if _project(meta) != _project(compiled.meta) or _most_go(result, old):
            return f"{desk.plan} holds {_project(meta)} and goes on with it; `moie load FILE` replaces it"
        if result.empty and canonical(meta) == canonical(compiled.meta):
            return f"{desk.plan} is as it was, revision {before.flags.revision}"
    before = _ready(desk, before)
    _save(desk, result)
    desk.system.fleet.add_plan(desk.plan)
    revision = desk.store.load(compiled, before.flags.revision, desk.who, desk.why)
    desk.system.fleet.ring(desk.plan)
    return f"{desk.plan} loaded, revision {revision}: {plural(sum(not job.verifies for job in compiled.jobs), 'job')}"


def _project(meta: Mapping[str, Any]) -> str:
    return (meta.get("meta") or {}).get("project") or "a plan without a project"


def _most_go(result: Diff, old: Mapping[str, Definition]) -> bool:
    """Whether it looks like another plan rather than a new revision."""
    return len(result.removed) * 2 > len(old)


def _save(desk: Desk, result: Diff) -> None:
    """What goes with a load comes back with `moie rollback`. Raises MoieError when no place keeps it."""
    if result.removed:
        for problem in desk.system.keeper().take(Kind.REPLACED).problems:
            click.echo(f"  warning: {problem}", err=True)


def _ready(desk: Desk, overview: Overview) -> Overview:
    """What an earlier load began comes first, and what promotions left; neither changes anything of the revision."""
    if overview.flags.loading:
        finish_load(desk)
    try:
        problems = [problem for kept in desk.system.keeper().collect() for problem in kept.problems]
    except UnreachableError:
        raise
    except MoieError as error:
        problems = [f"the snapshot before a promotion is lost with this load: {error}"]
    for problem in problems:
        click.echo(f"  warning: {problem}", err=True)
    return overview


def finish_load(desk: Desk) -> None:
    """Bring what is committed to its end; whoever dies in it is followed by a beat."""
    left = desk.store.apply()
    with progress_bar("loading", left or 0, BIG) as advance:
        while left:
            now_left = desk.store.apply() or 0
            advance(max(left - now_left, 0))
            left = now_left
    desk.system.fleet.ring(desk.plan)


def say_report(report: ImportReport) -> None:
    """How a document was understood, on standard error; of the newest version only what is odd about it."""
    if report.version < NEWEST:
        click.echo(f"version {report.version}: {report.reason}", err=True)
    for note in report.notes:
        click.echo(f"  note: {note}", err=True)
    for warning in report.warnings:
        click.echo(f"  warning: {warning}", err=True)


def say_diff(result: Diff) -> None:
    """One line for each kind of change."""
    for name, jobs in result.lists().items():
        if jobs:
            more = f" … and {len(jobs) - NAMED} more" if len(jobs) > NAMED else ""
            click.echo(f"  {name:<10} {len(jobs):>6}  {', '.join(jobs[:NAMED])}{more}")
    click.echo(f"  {'unchanged':<10} {result.unchanged:>6}")


def _closing(name: str, plan: Plan, result: Diff, revision: int, dry_run: bool) -> str:
    if dry_run:
        return "nothing was changed (--dry-run)"
    title = f" ({plan.meta.project})" if plan.meta.project else ""
    looked = "" if not result.empty or revision == 1 else "; no job changed"
    return f"loaded as {name!r}{title}, revision {revision}{looked}"


def _report_document(report: ImportReport) -> dict[str, object]:
    return {
        "version": report.version,
        "reason": report.reason,
        "notes": list(report.notes),
        "warnings": list(report.warnings),
    }
