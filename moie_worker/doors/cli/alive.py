"""`moie alive`: for health checks, so it imports and asks little."""

import json
import socket
from collections.abc import Sequence

import click

from moie_worker import settings
from moie_worker.adapters.processes import identity
from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.fleet import RedisFleet
from moie_worker.errors import InputError
from moie_worker.plan.duration import parse_duration
from moie_worker.plan.presence import Beat, Worker


@click.command("alive")
@click.argument("kind", type=click.Choice(["worker", "beat"]))
@click.option(
    "--still",
    metavar="DURATION",
    default="30s",
    show_default=True,
    help="How long the loop of a worker may stand still.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def alive_command(kind: str, still: str, as_json: bool) -> None:
    """Whether a worker, or a beat, of this very host lives and works; for health checks.

    A worker says every 5 s that it lives, and whether the loop that takes its messages turns: it does not while the
    broker is away. A beat says so as it ticks. Exit code 0 yes, 1 no, 3 Redis out of reach.
    """
    told = settings.load()
    fleet = RedisFleet(connect(told.state_url(), deadline=told.redis_timeout))
    present = fleet.workers()[0] if kind == "worker" else fleet.beats()[0]
    here = [one for one in present if one.host == socket.gethostname() and one.process == identity(one.pid)]
    alive, message = _judged(kind, here, _seconds(still))
    if as_json:
        click.echo(json.dumps({"alive": alive, "message": message}))
    else:
        click.echo(message)
    raise click.exceptions.Exit(0 if alive else 1)


def _judged(kind: str, here: Sequence[Worker | Beat], still_s: float) -> tuple[bool, str]:
    if not here:
        return False, f"no {kind} of this host says that it lives"
    standing = [one for one in here if isinstance(one, Worker) and one.still_s > still_s]
    if standing:
        one = standing[0]
        return False, f"{one.name} lives, and took no messages for {one.still_s:.0f} s: is its broker away?"
    return True, f"{', '.join(one.name for one in here)} lives"


def _seconds(text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise InputError(f"--still: {error}") from None
