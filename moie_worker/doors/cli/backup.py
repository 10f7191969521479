"""`moie backup` and `moie rollback`: snapshots of a plan, and back to one of them."""

from collections.abc import Sequence
from typing import Any

import click

from moie_worker.doors.cli.desk import Desk, acts, json_option, reads
from moie_worker.doors.cli.files import read_bytes
from moie_worker.doors.cli.output import clock_time, first_line, print_json, print_table, progress_bar
from moie_worker.doors.cli.plans import BIG, NAMED, finish_load
from moie_worker.errors import InputError
from moie_worker.heart.snapshots import Keeper
from moie_worker.heart.trust import objection
from moie_worker.plan.definition import Definition
from moie_worker.plan.fields import format_time
from moie_worker.plan.model import Job
from moie_worker.plan.snapshot import LARGEST, Kind, Manifest, Saved, pack, under, unpack
from moie_worker.plan.snapshot_diff import Change, changes_document, restored_diff
from moie_worker.plan.times import moment
from moie_worker.ports import Verifier


@click.group("backup")
def backup_command() -> None:
    """Snapshots of a plan: its jobs, where they stand, evidence, approvals and dead letters.

    One is taken before each heartbeat that has something to do and before each promotion; the last 20 of each kind are
    kept in Redis and in `MOIE_HOME/snapshots`. Not in them: the journal, receipts, and what actions remember.
    """


@backup_command.command("create")
@click.option("--dry-run", is_flag=True, help="Say what it would hold, and keep nothing.")
@json_option
@acts
def create_command(desk: Desk, dry_run: bool, as_json: bool) -> None:
    """Take a snapshot now. Exit code 1 when it could not be kept in one of the two places."""
    desk.loaded()
    keeper = desk.system.keeper()
    if dry_run:
        _say_taken(_peek(keeper), as_json=as_json)
        return
    keeper.collect()
    kept = keeper.take(Kind.MANUAL)
    _say_taken(kept.manifest, as_json=as_json)
    for problem in kept.problems:
        click.echo(f"warning: {problem}", err=True)
    if kept.problems:
        raise click.exceptions.Exit(1)


@backup_command.command("list")
@reads
def list_command(desk: Desk, as_json: bool) -> None:
    """The snapshots of the plan, the oldest first, and where each is kept."""
    found = desk.system.keeper().index()
    if as_json:
        print_json([_fields(manifest) | {"kept": kept} for manifest, kept in found])
        return
    rows = [
        (each.name, clock_time(each.at), f"{each.completed}/{each.jobs}", each.digest[:12], ", ".join(kept))
        for each, kept in found
    ]
    print_table(("snapshot", "taken", "done", "digest", "kept in"), rows, widest=4)


@backup_command.command("restore")
@click.argument("name", required=False)
@click.option("--from", "file", metavar="FILE", help="A snapshot file from elsewhere.")
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
@json_option
@acts
def restore_command(desk: Desk, name: str | None, file: str | None, dry_run: bool, as_json: bool) -> None:
    """Bring back the snapshot NAME; where nothing is loaded (Redis came back empty), without a name the newest one.

    What is loaded is saved before it is replaced. What ran is stopped and due again; slots that have passed since are
    not run again; completed jobs stay completed.
    """
    overview = desk.store.overview()
    if name and file:
        raise click.UsageError("give a name or --from FILE, not both")
    if overview.flags.revision and not (name or file):
        raise click.UsageError("a plan is loaded: name the snapshot that replaces it; `moie backup list` shows them")
    keeper = desk.system.keeper()
    opened = unpack(read_bytes(file, LARGEST), file) if file else keeper.open(name)
    _bring_back(desk, keeper, *opened, dry_run=dry_run, as_json=as_json)


