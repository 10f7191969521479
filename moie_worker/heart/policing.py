"""What policies make of an attempt that was begun: it runs, it is refused, or it waits for its turn."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from moie_worker.errors import MoieError
from moie_worker.heart.attempt import Run
from moie_worker.plan.approval import granted
from moie_worker.plan.decide import postponed, refused
from moie_worker.plan.duration import format_duration
from moie_worker.plan.flow import Attempt, Overview, Settlement
from moie_worker.plan.model import Job
from moie_worker.plan.policies import Decision, Policies, Policy, deciding, facts_of
from moie_worker.plan.signing import REFUSED
from moie_worker.plan.times import to_ms
from moie_worker.ports import Decided, Effect, Rulings

UNANSWERED = timedelta(seconds=5)  # until a job is tried again for which Redis could not be asked
UNAPPROVED = timedelta(minutes=1)  # until one is that does not wait for its phase, which is not approved yet

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Policing:
    """The rules of a worker, for one plan, and what they need to know."""

    plan: str
    worker: str
    rules: Policies
    rulings: Rulings
    overview: Callable[[], Overview]

    def stopped(self, runs: Iterable[Run]) -> list[Settlement]:
        """How those of some attempts end that may not run now. What rules decided is kept."""
        said: list[Decided] = []
        ended = [self._ruled(run.attempt, run.job, said) for run in runs]
        self._keep(said)
        return [settlement for settlement in ended if settlement is not None]

    def _ruled(self, attempt: Attempt, job: Job, said: list[Decided]) -> Settlement | None:
        policy = deciding(self.rules, facts_of(self.plan, job))
        if policy is None:
            return None
        effect, message, wait = self._effect(policy, attempt, job)
        said.append(Decided(job.id, policy.name, policy.decide, effect, message, self.worker))
        match effect:
            case Effect.RUNS:
                return None
            case Effect.REFUSED:
                return refused(attempt, f"{REFUSED}{message}")
            case Effect.WAITS:
                return postponed(attempt, message, to_ms(wait))
            case _ as never:
                assert_never(never)

    def _keep(self, said: Sequence[Decided]) -> None:
        """Where Redis is away it is in the log only."""
        if not said:
            return
        try:
            self.rulings.note(said)
        except MoieError as error:
            log.warning("decisions of policies cannot be kept (%s): %s", error, said)

    def _effect(self, policy: Policy, attempt: Attempt, job: Job) -> tuple[Effect, str, timedelta]:
        match policy.decide:
            case Decision.ALLOW:
                return Effect.RUNS, policy.told, timedelta()
            case Decision.DENY:
                return Effect.REFUSED, f"job {job.id} is denied by {policy.told}", timedelta()
            case Decision.APPROVE | Decision.THROTTLE:
                try:
                    if policy.decide is Decision.APPROVE:
                        return self._approved(policy, attempt)
                    return self._turn(policy, job)
                except MoieError as error:
                    return Effect.WAITS, f"{policy.told}; Redis cannot be asked: {error}", UNANSWERED
            case _ as never:
                assert_never(never)

    def _approved(self, policy: Policy, attempt: Attempt) -> tuple[Effect, str, timedelta]:
        overview, wanted = self.overview(), attempt.definition.phase
        phase = next((phase for phase in overview.phases if phase.id == wanted), None)
        if phase is None or not phase.approval:
            message = f"phase {wanted} must ask for approval: write `approval: required` there ({policy.told})"
            return Effect.REFUSED, message, timedelta()
        if granted(phase, overview.approvals.get(wanted)):
            return Effect.RUNS, f"phase {wanted} is approved ({policy.told})", timedelta()
        return Effect.WAITS, f"phase {wanted} is not approved yet ({policy.told})", UNAPPROVED

    def _turn(self, policy: Policy, job: Job) -> tuple[Effect, str, timedelta]:
        wait = self.rulings.turn(policy.name, job.id, policy.at_most or 1, policy.per or timedelta())
        if not wait:
            return Effect.RUNS, f"{policy.rate} ({policy.told})", wait
        return Effect.WAITS, f"waits {format_duration(wait)} for its turn, {policy.rate} ({policy.told})", wait
