"""Snapshots of the twin: a capture is the saved plan itself."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from moie_worker.adapters.memory.core import JobState, Letter, ManualTime
from moie_worker.adapters.memory.loading import Loading
from moie_worker.errors import RefusedError
from moie_worker.plan.definition import Compiled, Definition, PhaseDefinition, canonical
from moie_worker.plan.flow import BEFORE_ANY, Approval, Stopped, Vote
from moie_worker.plan.letters import RunHistory
from moie_worker.plan.limits import CAPTURES
from moie_worker.plan.snapshot import KEPT, OPEN, SCORED, Saved, SavedJob, order
from moie_worker.plan.states import Place
from moie_worker.plan.times import Ms

FINAL = frozenset({Place.COMPLETED, Place.DEAD, Place.CANCELLED})


class Snapshots(Loading):
    """Capture, read, restore."""

    def __init__(self, plan: str, time: ManualTime) -> None:
        super().__init__(plan, time)
        self._captured: dict[str, Saved] = {}
        self._promotions: list[str] = []
        self._restored: dict[str, SavedJob] = {}
        self._source: Saved | None = None

    # -- capture ----------------------------------------------------------------------------------

    def capture(self) -> str:
        """Hold fast where every job stands now, in one step; returns the name of the capture."""
        name = str(len(self._captured) + 1)
        self._captured[name] = self._photograph()
        return name

    def before_promotion(self) -> None:
        """Promotions that follow each other faster than heartbeats leave the newest captures."""
        self._promotions = [*self._promotions, self.capture()][-CAPTURES:]

    def captures(self) -> list[str]:
        """Captures that promotions left, the oldest first."""
        return list(self._promotions)

    def drop(self, capture: str) -> None:
        """The capture was saved."""
        self._promotions = [name for name in self._promotions if name != capture]

    def saved(self, capture: str) -> Saved | None:
        """Read a capture; None when it is gone, or when another revision was loaded meanwhile."""
        found = self._captured.get(capture)
        return found if found is not None and 0 < found.revision == self.flags.revision else None

    def _photograph(self) -> Saved:
        flags = self.flags
        gone = {lease.job for lease in self.leases.values() if lease.stopped is Stopped.REMOVED}
        return Saved(
            plan=self.plan,
            revision=0 if flags.loading else flags.revision,
            at=self.now,
            journal=self.journal[-1].id if self.journal else "0-0",
            flags={
                "paused": str(int(flags.paused)), "cancelled": str(int(flags.cancelled)),
                "frontier": str(flags.frontier), "reached": str(flags.reached),
            },
            meta=dict(self.meta),
            phases={str(phase.id): phase.to_json() for phase in self.phases.values()},
            approvals={str(phase): canonical(asdict(answer)) for phase, answer in self.approvals.items()},
            letters={f"job:{job}": _letter_fields(job, letter) for job, letter in self.letters.items()},
            totals={job: _totals(history, self.freed[job]) for job, history in self.histories.items()},
            lines=order(_saved_job(state).line() for job, state in self.jobs.items() if job not in gone),
        )  # fmt: skip

    # -- restore ----------------------------------------------------------------------------------

    def restore(
        self, saved: Saved, base: int, who: str, why: str, progress: Callable[[int], None] = lambda _: None
    ) -> int:
        """Stage and commit what was saved over revision `base`; returns the new revision. `apply` does the rest."""
        if base != self.flags.revision or self.flags.loading:
            raise RefusedError("the plan was changed by somebody else meanwhile: look at it and load again")
        definitions = tuple(Definition.from_json(job.definition) for job in saved.jobs)
        phases = tuple(PhaseDefinition.from_json(text) for text in saved.phases.values())
        self._stage(Compiled(saved.meta, phases, definitions), who)
        self._restored, self._source = {job.id: job for job in saved.jobs}, saved
        if base == 0:
            self._take_flags(saved.flags)
        self._take_approvals(saved.approvals)
        revision = (base or saved.revision) + 1
        self.set(revision=revision, loading=True)
        told: dict[str, Any] = {"revision": revision, "saved_revision": saved.revision, "saved_at": saved.at}
        self.log("plan.restored", who=who, why=why, **told)
        progress(len(saved.jobs))
        return revision

    def _take_flags(self, flags: Mapping[str, str]) -> None:
        self.set(
            paused=flags.get("paused") == "1",
            cancelled=flags.get("cancelled") == "1",
            frontier=int(flags.get("frontier", BEFORE_ANY)),
            reached=int(flags.get("reached", BEFORE_ANY)),
        )

    def _take_approvals(self, approvals: Mapping[str, str]) -> None:
        for phase, text in approvals.items():
            request = _request(json.loads(text))
            live = self.approvals.get(int(phase))
            if live is None or live.digest != request.digest:
                self.approvals[int(phase)] = request

    def _apply_one(self, job: str) -> None:
        saved = self._restored.get(job)
        if saved is None:
            super()._apply_one(job)
        else:
            self._restore_one(saved)

    def _finish(self, plan: Compiled) -> None:
        super()._finish(plan)
        self._restored, self._source = {}, None

    def _restore_one(self, saved: SavedJob) -> None:
        live, new = self.jobs.get(saved.id), Definition.from_json(saved.definition)
        if live is not None:
            self._fence(saved.id, new, final=saved.place in FINAL)
        self._restore_memory(saved.id)
        self.jobs[saved.id] = _state(saved, new, self.flags.revision, live)
        self._restore_regression(new.verifies, self.jobs[saved.id])
        self._settle_down(saved, live)

    def _fence(self, job: str, new: Definition, *, final: bool) -> None:
        """A job that will be due again stays under its lease until its holder has stopped; else its token is void."""
        self.stop_attempts(job, Stopped.SUPERSEDED)
        void = [
            token for token, each in self.leases.items()
            if each.job == job and (final or (each.armed and not new.cyclic))
        ]  # fmt: skip
        for token in void:
            del self.leases[token]

    def _restore_memory(self, job: str) -> None:
        source = self._source
        self.letters.pop(job, None)
        if source is None:
            return
        if fields := source.letters.get(f"job:{job}"):
            self.letters[job] = _letter(fields)
        if job not in self.histories and (totals := source.totals.get(job)):
            self.histories[job] = RunHistory(job, int(totals["runs"]), int(totals["failures"]), 0, ())
            self.freed[job] = int(totals["last_at"])

    def _restore_regression(self, job: str, look: JobState) -> None:
        """That a job regressed is said by the evidence of what looked at it."""
        if job:
            self.regressed.pop(job, None)
            if since := look.evidence.get("regressed"):
                self.regressed[job] = since

    def _settle_down(self, saved: SavedJob, live: JobState | None) -> None:
        """A slot that came since is not run again: the later of live and saved holds."""
        score: float = saved.score
        if live is not None and live.slot > saved.slot:
            score = live.score if live.place is Place.TIMED else live.slot
        if live is not None and live.place is Place.RUNNING and saved.place not in FINAL:
            self.jobs[saved.id].token = live.token
            self.move(saved.id, Place.RUNNING)
        elif saved.place == OPEN:
            self.route(saved.id)
        else:
            self.move(saved.id, Place(saved.place), 0 if saved.place in FINAL else score)


def _saved_job(state: JobState) -> SavedJob:
    """In flight is open, and what was begun and not ended counts as never begun."""
    return SavedJob(
        id=state.definition.id,
        place=state.place if state.place in KEPT else OPEN,
        attempts=max(0, state.attempts - (state.place is Place.RUNNING)),
        losses=state.losses,
        solo=int(state.solo),
        duration_ms=state.duration_ms,
        first_at=state.first_at,
        score=int(state.score) if state.place in SCORED else 0,
        slot=state.slot,
        definition=state.definition.to_json(),
        evidence=canonical(state.evidence) if state.evidence else "",
    )


def _state(saved: SavedJob, definition: Definition, revision: int, live: JobState | None) -> JobState:
    return JobState(
        definition,
        revision,
        Place.PARKED,
        attempts=saved.attempts,
        losses=saved.losses,
        solo=bool(saved.solo),
        duration_ms=saved.duration_ms,
        first_at=saved.first_at,
        slot=max(saved.slot, live.slot if live else 0),
        evidence=json.loads(saved.evidence) if saved.evidence else {},
    )


def _request(fields: dict[str, Any]) -> Approval:
    no = fields["no"]
    votes = tuple(Vote(**vote) for vote in fields["yes"])
    return Approval(**fields | {"yes": votes, "no": Vote(**no) if no else None})


def _letter_fields(job: str, letter: Letter) -> dict[str, str]:
    fields: dict[str, Any] = asdict(letter) | {"id": f"job:{job}", "kind": "job", "job": job}
    return {name: str(value) for name, value in fields.items() if value is not None}


def _letter(fields: Mapping[str, str]) -> Letter:
    replayed = fields.get("replayed_at")
    return Letter(
        fields["reason"],
        int(fields["attempts"]),
        int(fields["first_at"]),
        int(fields["last_at"]),
        int(fields["deaths"]),
        int(replayed) if replayed else None,
    )


def _totals(history: RunHistory, last_at: Ms) -> dict[str, str]:
    return {"runs": str(history.runs), "failures": str(history.failures), "last_at": str(last_at)}
