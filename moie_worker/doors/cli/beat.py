"""`moie heartbeat`"""

import click

from beat_schedule import HEARTBEAT
from moie_worker.doors.cli.desk import Desk, acts
from moie_worker.errors import UnreachableError
from moie_worker.heart import heartbeat


@click.command("heartbeat")
@click.option("--local", is_flag=True, help="Do it in this process, without a worker.")
@acts
def heartbeat_command(desk: Desk, local: bool) -> None:
    """Ask for a heartbeat now. It is sent to the workers as a task, as beat does it."""
    desk.loaded()
    if local:
        click.echo(heartbeat.beat(desk.store, desk.system.fleet, desk.who))
        return
    click.echo(f"sent {HEARTBEAT} as task {_send(desk)}; its report: `moie journal -n 1`")


def _send(desk: Desk) -> str:
    """The id of the task. Raises UnreachableError."""
    from celery import Celery
    from kombu.exceptions import OperationalError

    from moie_worker.celery import configuration

    app = Celery("moie_worker")
    app.conf.update(configuration(desk.system.settings))
    app.conf.update(imports=())
    try:
        return str(app.send_task(HEARTBEAT, retry=False).id)
    except (OperationalError, OSError) as error:
        raise UnreachableError(f"the broker does not take the task: {error}. Is MOIE_BROKER_URL right?") from None
