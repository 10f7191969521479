"""What the next heartbeats would do, told from a snapshot. Pure: no command runs, nothing is written.

One step of the plan is shown for each beat: what can be looked at then, as if all that was looked at before had
passed. The real system does not wait for the beat with what became possible, so it is never slower than this.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from moie_worker.plan.approval import awaits
from moie_worker.plan.compile import timetable
from moie_worker.plan.flow import SOVEREIGN, JobView, Overview
from moie_worker.plan.model import Job
from moie_worker.plan.needs import frontier, unmet
from moie_worker.plan.schedule import due_at, next_slot
from moie_worker.plan.states import Place
from moie_worker.plan.status_fields import time_or_none
from moie_worker.plan.times import Ms

STUCK = (Place.DEAD, Place.CANCELLED)
MOST_FIRES = 10_000  # of one job in one beat: slots further on are not counted


@dataclass(frozen=True, slots=True)
class Fires:
    """The slots of a cyclic job between a beat and the next."""

    job: JobView
    first: Ms
    count: int


@dataclass(frozen=True, slots=True)
class SimulatedBeat:
    """One beat: what would be looked at, and what follows if it passes."""

    number: int
    at: Ms
    verify: tuple[JobView, ...]  # due for the first time, or for a retry
    look_again: tuple[JobView, ...]  # their check said no before
    under_way: tuple[JobView, ...]  # running now
    promoted: tuple[int, ...]  # phases that begin if all that is verified
    sovereign: bool  # nothing is left then
    fires: tuple[Fires, ...]


@dataclass
class _World:
    """The plan as it would be."""

    overview: Overview
    views: Sequence[JobView]
    done: set[str] = field(default_factory=set)
    front: int = 0
    reached: int = 0
    anchors: dict[str, Ms] = field(default_factory=dict)  # first slots of cyclic jobs that never ran

    def __post_init__(self) -> None:
        self.done = {view.definition.id for view in self.views if view.place is Place.COMPLETED}
        self.front, self.reached = self.overview.flags.frontier, self.overview.flags.reached

    def awaits(self, phase_id: int) -> bool:
        """Whether a phase asks for an approval that it does not have."""
        phase = next((phase for phase in self.overview.phases if phase.id == phase_id), None)
        return phase is not None and awaits(phase, self.overview.approvals.get(phase_id))

    def may_run(self, view: JobView) -> bool:
        """Whether nothing is left that the job waits for."""
        needs = unmet(
            view.definition,
            front=self.front,
            reached=self.reached,
            awaits=self.awaits,
            completed=self.done.__contains__,
        )
        return needs is None

    def pass_all(self, views: Iterable[JobView]) -> tuple[int, ...]:
        """As if all of them passed; returns the phases that begin."""
        self.done |= {view.definition.id for view in views}
        unfinished = {
            view.definition.phase
            for view in self.views
            if not view.definition.cyclic and view.definition.id not in self.done
        }
        open_phases = {phase.id for phase in self.overview.phases if phase.id in unfinished or self.awaits(phase.id)}
        old, self.front = self.front, max(self.front, frontier(open_phases))
        begun = tuple(phase.id for phase in self.overview.phases if max(old, self.reached) < phase.id <= self.front)
        self.reached = max([self.reached, *begun])
        return begun


def simulate(overview: Overview, views: Sequence[JobView], interval_ms: int, beats: int) -> list[SimulatedBeat]:
    """The next so many beats, `interval_ms` apart. Of a paused or cancelled plan, beats that begin nothing."""
    world = _World(overview, sorted(views, key=lambda view: view.definition.position))
    last = overview.flags.last_heartbeat
    first = overview.now if last is None else max(last + interval_ms, overview.now)
    still = overview.flags.paused or overview.flags.cancelled or overview.flags.loading
    times = [first + number * interval_ms for number in range(beats)]
    return [
        _still_beat(number, at) if still else _beat(world, number, at, overview.now if number == 1 else at, interval_ms)
        for number, at in enumerate(times, start=1)
    ]


def _still_beat(number: int, at: Ms) -> SimulatedBeat:
    return SimulatedBeat(number, at, (), (), (), (), sovereign=False, fires=())


def _beat(world: _World, number: int, at: Ms, since: Ms, interval_ms: int) -> SimulatedBeat:
    looked = tuple(view for view in world.views if _is_looked_at(world, view, at))
    cyclic = [view for view in world.views if view.definition.cyclic and world.may_run(view)]
    was_sovereign = world.front == SOVEREIGN
    promoted = world.pass_all(looked)
    return SimulatedBeat(
        number=number,
        at=at,
        verify=tuple(view for view in looked if view.place not in (Place.WAITING, Place.RUNNING)),
        look_again=tuple(view for view in looked if view.place is Place.WAITING),
        under_way=tuple(view for view in looked if view.place is Place.RUNNING),
        promoted=promoted,
        sovereign=world.front == SOVEREIGN and not was_sovereign,
        fires=tuple(_fires(world, cyclic, since, at + interval_ms)),
    )


def _is_looked_at(world: _World, view: JobView, at: Ms) -> bool:
    job = view.definition
    if job.cyclic or job.id in world.done or view.place in STUCK:
        return False
    return world.may_run(view) and not (view.place is Place.TIMED and view.due > at)


def _fires(world: _World, views: Iterable[JobView], since: Ms, until: Ms) -> Iterator[Fires]:
    for view in views:
        anchor = view.slot or world.anchors.setdefault(view.definition.id, since)
        if slots := list(_slots(view, anchor, since, until)):
            yield Fires(view, slots[0], len(slots))


def _slots(view: JobView, anchor: Ms, since: Ms, until: Ms) -> Iterator[Ms]:
    """When a cyclic job would fire from `since` on, before `until`."""
    job = Job.model_validate(view.definition.job)
    times = timetable(job, anchor)
    slot = next_slot(times, max(anchor, since) - 1)
    for _ in range(MOST_FIRES):
        due = due_at(slot, job.jitter, job.id)
        if due >= until:
            return
        yield due
        slot = next_slot(times, slot)


def beat_document(beat: SimulatedBeat) -> dict[str, Any]:
    """A beat as `moie simulate --json` says it."""
    return {
        "beat": beat.number,
        "at": time_or_none(beat.at),
        "verify": [view.definition.id for view in beat.verify],
        "look_again": [view.definition.id for view in beat.look_again],
        "under_way": [view.definition.id for view in beat.under_way],
        "promoted_if_verified": list(beat.promoted),
        "sovereign_if_verified": beat.sovereign,
        "cyclic": [
            {"id": fires.job.definition.id, "runs": fires.count, "first_at": time_or_none(fires.first)}
            for fires in beat.fires
        ],
    }
