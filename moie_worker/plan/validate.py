"""Cross checks of a plan that is well formed: what one part says about another. All problems at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from moie_worker.plan.cron import parse_cron, validate_timezone
from moie_worker.plan.fields import ID_MAX
from moie_worker.plan.model import Job, Phase, Plan
from moie_worker.plan.paths import Path, did_you_mean
from moie_worker.plan.reverify import SUFFIX, look_id, period_of
from moie_worker.plan.states import Order

Checker: TypeAlias = Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]]
"""The problems of an action's `with`: (path below `with`, message)."""
Finding: TypeAlias = tuple[Path, str]

WIDE_JUMP = 9


def find_problems(plan: Plan, actions: Mapping[str, Checker]) -> Iterator[Finding]:
    """Why the plan cannot be run; paths are by the order of its document."""
    if not plan.phases:
        yield ("phases",), "is empty; a plan has at least one phase"
    yield from _phase_ids(plan)
    yield from _phase_needs(plan)
    yield from _job_ids(plan)
    yield from _job_needs(plan)
    yield from _reverified(plan)
    for path, _, job in _jobs(plan):
        yield from _schedule(path, job)
        yield from _action(path, job, actions)


def find_warnings(plan: Plan) -> Iterator[Finding]:
    """What can be run and is probably not meant."""
    reserved = {number for entry in plan.reserved for number in entry.ids}
    ids = sorted({phase.id for phase in plan.phases})
    for before, after in pairwise(ids):
        if after - before >= WIDE_JUMP:
            yield ("phases",), f"phase {after} follows phase {before}: a jump of {after - before}"
        elif absent := [str(number) for number in range(before + 1, after) if number not in reserved]:
            named = f"phase ids {', '.join(absent)} are" if len(absent) > 1 else f"phase id {absent[0]} is"
            yield ("phases",), f"{named} missing between {before} and {after}; say why under `reserved`"


def _jobs(plan: Plan) -> Iterator[tuple[Path, Phase, Job]]:
    for index, phase in enumerate(plan.phases):
        for number, job in enumerate(phase.jobs):
            yield ("phases", index, "jobs", number), phase, job


def _phase_ids(plan: Plan) -> Iterator[Finding]:
    reserved = {number for entry in plan.reserved for number in entry.ids}
    first: dict[int, int] = {}
    for index, phase in enumerate(plan.phases):
        path = ("phases", index)
        if phase.id in first:
            yield (*path, "id"), f"phase {phase.id} is there already: phases[{first[phase.id]}]; give each its own id"
        first.setdefault(phase.id, index)
        if phase.id in reserved:
            yield (*path, "id"), f"phase {phase.id} is reserved; remove it from `reserved`"
        if not phase.jobs:
            yield (*path, "jobs"), "is empty; remove the phase, or say under `reserved` why its id is kept free"


def _phase_needs(plan: Plan) -> Iterator[Finding]:
    known = {phase.id for phase in plan.phases}
    for index, phase in enumerate(plan.phases):
        for number, need in enumerate(phase.depends_on):
            path = ("phases", index, "depends_on", number)
            if need not in known:
                yield path, f"there is no phase {need}; there are {', '.join(map(str, sorted(known)[:20]))}"
            elif need == phase.id:
                yield path, f"phase {need} depends on itself"
            elif need > phase.id:
                yield path, f"phase {need} comes after phase {phase.id}; a phase can depend on earlier ones only"


def _job_ids(plan: Plan) -> Iterator[Finding]:
    first: dict[str, Path] = {}
    for path, _, job in _jobs(plan):
        if job.id in first:
            _, phase, _, number = first[job.id]
            yield (
                (*path, "id"),
                f"job {job.id!r} is there already: phases[{phase}].jobs[{number}]; give each its own id",
            )
        first.setdefault(job.id, path)


