"""Where a plan stands, as every screen says it: made from one look at the store, computed nowhere else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from moie_worker.plan.approval import answered, expires_at
from moie_worker.plan.definition import PhaseDefinition
from moie_worker.plan.flow import BEFORE_ANY, SOVEREIGN, Approval, JobView, Overview, Regression
from moie_worker.plan.health import history_of, job_health
from moie_worker.plan.letters import RunHistory
from moie_worker.plan.presence import Beat, Worker, slots
from moie_worker.plan.receipt_state import ReceiptState
from moie_worker.plan.states import Health, PhaseStatus, Place
from moie_worker.plan.times import MILLISECOND, Ms

IMPORTED = "imported as completed, never verified"  # of a job whose document says that it is done
DUE = (Place.READY, Place.SENT)


@dataclass(frozen=True, slots=True)
class Asks:
    """What a phase asks before it begins, and what it was answered."""

    persons: int
    approval: Approval
    expires_at: Ms | None


@dataclass(frozen=True, slots=True)
class PhaseStanding:
    """A phase with its figures; `total` and `completed` count cyclic jobs too, which never complete."""

    id: int
    name: str
    status: PhaseStatus
    completed: int
    total: int
    cyclic: int
    asks: Asks | None = None

    @property
    def line(self) -> str:
        """`name – completed/total (status)`"""
        return f"{self.name} – {self.completed}/{self.total} ({self.status})"


@dataclass(frozen=True, slots=True)
class CyclicStanding:
    """A cyclic job and its health."""

    view: JobView
    runs: RunHistory
    health: Health
    message: str


@dataclass(frozen=True, slots=True)
class Crew:
    """Who works: the living, and the names of those that went without a word."""

    workers: Sequence[Worker] = ()
    workers_gone: Sequence[str] = ()
    beats: Sequence[Beat] = ()
    beats_gone: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that `moie status` says."""

    overview: Overview
    meta: Mapping[str, Any]
    phases: Sequence[PhaseStanding]
    crew: Crew
    waiting: Sequence[JobView] = ()  # some of those whose check said no
    cyclic: Sequence[CyclicStanding] = ()
    regressed: Sequence[Regression] = ()  # some of those that hold no more
    receipts: ReceiptState | None = None
    refused: str = ""  # what workers would not run, and why

    @property
    def sovereign(self) -> bool:
        """Every job that is not cyclic is verified."""
        return is_sovereign(self.overview)

    @property
    def current(self) -> PhaseStanding | None:
        """The phase that is worked on, the last one when all is done; None before anything is loaded."""
        number = current_phase(self.overview)
        return next((phase for phase in self.phases if phase.id == number), None)

    @property
    def heartbeat_age(self) -> timedelta | None:
        """Time since the last heartbeat; None without one."""
        last = self.overview.flags.last_heartbeat
        return None if last is None else max(self.overview.now - last, 0) * MILLISECOND

    @property
    def idle_queues(self) -> list[str]:
        """Queues of the plan that no living worker serves."""
        return unserved(self.overview, self.crew)

    def count(self, *places: Place) -> int:
        """How many jobs are in some places."""
        return count(self.overview, places)


def unserved(overview: Overview, crew: Crew) -> list[str]:
    """Queues of the plan that no living worker serves."""
    return [queue for queue in overview.queues if slots(crew.workers, queue) == 0]


def is_sovereign(overview: Overview) -> bool:
    """Something was loaded, and no phase is open."""
    return overview.flags.frontier == SOVEREIGN and bool(overview.phases) and not overview.flags.loading


def current_phase(overview: Overview) -> int | None:
    """The phase that is worked on; the last one when none is open; None before anything is loaded."""
    if overview.flags.frontier in (BEFORE_ANY, SOVEREIGN):
        return max((phase.id for phase in overview.phases), default=None)
    return overview.flags.frontier


def count(overview: Overview, places: Sequence[Place], phase: int | None = None, cyclic: bool | None = None) -> int:
    """How many jobs are in some places, of all phases and kinds unless one is named."""
    return sum(
        number
        for (of_phase, is_cyclic, place), number in overview.counts.items()
        if place in places and phase in (None, of_phase) and cyclic in (None, is_cyclic)
    )


def phase_standings(overview: Overview) -> list[PhaseStanding]:
    """Every phase, by id."""
    return [
        PhaseStanding(
            id=phase.id,
            name=phase.name,
            status=phase_status(overview, phase.id),
            completed=count(overview, (Place.COMPLETED,), phase.id),
            total=count(overview, tuple(Place), phase.id),
            cyclic=count(overview, tuple(Place), phase.id, cyclic=True),
            asks=_asks(overview, phase),
        )
        for phase in overview.phases
    ]


def phase_status(overview: Overview, phase_id: int) -> PhaseStatus:
    """Locked behind the current phase, completed before it; the current one waits for its approval or is active.

    When no phase is open, the last one stays active for as long as it has cyclic jobs.
    """
    current = current_phase(overview)
    if current is None or phase_id > current:
        return PhaseStatus.LOCKED
    if phase_id < current:
        return PhaseStatus.COMPLETED
    if overview.flags.frontier != SOVEREIGN:
        return _answered(overview, phase_id)
    runs_on = count(overview, tuple(Place), phase_id, cyclic=True) > 0
    return PhaseStatus.ACTIVE if runs_on else PhaseStatus.COMPLETED


def _asks(overview: Overview, phase: PhaseDefinition) -> Asks | None:
    if not phase.approval:
        return None
    approval = overview.approvals.get(phase.id) or Approval(phase.digest)
    return Asks(phase.persons, approval, expires_at(phase, approval))


def _answered(overview: Overview, phase_id: int) -> PhaseStatus:
    phase = next((phase for phase in overview.phases if phase.id == phase_id), None)
    if phase is None:
        return PhaseStatus.ACTIVE
    return answered(phase, overview.approvals.get(phase_id), overview.now)


def cyclic_standing(view: JobView, runs: RunHistory, now: Ms) -> CyclicStanding:
    """The health of a cyclic job. One that has nothing to run, or waits for its phase, is not expected to run."""
    if view.definition.idle:
        return CyclicStanding(view, runs, Health.UNKNOWN, "has nothing to run: give it an action and a schedule")
    if view.place is Place.PARKED and not runs.runs:
        return CyclicStanding(view, runs, Health.UNKNOWN, f"waits for phase {view.definition.phase}")
    health, message = job_health(history_of(runs), view.definition.period_ms * MILLISECOND, now)
    return CyclicStanding(view, runs, health, message)


def last_message(view: JobView) -> str:
    """What the last attempt said; empty before the first."""
    return IMPORTED if view.evidence.get("imported") else str(view.evidence.get("message", ""))


def is_imported(place: Place, evidence: Mapping[str, Any]) -> bool:
    """Whether a job is completed because a document said so, and nobody verified it here."""
    return place is Place.COMPLETED and bool(evidence.get("imported"))


def all_verified(imported: int) -> str:
    """What can be said of a plan in which nothing is left to do."""
    return "every job is verified" + (f" but {imported} that were {IMPORTED}" if imported else "")
