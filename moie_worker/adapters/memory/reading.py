"""What can be asked of a plan."""

from collections import Counter
from collections.abc import Iterable, Sequence

from moie_worker.adapters.memory.core import Core, JobState
from moie_worker.errors import NotFoundError
from moie_worker.plan.flow import JobView, JournalEntry, Overview, Regression
from moie_worker.plan.journal import is_act
from moie_worker.plan.letters import RunHistory
from moie_worker.plan.states import Place
from moie_worker.plan.status import is_imported
from moie_worker.plan.times import Ms


class Reading(Core):
    """Reads; none of them changes anything."""

    def queues(self) -> list[str]:
        """The queues that the jobs of the plan are in."""
        return sorted({state.definition.queue for state in self.jobs.values()})

    def overview(self) -> Overview:
        """Flags, phases and counts."""
        own = [s for s in self.jobs.values() if not s.definition.verifies]
        counts = Counter((s.definition.phase, s.definition.cyclic, s.place) for s in own)
        return Overview(
            flags=self.flags,
            now=self.now,
            phases=tuple(self.phases[phase] for phase in sorted(self.phases)),
            open_phases=self.open_phases(),
            counts=dict(counts),
            approvals=dict(self.approvals),
            dead_letters=len(self.letters),
            queues=tuple(self.queues()),
            breakers=dict(self.breakers),
            looks=dict(Counter(s.place for s in self.jobs.values() if s.definition.verifies)),
            regressed=len(self.regressed),
            imported=sum(is_imported(s.place, s.evidence) for s in own),
        )

    def job(self, job: str) -> JobView:
        """One job with its state."""
        state = self.jobs.get(job)
        if state is None:
            raise NotFoundError(f"no job {job!r}")
        return self._view(state)

    def in_places(self, places: Sequence[Place], limit: int) -> list[JobView]:
        """At most so many jobs of some places that keep an order: timed, ready, waiting, sent, running."""
        return [self._view(self.jobs[job]) for job in self.of(places)[:limit]]

    def all_jobs(self) -> Iterable[JobView]:
        """Every job of the document, in no order; reads in pieces."""
        return [self._view(state) for state in self.jobs.values() if not state.definition.verifies]

    def cyclic(self) -> list[str]:
        """Ids of the cyclic jobs of the document."""
        own = (state.definition for state in self.jobs.values() if not state.definition.verifies)
        return sorted(definition.id for definition in own if definition.cyclic)

    def regressions(self, limit: int) -> list[Regression]:
        """At most so many jobs that held and hold no more, the oldest first."""
        oldest = sorted((since, job) for job, since in self.regressed.items())[:limit]
        return [self._regression(job, since) for since, job in oldest]

    def _regression(self, job: str, since: Ms) -> Regression:
        definition = self.jobs[job].definition
        look = self.jobs.get(definition.reverified_by)
        return Regression(definition, since, look.evidence if look else {})

    def history(self, name: str) -> RunHistory:
        """The last runs of a cyclic job and its counters."""
        return self.histories.get(name, RunHistory(name, 0, 0, 0, ()))

    def read_journal(self, limit: int) -> list[JournalEntry]:
        """The newest entries, oldest first."""
        return self.journal[-limit:]

    def read_acts(self, limit: int) -> list[JournalEntry]:
        """The newest entries of what people and the plan did, oldest first: they outlast the journal."""
        return [entry for entry in self.journal if is_act(entry.event)][-limit:]

    def _view(self, state: JobState) -> JobView:
        return JobView(
            definition=state.definition,
            place=state.place,
            revision=state.revision,
            attempts=state.attempts,
            losses=state.losses,
            first_at=state.first_at,
            due=int(state.score) if state.place == Place.TIMED else 0,
            slot=state.slot,
            token=state.token,
            evidence=state.evidence,
        )
