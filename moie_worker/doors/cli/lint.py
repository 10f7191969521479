"""`moie lint`: checks that cannot fail, or that prove nothing."""

from collections.abc import Sequence

import click

from moie_worker.doors.cli.desk import json_option
from moie_worker.doors.cli.files import read_document, shown
from moie_worker.doors.cli.output import Styled, plural, print_json, print_table
from moie_worker.plan.lint.report import Finding, finding_document, lint

HEADERS = ("job", "rule", "message")


@click.command("lint")
@click.argument("file")
@json_option
def lint_command(file: str, as_json: bool) -> None:
    """Find verification commands in the plan document FILE (`-`: standard input) that cannot fail or prove nothing.

    Runs nothing and changes nothing. Exit code 1 when something is found; the page of the rules is
    docs/reference/lint.md.
    """
    plan = read_document(file).plan
    found = lint(plan)
    if as_json:
        print_json([finding_document(one) for one in found])
    else:
        _say(file, found, sum(job.verification_cmd is not None for _, job in plan.jobs()))
    raise click.exceptions.Exit(1 if found else 0)


def _say(file: str, found: Sequence[Finding], checks: int) -> None:
    if found:
        rows = [(one.job, Styled(one.rule, "yellow"), one.message) for one in found]
        print_table(HEADERS, rows, widest=HEADERS.index("message"), wrap=True)
    jobs = len({one.job for one in found})
    said = f"{plural(len(found), 'finding')} in {plural(jobs, 'job')}" if found else "nothing found"
    click.echo(f"{shown(file)}: {plural(checks, 'check')}, {said}")
