"""`moie receipts`: what was done, and the proof of it."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import click

from moie_worker.adapters.keys import KeyRing, Role, parse_keys
from moie_worker.doors.cli.desk import Desk, plan_option, reads
from moie_worker.doors.cli.files import read_bytes, shown, write_lines
from moie_worker.doors.cli.output import Styled, print_json, print_table
from moie_worker.errors import InputError
from moie_worker.heart.receipt_export import Listed, export, newest
from moie_worker.plan.proof import Verdict, verify
from moie_worker.ports import Verifier

HEADERS = ("number", "job", "revision", "exit", "ended", "worker", "signer", "")
MAX_LINE = 65_536  # bytes; a receipt has about eight hundred


@click.group("receipts")
def receipts_command() -> None:
    """Receipts: one for each job that was verified, signed by the worker that saw it and sealed into a chain."""


@receipts_command.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many.")
@reads
def list_command(desk: Desk, as_json: bool, limit: int) -> None:
    """List the newest receipts, oldest first. Nothing is verified."""
    found = newest(desk.store, limit)
    if as_json:
        print_json([_fields(listed) for listed in found])
    elif found:
        print_table(HEADERS, [_row(listed) for listed in found], widest=HEADERS.index("job"))
    else:
        click.echo("no receipts: a job that is verified leaves one")


def _fields(listed: Listed) -> dict[str, Any]:
    link = listed.link
    about = {"number": listed.number, "sealed": listed.sealed}
    if link is None:
        return about | {"receipt": None}
    receipt = {name: getattr(link.receipt, name) for name in link.receipt.__slots__}
    return about | {"id": link.id, "signer": link.signer, "receipt": receipt}


def _row(listed: Listed) -> tuple[str | Styled, ...]:
    link = listed.link
    if link is None:
        return str(listed.number), Styled("not written by a worker", "red"), "", "", "", "", "", ""
    receipt, sealed = link.receipt, "" if listed.sealed else Styled("not sealed yet", "yellow")
    exit_code = "–" if receipt.exit_code is None else str(receipt.exit_code)
    ended = receipt.ended_at[:19].replace("T", " ")
    number = str(listed.number)
    return number, receipt.job, str(receipt.revision), exit_code, ended, receipt.worker, link.signer, sealed


@receipts_command.command("export")
@click.argument("file", default="-")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@plan_option
def export_command(desk: Desk, file: str, force: bool) -> None:
    """Write all sealed receipts to FILE (default: standard output) as JSON lines that end with the newest seal."""
    lines = export(desk.store)
    if file == "-":
        for line in lines:
            click.echo(line)
        return
    write_lines(Path(file), lines, force=force)
    click.echo(f"wrote {file}; `moie receipts verify --from {file}` looks whether it is whole", err=True)


@receipts_command.command("verify")
@click.option("--from", "file", metavar="FILE", help="An export (`-`: standard input); Redis is not asked then.")
@click.option("--head", metavar="DIGEST", default="", help="A head that was noted elsewhere must be in the chain.")
@click.option("--keys", metavar="FILE", help="Public keys of workers; only theirs count. [default: those in MOIE_KEYS]")
@reads
def verify_command(desk: Desk, as_json: bool, file: str | None, head: str, keys: str | None) -> None:
    """Look whether the chain is whole and every receipt signed by a trusted worker. Exit code 1: it is not.

    Found are a changed byte, a receipt that is missing, moved, doubled or forged, and a beginning or an end that was
    cut off. An old export in place of a new one is told from it by --head alone.
    """
    ring = _ring(desk, keys)
    with _lines(desk, file) as lines:
        verdict = verify(lines, ring.verify, head)
    if as_json:
        print_json(_verdict_fields(verdict))
    else:
        for line in _said(verdict):
            click.echo(line)
    if verdict.problems:
        raise click.exceptions.Exit(1)


def _ring(desk: Desk, keys: str | None) -> Verifier:
    if keys is None:
        return desk.system.receipt_keys()
    found = parse_keys(read_bytes(keys).decode(errors="replace"), shown(keys))
    if not found:
        raise InputError(f"{shown(keys)}: holds no public key; `moie keys show NAME --role worker` prints one")
    if others := [key.name for key in found if key.role is not Role.WORKER]:
        raise InputError(f"{shown(keys)}: {others[0]} is of an author, whose word proves no work; give keys of workers")
    return KeyRing(found)


@contextmanager
def _lines(desk: Desk, file: str | None) -> Iterator[Iterable[bytes]]:
    if file is None:
        yield (f"{line}\n".encode() for line in export(desk.store))
    elif file == "-":
        yield _limited(sys.stdin.buffer)
    else:
        try:
            with Path(file).open("rb") as opened:
                yield _limited(opened)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise InputError(f"{file}: cannot be read: {reason}. Give an export of `moie receipts export`") from None


def _limited(file: BinaryIO) -> Iterator[bytes]:
    """Its lines; what is longer than a line of ours comes in pieces, none of which is one."""
    return iter(lambda: file.readline(MAX_LINE), b"")


def _verdict_fields(verdict: Verdict) -> dict[str, Any]:
    fields = {name: getattr(verdict, name) for name in verdict.__slots__}
    return {"verified": not verdict.problems} | fields


def _said(verdict: Verdict) -> Iterator[str]:
    for problem in verdict.problems:
        yield f"NOT PROVEN  {problem}"
    many = f"{verdict.receipts} receipts" if verdict.receipts != 1 else "1 receipt"
    span = f", {verdict.first} to {verdict.last}" if verdict.receipts > 1 else ""
    yield f"{'NOT VERIFIED' if verdict.problems else 'verified'}: {many} of plan {verdict.plan or '?'}{span}"
    if verdict.first > 1:
        yield f"begins at receipt {verdict.first}, behind {verdict.before}; earlier ones were dropped"
    if verdict.sealed_at:
        yield f"sealed {verdict.sealed_at}, head {verdict.head}"
    if verdict.signers:
        yield f"signed by {', '.join(verdict.signers)}"
