"""`moie lint`: checks that cannot fail, or that prove nothing."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import click

from moie_worker import settings
from moie_worker.doors.cli.checks import run_all
from moie_worker.doors.cli.desk import json_option
from moie_worker.doors.cli.files import read_document, shown
from moie_worker.doors.cli.output import Styled, print_json, print_table
from moie_worker.heart.checks import check_of
from moie_worker.plan.lint.prove import CHECK, check_text, flaky, negative, proven
from moie_worker.plan.lint.report import Finding, finding_document, lint
from moie_worker.plan.model import Job, Plan
from moie_worker.plan.policies import Decision, foresee
from moie_worker.plan.texts import plural
from moie_worker.wiring import System

HEADERS = ("job", "rule", "message")


@click.command("lint")
@click.argument("file")
@click.option("--prove", is_flag=True, help="Run the negative of each check: its `expect_fail`, or an empty directory.")
@click.option("--runs", type=click.IntRange(2, 1000), help="Run each check so often, and score how it differs.")
@json_option
def lint_command(file: str, prove: bool, runs: int | None, as_json: bool) -> None:
    """Find verification commands in the plan document FILE (`-`: standard input) that cannot fail or prove nothing.

    Changes nothing, and runs nothing without --prove or --runs: these run the commands of the document here, with
    their time limits. Exit code 1 when something is found; the page of the rules is docs/reference/lint.md.
    """
    plan = read_document(file).plan
    jobs = [job for _, job in plan.jobs() if job.verification_cmd is not None]
    system = System(settings.load())
    found = [*lint(plan), *_refused(system, plan)]
    if prove or runs:
        found += _run(system, jobs, prove=prove, runs=runs or 0)
    if as_json:
        print_json([finding_document(one) for one in found])
    else:
        _say(file, found, len(jobs))
    raise click.exceptions.Exit(1 if found else 0)


def _refused(system: System, plan: Plan) -> Iterator[Finding]:
    """The jobs that the policies of this machine will refuse."""
    for one in foresee(system.policies, system.settings.plan, plan) if system.policies else ():
        if one.policy.decide is not Decision.THROTTLE:
            yield Finding(one.job, "policy", one.message)


def _run(system: System, jobs: Sequence[Job], *, prove: bool, runs: int) -> list[Finding]:
    """What running them shows."""
    try:
        found = _prove(system, jobs) if prove else []
        return found + (_score(system, jobs, runs) if runs else [])
    finally:
        system.runner.close()


def _prove(system: System, jobs: Sequence[Job]) -> list[Finding]:
    """Run each negative in an empty directory of its own."""
    with tempfile.TemporaryDirectory(prefix="moie-lint-") as scratch:
        commands = []
        for number, job in enumerate(jobs):
            place = Path(scratch) / str(number)
            place.mkdir()
            if job.run_as is not None:
                with contextlib.suppress(OSError, LookupError):  # then its command will say that it cannot
                    shutil.chown(place, job.run_as)
                Path(scratch).chmod(0o711)
            env = {**job.env, CHECK: check_text(job)} if job.expect_fail is not None else job.env
            commands.append(replace(check_of(job), cmd=negative(job), cwd=str(place), env=env))
        said = run_all(system, "prove", commands, system.settings.threads)
    judged = (proven(job, one.outcome, one.message) for job, one in zip(jobs, said, strict=True))
    return [finding for finding in judged if finding is not None]


def _score(system: System, jobs: Sequence[Job], runs: int) -> list[Finding]:
    """Run each check so often, where it belongs: in rounds, so that no check runs beside itself."""
    commands = [check_of(job) for job in jobs]
    rounds = [run_all(system, f"run-{number}", commands, system.settings.threads) for number in range(1, runs + 1)]
    judged = (
        flaky(job, [one.outcome for one in said]) for job, said in zip(jobs, zip(*rounds, strict=True), strict=True)
    )
    return [finding for finding in judged if finding is not None]


def _say(file: str, found: Sequence[Finding], checks: int) -> None:
    if found:
        rows = [(one.job, Styled(one.rule, "yellow"), one.message) for one in found]
        print_table(HEADERS, rows, widest=HEADERS.index("message"), wrap=True)
    jobs = len({one.job for one in found})
    said = f"{plural(len(found), 'finding')} in {plural(jobs, 'job')}" if found else "nothing found"
    click.echo(f"{shown(file)}: {plural(checks, 'check')}, {said}")
