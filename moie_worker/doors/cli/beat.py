"""`moie heartbeat`"""

import click

from moie_worker.doors.cli.desk import Desk, plan_option
from moie_worker.doors.cli.hints import completed
from moie_worker.heart import heartbeat


@click.command("heartbeat")
@click.option("--local", is_flag=True, help="Do it in this process, for this plan alone, without a worker.")
@plan_option
def heartbeat_command(desk: Desk, local: bool) -> None:
    """Ask for a heartbeat now. It is sent to the workers as a task, as beat does it."""
    desk.loaded()
    if local:
        click.echo(heartbeat.beat(desk.store, desk.system.fleet, desk.who, desk.system.before_heartbeat))
        return
    from moie_worker.doors.cli.broker import send_heartbeat  # Celery takes a while to import

    told = f"sent as task {send_heartbeat(desk.system.settings)}; see its report by `moie journal`"
    click.echo(completed(told))
