"""`moie status`, once or live."""

import time

import click

from moie_worker.doors.cli.desk import Desk, reads
from moie_worker.doors.cli.output import (
    Line,
    Styled,
    console,
    is_terminal,
    print_json,
    print_lines,
    rich_lines,
)
from moie_worker.doors.cli.screen import status_screen
from moie_worker.errors import InputError, MoieError
from moie_worker.plan.receipt_state import ReceiptState, receipt_state
from moie_worker.plan.signing import ALERT
from moie_worker.plan.states import Place
from moie_worker.plan.status import Crew, CyclicStanding, Status, cyclic_standing, phase_standings
from moie_worker.plan.status_fields import status_document

SHOWN = 50  # waiting and cyclic jobs that a screen names
EVERY_S = 1.0


@click.command("status")
@click.option("--watch", is_flag=True, help="Stay and show changes as they happen; Ctrl-C leaves.")
@reads
def status_command(desk: Desk, as_json: bool, watch: bool) -> None:
    """Where the plan stands: phases, what is due and running, what needs you, cyclic jobs, workers, the heartbeat."""
    if watch:
        _watch(desk, as_json)
    elif as_json:
        print_json(status_document(read_status(desk)))
    else:
        print_lines(status_screen(read_status(desk)))


def read_status(desk: Desk) -> Status:
    """Everything a screen shows; reads only. Raises NotFoundError when nothing is loaded."""
    overview = desk.loaded()
    return Status(
        overview=overview,
        meta=desk.store.meta(),
        phases=phase_standings(overview),
        crew=read_crew(desk),
        waiting=desk.store.in_places([Place.WAITING], SHOWN),
        cyclic=read_cyclic(desk, overview.now, SHOWN),
        regressed=desk.store.regressions(SHOWN) if overview.regressed else (),
        receipts=read_receipts(desk),
        refused=read_refused(desk),
    )


def read_receipts(desk: Desk) -> ReceiptState:
    """The newest seal of the plan, as the keys of this machine see it."""
    store, kept = desk.store, desk.store.receipts_kept()
    try:
        return receipt_state(store.last_seal(), kept, desk.plan, desk.system.receipt_keys().verify)
    except InputError as error:  # of a key in a file
        return ReceiptState(kept, problem=str(error))


def read_refused(desk: Desk) -> str:
    """What the alert says that stands while workers would not run something of the plan; empty without one."""
    return desk.system.alerts.standing().get(f"{ALERT}{desk.plan}", "")


def read_crew(desk: Desk) -> Crew:
    """Who works, and who went without a word."""
    workers, workers_gone = desk.system.fleet.workers()
    beats, beats_gone = desk.system.fleet.beats()
    return Crew(workers, workers_gone, beats, beats_gone)


def read_cyclic(desk: Desk, now: int, most: int | None = None) -> list[CyclicStanding]:
    """The cyclic jobs with their health, by id."""
    runs, store = desk.system.run_log(), desk.store
    return [cyclic_standing(store.job(job), runs.history(job), now) for job in store.cyclic()[:most]]


def _watch(desk: Desk, as_json: bool) -> None:
    if as_json or not is_terminal():
        raise InputError("--watch is for a terminal; a script asks `moie status --json` as often as it likes")
    desk.loaded()
    from rich.live import Live

    with Live(rich_lines(_look(desk)), console=console(), auto_refresh=False, screen=True) as live:
        try:
            while True:
                time.sleep(EVERY_S)
                live.update(rich_lines(_look(desk)), refresh=True)
        except KeyboardInterrupt:
            return


def _look(desk: Desk) -> list[Line]:
    """A screen, whatever comes: a Redis that is away may come back."""
    try:
        return status_screen(read_status(desk))
    except MoieError as error:
        return [(Styled(str(error), "bold red"),), (Styled("trying again every second; Ctrl-C leaves", "dim"),)]
