"""`moie simulate` and `moie verify`: what would happen, without anything happening."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import click

from moie_worker import settings
from moie_worker.doors.cli.checks import run_all
from moie_worker.doors.cli.desk import Desk, reads
from moie_worker.doors.cli.output import (
    Line,
    Styled,
    clock_time,
    first_line,
    print_json,
    print_lines,
    print_table,
    span,
    took,
)
from moie_worker.errors import InputError, RefusedError
from moie_worker.heart.checks import check_of
from moie_worker.heart.trust import objection
from moie_worker.plan.duration import parse_duration
from moie_worker.plan.flow import JobView
from moie_worker.plan.model import Job
from moie_worker.plan.simulate import SimulatedBeat, beat_document, simulate
from moie_worker.plan.states import Outcome
from moie_worker.plan.times import Ms, to_ms
from moie_worker.plan.verify import Verdict, judge, passed
from moie_worker.ports import Evidence

NAMED = 12  # jobs of one kind that a beat names
STYLES = {
    Verdict.PASS: "green",
    Verdict.SLOW: "yellow",
    Verdict.FAIL: "red",
    Verdict.TIMED_OUT: "red",
    Verdict.BROKEN: "bold red",
}


@click.command("simulate")
@click.option("--beats", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many heartbeats.")
@click.option(
    "--every", metavar="TIME", help="Time between heartbeats. [default: what beats announce, else MOIE_HEARTBEAT]"
)
@reads
def simulate_command(desk: Desk, as_json: bool, beats: int, every: str | None) -> None:
    """Show what the next heartbeats would do. Runs no command, writes nothing.

    Each beat is shown as if everything looked at before it had passed. What becomes possible is in fact looked at at
    once, not at the next beat.
    """
    overview = desk.loaded()
    interval = _duration(every) if every else _announced(desk)
    simulated = simulate(overview, list(desk.store.all_jobs()), to_ms(interval), beats)
    if as_json:
        print_json([beat_document(beat) for beat in simulated])
        return
    for beat in simulated:
        print_lines(_beat_lines(beat, overview.now))
    if overview.flags.paused or overview.flags.cancelled:
        click.echo(f"{desk.plan} is {'CANCELLED' if overview.flags.cancelled else 'PAUSED'}: nothing would begin")


def _announced(desk: Desk) -> timedelta:
    beats, _ = desk.system.fleet.beats()
    return desk.system.settings.pace.announced(beats).period


def _duration(text: str) -> timedelta:
    try:
        return settings.load(heartbeat=parse_duration(text)).heartbeat
    except ValueError as error:
        raise InputError(f"--every: {error}") from None


def _beat_lines(beat: SimulatedBeat, now: Ms) -> Iterator[Line]:
    wait = f"in {span((beat.at - now) / 1000)}" if beat.at > now else "now"
    yield Styled(f"beat {beat.number}", "bold"), Styled(f"   {clock_time(beat.at)}, {wait}", "dim")
    yield from _jobs("verify", beat.verify)
    yield from _jobs("look again", beat.look_again)
    yield from _jobs("under way", beat.under_way)
    for phase in beat.promoted:
        yield Styled("  if verified  ", "dim"), f"phase {phase} begins"
    if beat.sovereign:
        yield Styled("  if verified  ", "dim"), Styled("SOVEREIGN: nothing is left but cyclic jobs", "green")
    for fires in beat.fires:
        first = clock_time(fires.first)
        times = f"at {first}" if fires.count == 1 else f"{fires.count} times, first at {first}"
        job = fires.job.definition
        yield Styled("  cyclic       ", "dim"), f"{job.id}  {job.job['task']}", Styled(f"   {times}", "dim")
    if not (beat.verify or beat.look_again or beat.under_way or beat.fires):
        yield (Styled("  nothing to do", "dim"),)


def _jobs(what: str, views: Sequence[JobView]) -> Iterator[Line]:
    for view in views[:NAMED]:
        yield Styled(f"  {what:<11}  ", "dim"), f"{view.definition.id}  {view.definition.job['task']}"
    if len(views) > NAMED:
        yield (Styled(f"  {what:<11}  … and {len(views) - NAMED} more", "dim"),)


@dataclass(frozen=True, slots=True)
class Tested:
    """A verification command that was run."""

    job: Job
    evidence: Evidence
    verdict: Verdict


@click.command("verify")
@click.argument("job_ids", metavar="[ID]…", nargs=-1)
@click.option("--jobs", "side_by_side", type=click.IntRange(1, 64), help="How many at once. [default: MOIE_THREADS]")
@reads
def verify_command(desk: Desk, as_json: bool, job_ids: tuple[str, ...], side_by_side: int | None) -> None:
    """Run the verification commands of the plan, or of some jobs, on this machine. Changes nothing.

    Exit code 1 when one does not pass. `slow` passed and took more than half of its time limit.
    """
    desk.loaded()
    jobs = _chosen(desk, job_ids)
    tested = _test(desk, jobs, side_by_side or desk.system.settings.threads)
    if as_json:
        print_json([_fields(one) for one in tested])
    else:
        print_table(HEADERS, [_row(one) for one in tested], widest=HEADERS.index("task"))
        click.echo(_sum(tested))
    raise click.exceptions.Exit(0 if all(passed(one.verdict) for one in tested) else 1)


HEADERS = ("id", "task", "verdict", "took", "said")


def _chosen(desk: Desk, job_ids: Sequence[str]) -> list[Job]:
    """Jobs that have a verification command, in the order of the plan. Raises NotFoundError, InputError."""
    views = [desk.store.job(job) for job in dict.fromkeys(job_ids)] if job_ids else list(desk.store.all_jobs())
    ordered = sorted(views, key=lambda view: view.definition.position)
    jobs = [Job.model_validate(view.definition.job) for view in ordered]
    _refuse_unsigned(desk, ordered, jobs)
    if job_ids and (without := [job.id for job in jobs if job.verification_cmd is None]):
        raise InputError(f"no verification command: {', '.join(without)}")
    return [job for job in jobs if job.verification_cmd is not None]


def _refuse_unsigned(desk: Desk, views: Sequence[JobView], jobs: Sequence[Job]) -> None:
    """What a worker of this machine would refuse is not run by hand either. Raises RefusedError."""
    if (authors := desk.system.authors) is None:
        return
    pairs = zip(views, jobs, strict=True)
    found = [why for view, job in pairs if (why := objection(desk.plan, view.definition, job, authors))]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise RefusedError(f"{found[0]}{more}. Nothing was run; load the plan with `--sign-key`")


def _test(desk: Desk, jobs: Sequence[Job], side_by_side: int) -> list[Tested]:
    """Run them, a few side by side."""
    try:
        said = run_all(desk.system, "verify", [check_of(job) for job in jobs], side_by_side)
    finally:
        desk.system.runner.close()
    return [
        Tested(job, one, judge(one.outcome, one.duration_s, job.timeout)) for job, one in zip(jobs, said, strict=True)
    ]


def _row(one: Tested) -> tuple[str | Styled, ...]:
    verdict = Styled(str(one.verdict), STYLES[one.verdict])
    said = "" if one.evidence.outcome is Outcome.PASSED else first_line(one.evidence.message, 60)
    return one.job.id, first_line(one.job.task, 80), verdict, took(one.evidence.duration_s), said


def _fields(one: Tested) -> dict[str, Any]:
    return {
        "id": one.job.id,
        "task": one.job.task,
        "verdict": str(one.verdict),
        "outcome": str(one.evidence.outcome),
        "message": one.evidence.message,
        "duration_s": round(one.evidence.duration_s, 6),
        "head": one.evidence.head,
        "tail": one.evidence.tail,
    }


def _sum(tested: Sequence[Tested]) -> str:
    ordered = sorted((one.verdict for one in tested), key=list(Verdict).index)
    counted = [f"{len(list(same))} {verdict}" for verdict, same in itertools.groupby(ordered)]
    return ", ".join(counted) or "no job has a verification command"