@click.command("rollback")
@click.option("--to", "name", metavar="NAME", required=True, help="The snapshot; `moie backup list` shows them.")
@click.option("--dry-run", is_flag=True, help="Print what would change, and change nothing.")
@json_option
@acts
def rollback_command(desk: Desk, name: str, dry_run: bool, as_json: bool) -> None:
    """Bring the loaded plan back to where it stood, as a new revision. What it was is saved before."""
    desk.loaded()
    keeper = desk.system.keeper()
    _bring_back(desk, keeper, *keeper.open(name), dry_run=dry_run, as_json=as_json)


def _bring_back(desk: Desk, keeper: Keeper, manifest: Manifest, saved: Saved, *, dry_run: bool, as_json: bool) -> None:
    overview = desk.store.overview()
    if overview.flags.loading and not dry_run:
        finish_load(desk)
    changes = restored_diff(desk.store.all_jobs(), saved)
    revision = overview.flags.revision
    if not dry_run:
        revision = _restore(desk, keeper, under(saved, desk.plan), revision)
    refused = _refused(desk, saved)  # behind the restore, which must not wait for it
    if as_json:
        document = {"plan": desk.plan, "snapshot": manifest.name, "revision": revision, "dry_run": dry_run}
        told = {"digest": manifest.digest, "changes": changes_document(changes), "refused": len(refused)}
        print_json(document | told)
        return
    _say_changes(changes)
    done = f"{desk.plan} stands as in {manifest.name}, revision {revision}"
    click.echo("nothing was changed (--dry-run)" if dry_run else done)
    if refused:
        click.echo(f"  warning: workers of this machine refuse {len(refused)} of its jobs: {refused[0]}. "
                   "Load the plan again with `--sign-key`", err=True)  # fmt: skip


def _refused(desk: Desk, saved: Saved) -> list[str]:
    """Why jobs of a snapshot would not be executed here: it has the signatures of its time, and of its plan's name."""
    authors = desk.system.authors
    if authors is None:
        return []
    definitions = (Definition.from_json(job.definition) for job in saved.jobs)
    return [why for each in definitions if (why := _objection(desk.plan, each, authors))]


def _objection(plan: str, definition: Definition, authors: Verifier) -> str:
    try:
        return objection(plan, definition, Job.model_validate(definition.job), authors)
    except ValueError as error:  # of another release
        return f"job {definition.id} cannot be read: {first_line(str(error))}"


def _restore(desk: Desk, keeper: Keeper, saved: Saved, base: int) -> int:
    desk.system.fleet.add_plan(desk.plan)
    with progress_bar("staging", len(saved.lines), BIG) as advance:
        revision = keeper.restore(saved, base, desk.who, desk.why, advance)
    desk.system.fleet.ring(desk.plan)
    finish_load(desk)
    return revision


def _peek(keeper: Keeper) -> Manifest:
    capture = keeper.store.capture()
    saved = keeper.store.saved(capture)
    keeper.store.drop(capture)
    if saved is None:
        raise InputError("the plan is being loaded just now; try again")
    return pack(saved, Kind.MANUAL)[0]


def _say_taken(manifest: Manifest, *, as_json: bool) -> None:
    if as_json:
        print_json(_fields(manifest))
    else:
        click.echo(f"{manifest.name}  {manifest.completed}/{manifest.jobs} completed, digest {manifest.digest[:12]}")


def _say_changes(changes: Sequence[Change]) -> None:
    """One line for each way that jobs go."""
    for change in changes:
        more = f" … and {len(change.jobs) - NAMED} more" if len(change.jobs) > NAMED else ""
        click.echo(f"  {change.what:<24} {len(change.jobs):>6}  {', '.join(change.jobs[:NAMED])}{more}")
    if not changes:
        click.echo("  every job stands as it stood")


def _fields(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "plan": manifest.plan,
        "kind": manifest.kind,
        "revision": manifest.revision,
        "taken_at": format_time(moment(manifest.at)),
        "jobs": manifest.jobs,
        "completed": manifest.completed,
        "digest": manifest.digest,
        "bytes": manifest.size,
    }
