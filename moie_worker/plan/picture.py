"""A picture of the plan: as a tree of text, or as a Mermaid flowchart."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from moie_worker.plan.flow import JobView
from moie_worker.plan.states import Place
from moie_worker.plan.status import PhaseStanding

MARKS = {
    Place.COMPLETED: "✓",
    Place.RUNNING: "▶",
    Place.SENT: "▷",
    Place.READY: "▷",
    Place.WAITING: "?",
    Place.TIMED: "◷",
    Place.PARKED: "·",
    Place.DEAD: "✗",
    Place.CANCELLED: "–",
}
COLOURS = {
    Place.COMPLETED: "#cfe8cf",
    Place.RUNNING: "#cfe2f3",
    Place.WAITING: "#fdeeb5",
    Place.DEAD: "#f4c7c3",
    Place.CANCELLED: "#e0e0e0",
}
LABEL_LENGTH = 60


def by_phase(views: Iterable[JobView]) -> dict[int, list[JobView]]:
    """Jobs by phase, in the order of the plan."""
    found: dict[int, list[JobView]] = {}
    for view in sorted(views, key=lambda view: view.definition.position):
        found.setdefault(view.definition.phase, []).append(view)
    return found


def text_lines(phases: Sequence[PhaseStanding], jobs: Mapping[int, Sequence[JobView]]) -> Iterator[tuple[str, str]]:
    """Lines of a tree, each with the place of its job, or an empty text for a phase."""
    for phase in phases:
        yield f"{phase.id}  {phase.line}", ""
        views = jobs.get(phase.id, ())
        width = max((len(view.definition.id) for view in views), default=0)
        for number, view in enumerate(views, start=1):
            branch = "└─" if number == len(views) else "├─"
            yield f"   {branch} {_job_line(view, width)}", str(view.place)


def _job_line(view: JobView, width: int) -> str:
    job = view.definition
    mark = "↻" if job.cyclic else MARKS[view.place]
    said = "; ".join([*_schedule(view), *_standing(view), *_needs(view)])
    return f"{mark} {job.id:<{width}}  {job.job['task']}" + (f"  ({said})" if said else "")


def _schedule(view: JobView) -> Iterator[str]:
    schedule = view.definition.job.get("schedule")
    if view.definition.idle:
        yield "nothing to run"
    elif schedule:
        yield f"every {schedule['every']}" if "every" in schedule else f"cron {schedule['cron']}"


def _standing(view: JobView) -> Iterator[str]:
    """The place, where the mark does not say it."""
    unsaid = (Place.PARKED, Place.TIMED, Place.READY) if view.definition.cyclic else (Place.COMPLETED, Place.PARKED)
    if view.place not in unsaid:
        yield str(view.place)


def _needs(view: JobView) -> Iterator[str]:
    if view.definition.needs:
        yield f"needs {', '.join(view.definition.needs)}"


def mermaid(phases: Sequence[PhaseStanding], jobs: Mapping[int, Sequence[JobView]]) -> Iterator[str]:
    """A flowchart: phases as boxes in their order, jobs in them, arrows from what a job needs."""
    names = {view.definition.id: f"j{view.definition.position}" for views in jobs.values() for view in views}
    yield "flowchart TD"
    for phase in phases:
        yield f'  subgraph p{phase.id}["{_quoted(f"{phase.id} {phase.line}")}"]'
        for view in jobs.get(phase.id, ()):
            label = _quoted(f"{view.definition.id} {view.definition.job['task']}")
            left, right = ('(["', '"])') if view.definition.cyclic else ('["', '"]')
            yield f"    {names[view.definition.id]}{left}{label}{right}:::{view.place}"
        yield "  end"
    for before, after in pairwise(phases):
        yield f"  p{before.id} ==> p{after.id}"
    for view in (view for views in jobs.values() for view in views):
        yield from (
            f"  {names[need]} --> {names[view.definition.id]}" for need in view.definition.needs if need in names
        )
    for place, colour in COLOURS.items():
        yield f"  classDef {place} fill:{colour},stroke:#777,color:#222"


def _quoted(text: str) -> str:
    """Mermaid's own escapes; its labels are HTML inside."""
    short = text if len(text) <= LABEL_LENGTH else text[: LABEL_LENGTH - 1] + "…"
    return short.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
