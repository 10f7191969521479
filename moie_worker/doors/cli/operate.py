"""What an operator does: pause, resume, cancel, approve, reject, retry, run."""

from collections.abc import Callable, Iterable

import click

from moie_worker.doors.cli.acting import each, say
from moie_worker.doors.cli.desk import Desk, acts, json_option
from moie_worker.errors import NotFoundError


@click.command("pause")
@json_option
@acts
def pause_command(desk: Desk, as_json: bool) -> None:
    """Begin nothing new. What runs finishes and counts; heartbeats go on."""
    flags = desk.loaded().flags
    if flags.paused:
        say(desk.plan, f"{desk.plan} was paused already", changed=False, as_json=as_json)
        return
    desk.store.pause(desk.who, desk.why)
    say(desk.plan, f"{desk.plan} is PAUSED; `moie resume` goes on", changed=True, as_json=as_json)


@click.command("resume")
@click.option("--queue", metavar="NAME", help="A queue that was stopped because nearly everything in it failed.")
@json_option
@acts
def resume_command(desk: Desk, as_json: bool, queue: str | None) -> None:
    """Go on after a pause, or with a plan that was cancelled; with --queue, only with a queue that was stopped."""
    flags = desk.loaded().flags
    if queue is not None:
        desk.store.resume_queue(queue, desk.who, desk.why)
        desk.system.fleet.ring(desk.plan)
        say(desk.plan, f"queue {queue} of {desk.plan} goes on", changed=True, as_json=as_json)
        return
    if not flags.paused and not flags.cancelled:
        say(desk.plan, f"{desk.plan} was not paused", changed=False, as_json=as_json)
        return
    desk.store.resume(desk.who, desk.why)
    desk.system.fleet.ring(desk.plan)
    say(desk.plan, f"{desk.plan} goes on", changed=True, as_json=as_json)


@click.command("cancel")
@click.argument("job_ids", metavar="[ID]…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="The whole plan: begin nothing new, stop what runs.")
@json_option
@acts
def cancel_command(desk: Desk, as_json: bool, job_ids: tuple[str, ...], everything: bool) -> None:
    """Take jobs out of the plan, or stop all of it. A cancelled job is not done: its phase stays open."""
    if everything == bool(job_ids):
        raise click.UsageError("name the jobs to cancel, or --all for the whole plan")
    desk.loaded()
    if everything:
        desk.store.cancel_plan(desk.who, desk.why)
        say(desk.plan, f"{desk.plan} is CANCELLED; `moie resume` goes on", changed=True, as_json=as_json)
        return
    _each(job_ids, lambda job: desk.store.cancel(job, desk.who, desk.why), "cancelled", as_json=as_json)
    desk.system.fleet.ring(desk.plan)


@click.command("approve")
@click.argument("phase", type=int)
@json_option
@acts
def approve_command(desk: Desk, as_json: bool, phase: int) -> None:
    """Let a phase begin that asks for approval. It holds for the jobs that the phase has now.

    After a no, said or by silence, it asks and answers anew. Where two persons must approve, neither may be the one
    who loaded the phase; a person is the user of the machine, whatever the machine.
    """
    _answer(desk, phase, approved=True, as_json=as_json)


@click.command("reject")
@click.argument("phase", type=int)
@json_option
@acts
def reject_command(desk: Desk, as_json: bool, phase: int) -> None:
    """Say no to a phase that asks for approval: it does not begin until it is approved."""
    _answer(desk, phase, approved=False, as_json=as_json)


@click.command("retry")
@click.argument("job_ids", metavar="ID…", nargs=-1, required=True)
@json_option
@acts
def retry_command(desk: Desk, as_json: bool, job_ids: tuple[str, ...]) -> None:
    """Start jobs anew that died, wait or were cancelled: their attempts and losses are forgotten."""
    desk.loaded()
    _each(job_ids, lambda job: desk.store.retry(job, desk.who, desk.why), "starts anew", as_json=as_json)
    desk.system.fleet.ring(desk.plan)


@click.command("run")
@click.argument("job_ids", metavar="ID…", nargs=-1, required=True)
@json_option
@acts
def run_command(desk: Desk, as_json: bool, job_ids: tuple[str, ...]) -> None:
    """Look at jobs now: an extra run of a cyclic job, an early look at another. Refused in a locked phase.

    A verified job that has `reverify` is looked at again.
    """
    desk.loaded()
    _each(job_ids, lambda job: desk.store.run(job, desk.who, desk.why), "is due now", as_json=as_json)
    desk.system.fleet.ring(desk.plan)


def _answer(desk: Desk, phase: int, *, approved: bool, as_json: bool) -> None:
    known = [standing.id for standing in desk.loaded().phases]
    if phase not in known:
        raise NotFoundError(f"no phase {phase}; there are {', '.join(map(str, known[:20]))}")
    final = desk.store.answer(phase, approved, desk.who, desk.why)
    desk.system.fleet.ring(desk.plan)
    said = "is rejected" if not approved else "is approved" if final else "is approved by one; another person must too"
    say(str(phase), f"phase {phase} {said}", changed=True, as_json=as_json)


def _each(jobs: Iterable[str], act: Callable[[str], None], done: str, *, as_json: bool) -> None:
    def step(job: str) -> str:
        act(job)
        return f"job {job} {done}"

    each(jobs, step, as_json=as_json)
