"""`moie export` and `moie migrate`."""

import json
from pathlib import Path
from typing import Any

import click
import yaml

from moie_worker.adapters.clock import SystemClock
from moie_worker.doors.cli.desk import Desk, json_option, plan_option
from moie_worker.doors.cli.files import read_bytes, read_document, shown, write_document
from moie_worker.doors.cli.output import print_json
from moie_worker.errors import InputError, Problem
from moie_worker.plan.current import current_plan
from moie_worker.plan.documents import parse
from moie_worker.plan.older import to_v2
from moie_worker.plan.report import Notes
from moie_worker.plan.versions import Resolved, resolve, v1_to_v2

Made = tuple[dict[str, Any], list[Problem]]


@click.command("export")
@click.argument("file", default="-")
@click.option("--format", "form", type=click.Choice(["v3", "v2"]), default="v3", show_default=True)
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@plan_option
def export_command(desk: Desk, file: str, form: str, force: bool) -> None:
    """Write the loaded plan as a document, with where its jobs stand, to FILE (default: standard output).

    YAML for a FILE that ends in .yaml or .yml, else JSON. What version 2 cannot hold is said on standard error.
    """
    overview = desk.loaded()
    plan = current_plan(desk.store.meta(), desk.store.all_jobs(), overview.flags)
    exported = to_v2(plan) if form == "v2" else None
    _deliver(exported.document if exported else plan.to_document(), file, force)
    _say(list(exported.notes) if exported else [])


@click.command("migrate")
@click.argument("file")
@click.option("--to", "version", type=click.Choice(["2", "3"]), required=True, help="The version to write.")
@click.option("--output", metavar="FILE", help="Where to. [default: beside the old one, as NAME.vN.json or .yaml]")
@click.option("--dry-run", is_flag=True, help="Print the document and what changes; write nothing.")
@click.option("--force", is_flag=True, help="Overwrite the output.")
@json_option
def migrate_command(file: str, version: str, output: str | None, dry_run: bool, force: bool, as_json: bool) -> None:
    """Write the plan document FILE in another version of the format, step by step. The old file stays as it is."""
    found, (document, notes) = _migrated(file, int(version))
    target = output or _beside(file, version)
    where = None if dry_run or (as_json and target == "-") else target  # printed once, as a part of the JSON
    if where is not None:
        _deliver(document, where, force)
    if as_json:
        print_json({"from": found.version, "to": int(version), "file": where, "notes": notes, "document": document})
        return
    click.echo(f"version {found.version}: {found.reason}", err=True)
    _say(notes)
    if dry_run:
        click.echo(_text(document, target))
    elif target != "-":
        click.echo(f"wrote {target}; {shown(file)} is as it was", err=True)


def _migrated(file: str, version: int) -> tuple[Resolved, Made]:
    """The document in the wanted version. Raises InputError; every problem of the old one is said."""
    data = read_bytes(file)
    read = read_document(file, data)
    document = parse(data, shown(file))
    found = resolve(document.data)
    if found.version == version:
        raise InputError(f"{shown(file)} is of version {version} already ({found.reason})")
    if version == 3:
        return found, (read.plan.to_document(), list(read.report.notes))
    if found.version == 3:
        exported = to_v2(read.plan)
        return found, (exported.document, list(exported.notes))
    notes = Notes()
    return found, (v1_to_v2(document.data, SystemClock().now(), notes), notes.notes)


def _beside(file: str, version: str) -> str:
    path = Path(file)
    return "-" if file == "-" else str(path.with_name(f"{path.stem}.v{version}{path.suffix or '.json'}"))


def _deliver(document: dict[str, Any], file: str, force: bool) -> None:
    text = _text(document, file)
    if file == "-":
        click.echo(text)
    else:
        write_document(Path(file), text + "\n", force=force)


def _text(document: dict[str, Any], file: str) -> str:
    if Path(file).suffix in (".yaml", ".yml"):
        return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110).rstrip("\n")
    return json.dumps(document, indent=2, ensure_ascii=False)


def _say(notes: list[Problem]) -> None:
    for note in notes:
        click.echo(f"  note: {note}", err=True)
