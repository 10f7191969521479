"""The status of a plan as lines of text: the same once, live and in a pipe."""

from collections.abc import Iterator

from moie_worker.doors.cli.output import HEALTH_STYLES, Line, Styled, ago, clock_time, first_line, span, took
from moie_worker.plan.breaker import stopped_line
from moie_worker.plan.health import figures, history_of
from moie_worker.plan.presence import slots
from moie_worker.plan.receipt_state import ReceiptState
from moie_worker.plan.regression import line
from moie_worker.plan.states import Health, PhaseStatus, Place
from moie_worker.plan.status import DUE, IMPORTED, CyclicStanding, PhaseStanding, Status, all_verified, last_message
from moie_worker.plan.texts import plural
from moie_worker.plan.times import Ms

LABEL = 15
PHASE_STYLES = {
    PhaseStatus.COMPLETED: "green",
    PhaseStatus.ACTIVE: "bold",
    PhaseStatus.LOCKED: "dim",
    PhaseStatus.AWAITING_APPROVAL: "bold yellow",
    PhaseStatus.REJECTED: "bold red",
    PhaseStatus.EXPIRED: "bold red",
}
MARKS = {Health.HEALTHY: "●", Health.STALE: "◐", Health.UNHEALTHY: "✗", Health.UNKNOWN: "○"}
GIVEN_UP = (Place.DEAD, Place.CANCELLED)
PHASES_SHOWN = 30
REGRESSIONS_SHOWN = 8
TASK_WIDTH = 22


def status_screen(status: Status) -> list[Line]:
    """Title, banners, phases, figures, cyclic jobs, and last what needs a person."""
    lines: list[Line] = []
    for section in (_head, _phases, _figures, _cyclic, _action_required):
        if found := list(section(status)):
            lines += [(), *found] if lines else found
    return lines


def _head(status: Status) -> Iterator[Line]:
    flags = status.overview.flags
    project = status.meta.get("meta", {}).get("project") or flags.name
    yield Styled(project, "bold"), Styled(f"   plan {flags.name}, revision {flags.revision}", "dim")
    for banner in _banners(status):
        yield (banner,)


def _banners(status: Status) -> Iterator[Styled]:
    """What must not be overlooked, each on a line of its own."""
    flags, current = status.overview.flags, status.current
    if flags.cancelled:
        yield Styled("CANCELLED   nothing new begins; `moie resume` goes on", "bold red")
    if flags.paused:
        yield Styled("PAUSED   nothing new begins; `moie resume` goes on", "bold yellow")
    if flags.loading:
        yield Styled("LOADING   a new revision is being applied", "bold yellow")
    for one in status.overview.unreadable:
        told = f"{one.what} of moie:{{{flags.name}}}:{one.where} {one.message}; {one.remedy}"
        yield Styled(f"UNREADABLE   {first_line(told, 500)}", "bold red")
    for queue, breaker in status.overview.stopped.items():
        yield Styled(f"STOPPED   {first_line(stopped_line(queue, breaker), 500)}", "bold red")
    if status.refused:
        yield Styled(f"REFUSED   {first_line(status.refused, 500)}", "bold red")
    for regression in status.regressed[:REGRESSIONS_SHOWN]:
        yield Styled(first_line(line(regression), 500), "bold red")
    if status.overview.regressed > REGRESSIONS_SHOWN:
        yield Styled(f"REGRESSED   {status.overview.regressed} jobs in all", "bold red")
    if current:
        yield from _asked(current)
    if status.sovereign:
        since = f" since {clock_time(flags.sovereign_at)}" if flags.sovereign_at else ""
        yield Styled(f"SOVEREIGN{since}   {all_verified(status.overview.imported)}", "bold green")
        if any(phase.cyclic for phase in status.phases):
            yield Styled("CYCLIC OPERATION MODE", "green")


def _asked(phase: PhaseStanding) -> Iterator[Styled]:
    approve, reject = f"`moie approve {phase.id}`", f"`moie reject {phase.id}`"
    if phase.status is PhaseStatus.AWAITING_APPROVAL:
        yield Styled(f"AWAITING APPROVAL   phase {phase.id}: {approve} or {reject}{_terms(phase)}", "bold yellow")
    if phase.status is PhaseStatus.REJECTED:
        yield Styled(f"REJECTED   phase {phase.id} does not begin; {approve} lets it begin after all", "bold red")
    if phase.status is PhaseStatus.EXPIRED:
        yield Styled(f"APPROVAL EXPIRED   {_late(phase)}; {approve} asks and answers anew", "bold red")


