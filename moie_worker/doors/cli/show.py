"""`moie show`"""

import click

from moie_worker.doors.cli.desk import Desk, reads
from moie_worker.doors.cli.output import PLACE_STYLES, Styled, print_json, print_lines
from moie_worker.plan.picture import by_phase, mermaid, text_lines
from moie_worker.plan.status import phase_standings
from moie_worker.plan.status_fields import job_fields, phase_fields


@click.command("show")
@click.option("--format", "form", type=click.Choice(["text", "mermaid"]), default="text", show_default=True)
@reads
def show_command(desk: Desk, as_json: bool, form: str) -> None:
    """A picture of the plan: its phases and jobs, where each is, and what it needs.

    `mermaid` prints a flowchart for Markdown pages and mermaid.live.
    """
    phases = phase_standings(desk.loaded())
    jobs = by_phase(desk.store.all_jobs())
    if as_json:
        listed = [phase_fields(phase) | {"jobs": [*map(job_fields, jobs.get(phase.id, ()))]} for phase in phases]
        print_json({"plan": desk.plan, "phases": listed})
    elif form == "mermaid":
        click.echo("\n".join(mermaid(phases, jobs)))
    else:
        styles = {str(place): style for place, style in PLACE_STYLES.items()} | {"": "bold"}
        print_lines((Styled(line, styles.get(place, "")),) for line, place in text_lines(phases, jobs))
