"""`moie health`"""

from collections.abc import Iterator, Sequence

import click

from moie_worker.alerts.unsealed import unsealed
from moie_worker.doors.cli.desk import Desk, reads
from moie_worker.doors.cli.output import HEALTH_STYLES, Line, Styled, print_json, print_lines
from moie_worker.doors.cli.status import read_crew, read_cyclic, read_refused
from moie_worker.plan.checkup import Checkup, checkup, checkup_document
from moie_worker.plan.health import status_line
from moie_worker.plan.states import Health

EXIT_CODES = {Health.HEALTHY: 0, Health.UNHEALTHY: 1, Health.STALE: 1, Health.UNKNOWN: 2}


@click.command("health")
@reads
def health_command(desk: Desk, as_json: bool) -> None:
    """Whether all is well: heartbeat, workers, beats, queues, what was given up or refused, cyclic jobs, watched tasks.

    Exit code 0 healthy, 1 not, 2 unknown (no heartbeat yet, or nothing to judge), 3 Redis out of reach.
    """
    found = read_checkup(desk)
    if as_json:
        print_json(checkup_document(found))
    else:
        print_lines(_lines(found))
    raise click.exceptions.Exit(EXIT_CODES[found.health])


def read_checkup(desk: Desk) -> Checkup:
    """Everything that health is about; reads only."""
    overview, log, crew = desk.store.overview(), desk.system.run_log(), read_crew(desk)
    limit = desk.system.settings.pace.announced(crew.beats).limit
    return checkup(
        overview,
        limit,
        crew,
        read_cyclic(desk, overview.now),
        [(watched, log.history(watched.name)) for watched in log.watched()],
        unsealed(desk.store, overview.now, limit),
        read_refused(desk),
    )


def _lines(found: Checkup) -> Iterator[Line]:
    yield "moie: ", Styled(str(found.health), f"bold {HEALTH_STYLES[found.health]}")
    yield _line("heartbeat", found.heartbeat, found.heartbeat_message)
    yield _presence("workers", len(found.crew.workers), found.crew.workers_gone)
    yield _presence("beats", len(found.crew.beats), found.crew.beats_gone)
    for what, message in found.wrong_with_plan:
        yield _line(what, Health.UNHEALTHY, message)
    for job in found.cyclic:
        yield _line(job.view.definition.id, job.health, job.message)
    for task in found.periodic:
        yield _line(task.name, task.health, task.message)


def _line(name: str, health: Health, message: str) -> Line:
    """`<job>: <status> - <message>`, the status in its colour."""
    before, mark, after = status_line(name, health, message).partition(f": {health} - ")
    return before, Styled(mark, HEALTH_STYLES[health]), after


def _presence(name: str, living: int, gone: Sequence[str]) -> Line:
    health = Health.UNHEALTHY if gone else Health.HEALTHY if living else Health.UNKNOWN
    names = f", gone without a word: {', '.join(gone)}" if gone else ""
    return _line(name, health, f"{living} there{names}")