def _late(phase: PhaseStanding) -> str:
    by = f" by {clock_time(phase.asks.expires_at)}" if phase.asks and phase.asks.expires_at else ""
    return f"phase {phase.id} was not approved{by}, which means no"


def _terms(phase: PhaseStanding) -> str:
    """What is asked besides a yes: who said it already, and until when the others may."""
    asks = phase.asks
    if asks is None:
        return ""
    names = ", ".join(vote.who for vote in asks.approval.yes) or "none yet"
    people = f"; {asks.persons} persons must approve, {names}" if asks.persons > 1 else ""
    return people + (f"; no answer by {clock_time(asks.expires_at)} means no" if asks.expires_at else "")


def _phases(status: Status) -> Iterator[Line]:
    width = max((len(str(phase.id)) for phase in status.phases), default=1)
    shown = _around(status)
    for phase in shown:
        mark = "▸ " if phase is status.current else "  "
        yield (
            Styled(mark, "bold"),
            Styled(f"{phase.id:>{width}}  ", "dim"),
            Styled(phase.line, PHASE_STYLES[phase.status]),
        )
    if len(shown) < len(status.phases):
        yield (Styled(f"  … {len(shown)} of {len(status.phases)} phases; `moie show` has all", "dim"),)


def _around(status: Status) -> list[PhaseStanding]:
    """All phases, or those around the current one."""
    phases = list(status.phases)
    if len(phases) <= PHASES_SHOWN or status.current is None:
        return phases[:PHASES_SHOWN]
    middle = phases.index(status.current)
    start = min(max(middle - PHASES_SHOWN // 2, 0), len(phases) - PHASES_SHOWN)
    return phases[start : start + PHASES_SHOWN]


def _figures(status: Status) -> Iterator[Line]:
    yield _labelled("heartbeat", *_heartbeat(status))
    yield _labelled("jobs", *_places(status))
    if status.overview.looks:
        yield _labelled("stay verified", *_looks(status))
    if status.receipts and (status.receipts.kept or status.receipts.sealed or status.receipts.problem):
        yield _labelled("receipts", *_receipts(status.receipts))
    if status.overview.imported:
        yield _labelled("imported", Styled(f"{plural(status.overview.imported, 'job')} {IMPORTED}", "yellow"))
    if status.count(*GIVEN_UP):
        yield _labelled("given up", Styled(_given_up(status), "bold red"))
    yield _labelled("workers", *_workers(status))
    yield _labelled("beats", *_beats(status))
    if status.idle_queues:
        names = ",".join(status.idle_queues)
        yield _labelled("no worker for", Styled(f"{names}: start a worker with -Q {names}", "bold red"))


def _looks(status: Status) -> Iterator[Styled]:
    """Jobs that are looked at again once they are verified."""
    looks, regressed = status.overview.looks, status.overview.regressed
    under_way = sum(looks.get(place, 0) for place in (Place.RUNNING, *DUE))
    yield Styled(f"{sum(looks.values())} jobs · {under_way} looked at now · ")
    yield Styled(f"{regressed} regressed", "bold red" if regressed else "dim")


def _receipts(receipts: ReceiptState) -> Iterator[Styled]:
    yield Styled(" · ".join(receipts.words()))
    if receipts.problem:
        yield Styled(f"   NOT TRUSTED: {first_line(receipts.problem, 500)}", "bold red")


def _given_up(status: Status) -> str:
    """Jobs that nothing will look at again: what a phase that does not end may be waiting for."""
    found = {place: number for place in GIVEN_UP if (number := status.count(place))}
    counted = ", ".join(f"{number} {place}" for place, number in found.items())
    return f"{counted}: `moie jobs {' '.join(f'--place {place}' for place in found)}`; `moie retry ID` begins anew"


def _heartbeat(status: Status) -> Iterator[Styled]:
    last, age = status.overview.flags.last_heartbeat, status.heartbeat_age
    if last is None or age is None:
        yield Styled("none yet", "yellow")
        return
    yield Styled(ago(age.total_seconds()))
    yield Styled(f"   {clock_time(last)}", "dim")


def _places(status: Status) -> Iterator[Styled]:
    counted = (
        ("running", status.count(Place.RUNNING), "cyan"),
        ("due", status.count(*DUE), ""),
        ("waiting", status.count(Place.WAITING), "yellow"),
        ("later", status.count(Place.TIMED), ""),
        ("blocked", status.count(Place.PARKED), ""),
    )
    for name, number, style in counted:
        yield Styled(f"{number} {name}", style if number else "dim")
        yield Styled(" · ", "dim")
    letters = status.overview.dead_letters
    yield Styled(plural(letters, "dead letter"), "bold red" if letters else "dim")


def _workers(status: Status) -> Iterator[Styled]:
    crew = status.crew
    if not crew.workers:
        yield Styled("none", "bold red")
    else:
        queues = sorted({queue for worker in crew.workers for queue in worker.queues})
        free = ", ".join(f"{queue} {slots(crew.workers, queue)}" for queue in queues)
        yield Styled(f"{len(crew.workers)}")
        yield Styled(f"   slots: {free}", "dim")
    if crew.workers_gone:
        yield Styled(f"   gone without a word: {', '.join(crew.workers_gone)}", "bold red")


def _beats(status: Status) -> Iterator[Styled]:
    crew = status.crew
    yield Styled(f"{len(crew.beats)}") if crew.beats else Styled("none: nothing is scheduled", "bold red")
    if crew.beats_gone:
        yield Styled(f"   gone without a word: {', '.join(crew.beats_gone)}", "bold red")


def _cyclic(status: Status) -> Iterator[Line]:
    if not status.cyclic:
        return
    ids = max(len(standing.view.definition.id) for standing in status.cyclic)
    tasks = min(max(len(str(standing.view.definition.job["task"])) for standing in status.cyclic), TASK_WIDTH)
    head = f"{'cyclic jobs':<{ids + tasks + 6}}health         last  runs  success    mean    next"
    yield (Styled(head, "dim"),)
    for standing in status.cyclic:
        yield _cyclic_line(standing, status.overview.now, ids, tasks)


def _cyclic_line(standing: CyclicStanding, now: Ms, ids: int, tasks: int) -> Line:
    """Mark, name, health; time since the last run, runs, share of success, mean time of the last ten, next."""
    job, style = standing.view.definition, HEALTH_STYLES[standing.health]
    return (
        Styled(f"{MARKS[standing.health]} ", style),
        f"{job.id:<{ids}}  {first_line(str(job.job['task']), tasks):<{tasks}}  ",
        Styled(f"{standing.health:<9}", style),
        Styled(_run_figures(standing, now), "dim"),
    )


def _run_figures(standing: CyclicStanding, now: Ms) -> str:
    known = figures(history_of(standing.runs), now)
    waits = standing.view.place is Place.TIMED and standing.view.due > now
    coming = span((standing.view.due - now) / 1000) if waits else ""
    if known.minutes_since is None or known.success_percent is None or known.mean_duration_s is None:
        return f"  {standing.message}" + (f", next in {coming}" if coming else "")
    mean = took(known.mean_duration_s)
    return f"  {known.minutes_since:>4} min  {known.runs:>4}  {known.success_percent:>5.1f} %  {mean:>6}  {coming:>6}"


def _action_required(status: Status) -> Iterator[Line]:
    if not status.waiting:
        return
    number = status.count(Place.WAITING)
    yield (Styled(f"ACTION REQUIRED   {number} not done yet, looked at again at every heartbeat", "bold yellow"),)
    for view in status.waiting:
        job = view.definition
        yield f"  {job.id}  {job.job['task']}", Styled(f"   {first_line(last_message(view))}", "dim")
        if description := job.job.get("description"):
            yield (Styled(f"    {first_line(str(description))}", "dim"),)
    if number > len(status.waiting):
        yield (Styled(f"  … and {number - len(status.waiting)} more: `moie jobs --place waiting`", "dim"),)


def _labelled(label: str, *parts: Styled) -> Line:
    return Styled(f"{label:<{LABEL}}", "dim"), *parts
