"""What must hold of a plan at any moment, whatever happened: one oracle for faults, for the simulator and for `doctor`.

Pure functions over what somebody has read. What one of them is given was read in one look, so that nothing moved in
between; what is said is the rule, where it is broken, and what to do.
"""

from collections import Counter
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from moie_worker.plan.approval import awaits
from moie_worker.plan.flow import SOVEREIGN, Flags, Overview
from moie_worker.plan.limits import GAP_GRACE_MS, RESCUE_AFTER_MS
from moie_worker.plan.needs import frontier
from moie_worker.plan.receipts import Seal
from moie_worker.plan.states import Place
from moie_worker.plan.times import Ms

Kind = tuple[str, int, Place]  # class, phase and place of jobs
LOOK = "look"  # the class of what looks at verified jobs again; its phase is 0, for it is in no other count
LOOK_MS = 6_000  # an ended lease is found by the next look of a beat, some seconds later where beats were away

REPAIR = "a heartbeat repairs it: each looks at 100 jobs (`moie health` says whether they come)"
RESTORE = "empty the plan's keys while nothing runs, then `moie backup restore` a snapshot from before"
REBUILD = "`moie backup create`, empty the plan's keys while nothing runs, `moie backup restore`: all is counted anew"


class Rule(StrEnum):
    """What is promised."""

    READABLE = "every record can be read"
    PLACE = "a job stands in one place"
    LEASE = "a job runs under a live lease, and nothing else does"
    WAKE = "who waits is woken"
    REGRESSED = "what holds no more is open"
    LETTER = "what is dead says why"
    SUM = "places add up to what was loaded"
    FRONTIER = "the frontier is the first open phase"
    RECEIPT = "what was verified left its receipt"
    SEAL = "seals count what is kept"


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that is not kept."""

    rule: Rule
    where: str  # the key of the plan that shows it
    what: str  # the job, token or phase; empty: the plan
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What was looked at, and what was found."""

    broken: tuple[Broken, ...] = ()
    notes: tuple[str, ...] = ()  # what could not be compared
    jobs: int = 0
    attempts: int = 0
    receipts: int = 0
    cut: bool = False  # there is more than is told


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a job stands. An order is a sorted set of the plan.

    Every place has one but parked, running and the three ends.
    """

    place: Place | None  # None: it has no state, or no definition
    known: bool = True  # it has a state
    token: str = ""
    order: str = ""  # that its place has; empty: none
    orders: tuple[str, ...] = ()  # in which it was found
    waits_for: str = ""  # of a parked job; empty: nothing
    listed: bool = True  # of a parked job: it is on the list of something still to come
    woken: bool = False  # lists were woken and not all looked at yet: a parked job may be among them
    regressed: bool = False  # it counts as one that held and holds no more
    letter: bool = True  # of a dead one: it has a dead letter
    leased: bool = True  # of a running one: its token has an attempt at it, and a lease


@dataclass(frozen=True, slots=True)
class Held:
    """An attempt, or what is left of one."""

    job: str  # empty: its record cannot be read
    until: Ms | None  # the end of its lease; None: it has none
    armed: bool = False  # another slot of its job may wait or run beside it
    known: bool = True  # the job is there
    owned: bool = True  # the job runs under this token


def job_faults(job: str, found: Standing) -> Iterator[Broken]:
    """What is wrong with one job."""
    if found.place is None:
        yield from _unreadable(job, found)
        return
    stray = [order for order in found.orders if order != found.order]
    if stray:
        yield Broken(Rule.PLACE, stray[0], job, f"is {found.place} and stands there besides", REPAIR)
    if found.order and found.order not in found.orders:
        yield Broken(Rule.PLACE, found.order, job, f"is {found.place} and does not stand there", REPAIR)
    if found.place is Place.RUNNING and not found.leased:
        yield Broken(Rule.LEASE, "leases", job, "runs without a live lease: nobody would miss it", REPAIR)
    if found.place is Place.DEAD and not found.letter:
        yield Broken(Rule.LETTER, f"dead:job:{job}", job, "is dead and nothing says why", f"`moie retry {job}`")
    if found.regressed and found.place is Place.COMPLETED:
        message = "is completed and counts as one that holds no more"
        yield Broken(Rule.REGRESSED, "regressed", job, message, "load the plan without its `reverify`, then with it")
    if found.place is Place.PARKED:
        yield from _parked_faults(job, found)


def _unreadable(job: str, found: Standing) -> Iterator[Broken]:
    if found.known:
        yield Broken(Rule.READABLE, "state", job, "has no definition", RESTORE)
    else:
        remedy = "it is taken out when it comes due"
        yield Broken(Rule.READABLE, found.orders[0], job, "stands there and is no job", remedy)


def _parked_faults(job: str, found: Standing) -> Iterator[Broken]:
    if found.woken or (found.listed and found.waits_for):
        return
    if not found.waits_for:
        yield Broken(Rule.WAKE, "state", job, "is parked and waits for nothing", f"`moie run {job}`")
        return
    message = f"waits for {found.waits_for} and is on no list"
    yield Broken(Rule.WAKE, f"parked:{found.waits_for}", job, message, f"{REPAIR}; else `moie run {job}` in its time")


def attempt_faults(token: str, found: Held) -> Iterator[Broken]:
    """What is wrong with one attempt."""
    if not found.job:
        yield Broken(Rule.LEASE, "leases", token, "is the lease of no attempt", "it ends by itself, with its lease")
    elif found.until is None:
        yield Broken(Rule.LEASE, "attempts", token, f"is an attempt at {found.job} without a lease", REPAIR)
    elif not found.known:
        yield Broken(Rule.LEASE, "attempts", token, f"holds {found.job}, which is no job", "it ends with its lease")
    elif not found.armed and not found.owned:
        message = f"holds {found.job}, which does not run under it"
        yield Broken(Rule.LEASE, "attempts", token, message, "it ends with its lease, or is refused when it settles")


def overdue_faults(token: str, found: Held, now: Ms, gap_at: Ms) -> Iterator[Broken]:
    """An attempt that should have been taken back long ago. `gap_at`: when Redis was away last."""
    if found.until is None:
        return
    late_ms = now - max(found.until + RESCUE_AFTER_MS, gap_at + GAP_GRACE_MS)
    if late_ms > LOOK_MS:
        message = f"the lease on {found.job} ended and nobody took it back for {late_ms / 1000:.0f} s"
        yield Broken(Rule.LEASE, "leases", token, message, "no beat looks: `celery -A moie_worker beat`")


def frontier_faults(flags: Flags, phases: Collection[int], open_phases: Collection[int]) -> Iterator[Broken]:
    """Whether the frontier is where the open phases say, and what it has passed was reached."""
    if flags.loading or not flags.revision:
        return
    if flags.frontier != (first := frontier(open_phases)):
        message = f"is {phase_name(flags.frontier)}, and the first open phase is {phase_name(first)}"
        yield Broken(Rule.FRONTIER, "plan", "", f"the frontier {message}", REPAIR)
    if passed := sorted(phase for phase in phases if flags.reached < phase <= flags.frontier):
        message = f"the frontier is {phase_name(flags.frontier)} and phases {passed} were never reached"
        yield Broken(Rule.FRONTIER, "plan", "", message, "load the plan again: it is computed anew")


def phase_name(frontier_at: int) -> str:
    """A frontier for people."""
    return "behind all phases" if frontier_at == SOVEREIGN else str(frontier_at)


def open_faults(overview: Overview) -> Iterator[Broken]:
    """Whether the phases that are open are those with unfinished jobs, or without the approval that they ask for."""
    unfinished = {p for (p, cyclic, place), n in overview.counts.items() if n and not cyclic and place != "completed"}
    expected = {
        phase.id
        for phase in overview.phases
        if phase.id in unfinished or awaits(phase, overview.approvals.get(phase.id))
    }
    for phase in sorted(expected ^ overview.open_phases):
        told = "is open and counts as closed" if phase in expected else "is closed and counts as open"
        message = f"phase {phase} {told}"
        yield Broken(Rule.FRONTIER, "phases:open", str(phase), message, "load the plan again: it is computed anew")


def counted(overview: Overview) -> Counter[Kind]:
    """What is counted by place, what looks at verified jobs among it."""
    found = Counter({("cyclic" if c else "job", phase, place): n for (phase, c, place), n in overview.counts.items()})
    return found + Counter({(LOOK, 0, place): number for place, number in overview.looks.items()})


def record_faults(overview: Overview) -> Iterator[Broken]:
    """Breakers and requests that cannot be read."""
    for one in overview.unreadable:
        yield Broken(Rule.READABLE, one.where, one.what, one.message, one.remedy)


def sum_faults(counts: Mapping[Kind, int], jobs: int, definitions: int) -> Iterator[Broken]:
    """Whether what is counted by place, what has a state and what was loaded are equally many."""
    total = sum(counts.values())
    if not total == jobs == definitions:
        message = f"{definitions} jobs are loaded, {jobs} have a state, {total} are counted by place"
        yield Broken(Rule.SUM, "counts", "", message, REBUILD)


def count_faults(counts: Mapping[Kind, int], found: Mapping[Kind, int]) -> Iterator[Broken]:
    """Whether each place holds as many jobs as is counted."""
    for key in sorted({*counts, *found}):
        if counts.get(key, 0) != found.get(key, 0):
            kind, phase, place = key
            where = f"of phase {phase} " if phase else ""
            message = f"{counts.get(key, 0)} {where}({kind}) count as {place}, {found.get(key, 0)} are"
            yield Broken(Rule.SUM, "counts", str(phase), message, REBUILD)


def receipt_faults(verified: Mapping[str, str], receipts: Container[str]) -> Iterator[Broken]:
    """Whether each job that a settled attempt completed has its receipt. `verified`: tokens by job."""
    for job, token in verified.items():
        if token not in receipts:
            message = f"was completed by {token} and has no receipt"
            remedy = "its worker had no key (see its log), or somebody removed it: `moie receipts verify`"
            yield Broken(Rule.RECEIPT, "receipts", job, message, remedy)


def seal_faults(seal: Seal, kept: int) -> Iterator[Broken]:
    """Whether so many receipts are kept up to a seal as it says; `kept` are those up to its last one."""
    if kept != (said := seal.count - seal.begins + 1):
        message = f"the newest seal is over {said} receipts and {kept} are there"
        yield Broken(
            Rule.SEAL, "receipts:seals", str(seal.count), message, "`moie receipts verify` says which are gone"
        )
