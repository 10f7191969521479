"""`moie up` and `moie down`"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import click

from moie_worker import settings
from moie_worker.adapters import control
from moie_worker.adapters.clock import SystemClock
from moie_worker.adapters.home import Home, hold
from moie_worker.adapters.supervisor import Result, Supervisor
from moie_worker.doors.cli.desk import Desk
from moie_worker.doors.cli.files import read_document
from moie_worker.doors.cli.launch import Assembly, assemble
from moie_worker.doors.cli.output import is_terminal
from moie_worker.doors.cli.plans import begin_load, compiled_for, say_report
from moie_worker.errors import InputError
from moie_worker.plan.definition import Compiled
from moie_worker.plan.duration import parse_duration
from moie_worker.settings import Settings
from moie_worker.wiring import System

HEARTBEAT = timedelta(seconds=15)  # so that one sees it live
PLAN = "Plan    "
OnLine = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    told: Settings
    plan: Compiled | None
    flower: bool

    @property
    def home(self) -> Home:
        """The data directory."""
        return Home(self.told.home)

    @property
    def desk(self) -> Desk:
        """A desk of its own: connections are not shared between threads and forks."""
        return Desk(System(self.told), "moie up")


@click.command("up")
@click.option("--plan", "file", metavar="FILE", help="Load this plan document, unless another project's is loaded.")
@click.option("--name", metavar="NAME", help="The plan's name. [default: MOIE_PLAN, else `default`]")
@click.option("--heartbeat", metavar="TIME", help="Time between heartbeats. [default: MOIE_HEARTBEAT, else 15s]")
@click.option("--no-flower", is_flag=True, help="Start no Flower.")
@click.option("--detach", is_flag=True, help="Return when all is ready; `moie down` ends it.")
def up_command(file: str | None, name: str | None, heartbeat: str | None, no_flower: bool, detach: bool) -> None:
    """Run everything on this machine: an embedded Redis, a worker, a beat and Flower.

    A plan of the same project (`meta.project`) becomes a new revision; that of another project stays, and one of which
    more than half of the jobs would go, and it is said.
    With MOIE_REDIS_URL set, that Redis is used instead of an embedded one. Ctrl-C stops everything in order and leaves
    nothing behind; the data stay in MOIE_HOME, and the next `moie up` goes on with them. Exit code 1 when a part
    cannot be kept alive.
    """
    told = _settings(name, heartbeat)
    order = Order(told, _plan(file, System(told)), flower=not no_flower)
    if detach:
        result = control.detach(order.home, lambda announce: _run(order, plain, announce))
    elif is_terminal():
        result = _run(order, None, None)
    else:
        result = _run(order, plain, lambda said: click.echo(said.message))
    click.echo(result.message, err=result.exit_code != 0)
    raise click.exceptions.Exit(result.exit_code)


@click.command("down")
def down_command() -> None:
    """Stop the `moie up` of this MOIE_HOME in order, and wait until nothing of it is left."""
    home = Home(settings.load().home)
    found = control.down(home)
    click.echo(f"stopped (pid {found.pid}, running since {found.since}); the data stay in {home.root}")


def plain(part: str, line: str) -> None:
    """Print a line of a part where there is no terminal."""
    click.echo(f"{part:<6} | {line}")


def _settings(name: str | None, heartbeat: str | None) -> Settings:
    """Raises InputError."""
    told = settings.load(plan=name)
    if heartbeat is None:
        return told if "heartbeat" in told.model_fields_set else settings.load(plan=name, heartbeat=HEARTBEAT)
    try:
        return settings.load(plan=name, heartbeat=parse_duration(heartbeat))
    except ValueError as error:
        raise InputError(f"--heartbeat: {error}") from None


def _plan(file: str | None, system: System) -> Compiled | None:
    """Read, and signed with MOIE_SIGN_KEY, before anything starts. Raises InputError, NotFoundError."""
    if file is None:
        return None
    found = read_document(file)
    say_report(found.report)
    return compiled_for(system, found, system.author())


def _run(order: Order, on_line: OnLine | None, announce: control.Announce | None) -> Result:
    """Until it is told to stop. Without `on_line` a live view is shown; it has the addresses on top already."""
    with hold(order.home, SystemClock().now()), ExitStack() as stack:
        queues = {job.queue for job in order.plan.jobs} if order.plan else set()
        assembly = assemble(order.told, order.home, queues, flower=order.flower)
        if on_line is None:
            from moie_worker.doors.cli.live import LiveView

            on_line = stack.enter_context(LiveView(order.desk, assembly.addresses())).on_line
        tell = announce or partial(_tell_plan, on_line)
        return Supervisor(
            assembly.parts,
            order.home,
            on_line=on_line,
            on_ready=lambda: tell(_ready(order, assembly)),
            secrets=assembly.secrets,
        ).run()


def _tell_plan(on_line: OnLine, ready: Result) -> None:
    for line in ready.message.splitlines():
        if line.startswith(PLAN):
            on_line("moie", line.removeprefix(PLAN))


def _ready(order: Order, assembly: Assembly) -> Result:
    """All parts run: load the plan, which beat brings to its end, and say where everything is."""
    lines = assembly.addresses()
    if order.plan is not None:
        lines.append(f"{PLAN}{begin_load(order.desk, order.plan)}")
    return Result(0, "\n".join(lines))