def _job_needs(plan: Plan) -> Iterator[Finding]:
    places = {job.id: _Place(number, phase, job) for phase in plan.phases for number, job in enumerate(phase.jobs)}
    for index, phase in enumerate(plan.phases):
        for number, job in enumerate(phase.jobs):
            here = _Place(number, phase, job)
            for position, need in enumerate(job.depends_on):
                if message := _wrong_need(need, here, places):
                    yield ("phases", index, "jobs", number, "depends_on", position), message
        yield from _cycle(("phases", index), phase)


def _reverified(plan: Plan) -> Iterator[Finding]:
    """What looks at a job again needs an id of its own."""
    taken = {job.id for _, _, job in _jobs(plan) if job.id.endswith(SUFFIX)}
    most = ID_MAX - len(SUFFIX)
    for path, _, job in _jobs(plan):
        if period_of(job, plan) is None:
            continue
        if look_id(job.id) in taken:
            yield (
                (*path, "reverify"),
                f"job {look_id(job.id)!r} has the id by which {job.id!r} is looked at again; rename it",
            )
        if len(job.id) > most:
            yield (*path, "id"), f"is longer than {most} characters, which the id of a job with `reverify` may have"


class _Place(NamedTuple):
    number: int
    phase: Phase
    job: Job


def _wrong_need(need: str, here: _Place, places: Mapping[str, _Place]) -> str:
    if need == here.job.id:
        return f"job {need!r} depends on itself"
    if need not in places:
        return f"there is no job {need!r}{did_you_mean(need, places)}"
    there = places[need]
    if there.job.cyclic:
        return f"job {need!r} is cyclic and never done; nothing can wait for it"
    if there.phase.id > here.phase.id:
        return f"job {need!r} is in phase {there.phase.id}, which comes later; a job can depend on earlier ones only"
    if there.phase is here.phase and there.number > here.number and _in_turn(here):
        return f"job {need!r} comes after {here.job.id!r} in a sequential phase; change their order"
    return ""


def _in_turn(here: _Place) -> bool:
    """Cyclic jobs are not part of the sequence."""
    return here.phase.order is Order.SEQUENTIAL and not here.job.cyclic


def _cycle(path: Path, phase: Phase) -> Iterator[Finding]:
    """At most one of a phase; a job that depends on itself is said elsewhere."""
    inside = {job.id for job in phase.jobs}
    needs = {job.id: [need for need in job.depends_on if need in inside and need != job.id] for job in phase.jobs}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        ring = [str(one) for one in reversed(error.args[1])]
        shown = ring if len(ring) <= 12 else [*ring[:10], "…", ring[-1]]
        number = next(index for index, job in enumerate(phase.jobs) if job.id == ring[0])
        yield (*path, "jobs", number, "depends_on"), f"jobs wait for each other: {' → '.join(shown)}"


def _schedule(path: Path, job: Job) -> Iterator[Finding]:
    if job.schedule is None or job.schedule.cron is None:
        return
    for name, value, check in (
        ("cron", job.schedule.cron, parse_cron),
        ("timezone", job.schedule.timezone, validate_timezone),
    ):
        try:
            check(value)
        except ValueError as error:
            yield (*path, "schedule", name), str(error)


def _action(path: Path, job: Job, actions: Mapping[str, Checker]) -> Iterator[Finding]:
    if job.action is None:
        return
    use = job.action.use
    if use not in actions:
        hint = did_you_mean(use, actions) or f"; known are {', '.join(sorted(actions)) or 'none'}"
        yield (*path, "action", "use"), f"there is no action {use!r}{hint}"
        return
    for below, message in _checked(actions[use], job.action.params):
        yield (*path, "action", "with", *([below] if below else [])), message


def _checked(check: Checker, params: Mapping[str, Any]) -> list[tuple[str, str]]:
    try:
        return list(check(params))
    except Exception as error:  # noqa: BLE001  a plugin that is broken must not hide the plan's other problems
        return [("", f"the action could not check its parameters: {type(error).__name__}: {error}")]
