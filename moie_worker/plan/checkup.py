"""Whether the system is well: the heartbeat, who works, and everything that runs again and again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from moie_worker.plan.breaker import stopped_fields, stopped_line
from moie_worker.plan.flow import Overview
from moie_worker.plan.health import heartbeat_health, history_of, job_health
from moie_worker.plan.letters import RunHistory, Watched
from moie_worker.plan.states import Health, Place
from moie_worker.plan.status import Crew, CyclicStanding, is_sovereign, unserved
from moie_worker.plan.status_fields import cyclic_fields
from moie_worker.plan.texts import plural

UNTIMED = timedelta(minutes=10)  # the interval of a watched task that does not say its own
WELL = (Health.HEALTHY, Health.UNKNOWN)  # what has not run yet is no illness


@dataclass(frozen=True, slots=True)
class Periodic:
    """A periodic task of a watched application, and its health."""

    name: str
    runs: RunHistory
    health: Health
    message: str


@dataclass(frozen=True, slots=True)
class Checkup:
    """What `moie health` says."""

    overview: Overview
    heartbeat: Health
    heartbeat_message: str
    crew: Crew
    cyclic: Sequence[CyclicStanding]
    periodic: Sequence[Periodic]
    unsealed: str = ""  # what is wrong with the receipts
    refused: str = ""  # what workers would not run, and why

    @property
    def health(self) -> Health:
        """Of all together: what is wrong counts first, then what is not known."""
        if self.problems:
            return Health.UNHEALTHY
        return Health.UNKNOWN if self.heartbeat is Health.UNKNOWN and not self._only_watches else Health.HEALTHY

    @property
    def _only_watches(self) -> bool:
        """Without a plan no heartbeat is due: the periodic tasks of a watched application are all there is."""
        return not self.overview.phases and any(task.health is Health.HEALTHY for task in self.periodic)

    @property
    def given_up(self) -> int:
        """Jobs that nobody tries any more: their phase never ends by itself."""
        return sum(number for (_, _, place), number in self.overview.counts.items() if place is Place.DEAD)

    @property
    def idle_queues(self) -> list[str]:
        """Queues that no worker serves, where there are workers at all and the plan has work to do.

        A cyclic job of a sovereign plan that nobody runs is told as stale.
        """
        ended = is_sovereign(self.overview) or self.overview.flags.cancelled
        return unserved(self.overview, self.crew) if self.crew.workers and not ended else []

    @property
    def wrong_with_plan(self) -> Iterator[tuple[str, str]]:
        """What is wrong with the plan as a whole: what it is about, and what to know of it."""
        for queue, breaker in self.overview.stopped.items():
            yield "stopped", stopped_line(queue, breaker)
        for queue in self.idle_queues:
            yield f"queue {queue}", f"no worker serves it: celery -A moie_worker worker -Q {queue}"
        if self.overview.regressed:
            yield "regressed", f"{plural(self.overview.regressed, 'job')}: `moie status` names them"
        if self.given_up:
            yield "given up", f"{plural(self.given_up, 'job')}: `moie jobs --place dead`"
        if self.refused:
            yield "refused", self.refused
        if self.unsealed:
            yield "receipts", self.unsealed

    @property
    def problems(self) -> list[str]:
        """One line for each thing that is wrong."""
        found = [f"heartbeat: {self.heartbeat_message}"] if self.heartbeat not in WELL else []
        if self.heartbeat is not Health.UNKNOWN and not self.crew.workers:
            found.append("workers: none is there")
        found += [f"{what}: {message}" for what, message in self.wrong_with_plan]
        found += [f"worker {name}: is gone without a word" for name in self.crew.workers_gone]
        found += [f"beat {name}: is gone without a word" for name in self.crew.beats_gone]
        found += [f"{job.view.definition.id}: {job.message}" for job in self.cyclic if job.health not in WELL]
        return found + [f"{task.name}: {task.message}" for task in self.periodic if task.health not in WELL]


def checkup(
    overview: Overview,
    stale_after: timedelta,
    crew: Crew,
    cyclic: Sequence[CyclicStanding],
    watched: Sequence[tuple[Watched, RunHistory]],
    unsealed: str = "",
    refused: str = "",
) -> Checkup:
    """Judge everything by the one set of rules."""
    health, message = heartbeat_health(overview.flags.last_heartbeat, overview.now, stale_after)
    periodic = [_periodic(one, runs, overview.now) for one, runs in watched]
    return Checkup(overview, health, message, crew, cyclic, periodic, unsealed, refused)


def _periodic(watched: Watched, runs: RunHistory, now: int) -> Periodic:
    health, message = job_health(history_of(runs), watched.interval or UNTIMED, now)
    return Periodic(watched.name, runs, health, message)


def checkup_document(found: Checkup) -> dict[str, Any]:
    """The stable fields of `moie health --json`, and some more."""
    last = found.overview.flags.last_heartbeat
    age_s = None if last is None else max(found.overview.now - last, 0) / 1000
    return {
        "status": str(found.health),
        "plan": found.overview.flags.name,
        "heartbeat": {"status": str(found.heartbeat), "age_s": age_s, "message": found.heartbeat_message},
        "workers": len(found.crew.workers),
        "workers_gone": list(found.crew.workers_gone),
        "beats": len(found.crew.beats),
        "beats_gone": list(found.crew.beats_gone),
        "stopped_queues": stopped_fields(found.overview),
        "queues_without_worker": found.idle_queues,
        "problems": found.problems,
        "jobs": [*map(cyclic_fields, found.cyclic), *map(_periodic_fields, found.periodic)],
    }


def _periodic_fields(task: Periodic) -> dict[str, Any]:
    runs = task.runs
    return {
        "id": task.name,
        "status": str(task.health),
        "message": task.message,
        "runs": runs.runs,
        "failures": runs.failures,
        "failure_share": runs.kept_failures / runs.kept if runs.kept else None,
    }
