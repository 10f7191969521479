"""Loading a plan: stage under a name of its own, commit by one pointer, apply in pieces that anybody may go on with."""

import json
import secrets
from collections.abc import Callable

from moie_worker.adapters.redis.base import Base
from moie_worker.errors import RefusedError
from moie_worker.plan.definition import Compiled, canonical

STAGE_TTL_S = 3600  # what a loader that died has staged goes by itself
CHUNK = 2000
CHANGED = "the plan was changed by somebody else meanwhile: look at it and load again"


class Loading(Base):
    """Stage, commit, apply."""

    def load(
        self, plan: Compiled, base: int, who: str, why: str, progress: Callable[[int], None] = lambda _: None
    ) -> int:
        """Stage and commit a plan made against revision `base`; returns the new revision. `apply` does the rest."""
        self._refuse_unless_at(base)
        stage, todo = (self.key("stage", secrets.token_hex(8), part) for part in ("defs", "todo"))
        for start in range(0, len(plan.jobs), CHUNK):
            chunk = plan.jobs[start : start + CHUNK]
            with self.reaching(), self.client.pipeline(transaction=False) as pipe:
                pipe.hset(stage, mapping={job.id: job.to_json() for job in chunk})
                pipe.rpush(todo, *(job.id for job in chunk))
                pipe.expire(stage, STAGE_TTL_S)
                pipe.expire(todo, STAGE_TTL_S)
                pipe.execute()
            progress(len(chunk))
        self._stage_removals(plan, todo)
        phases = [{"id": phase.id, "text": phase.to_json()} for phase in plan.phases]
        revision = self.act(
            "commit",
            {
                "base": base,
                "meta": canonical(plan.meta),
                "phases": canonical(phases),
                "queues": json.dumps(sorted({job.queue for job in plan.jobs})),
                "who": who,
                "why": why,
            },
            [stage, todo],
        )
        if not revision:
            raise RefusedError(CHANGED)
        return int(revision)

    def _refuse_unless_at(self, base: int) -> None:
        """What is staged leaves out no job of the base, so all of them must be there already."""
        with self.reaching():
            revision, loading = self.client.hmget(self.key("plan"), "revision", "loading")
        if int(revision or 0) != base or loading:
            raise RefusedError(CHANGED)

    def _stage_removals(self, plan: Compiled, todo: str) -> None:
        kept = {job.id for job in plan.jobs}
        with self.reaching():
            self._stage_gone(kept, todo)

    def _stage_gone(self, kept: set[str], todo: str) -> None:
        gone = sorted(job for job, _ in self.client.hscan_iter(self.key("state"), count=1000) if job not in kept)
        for start in range(0, len(gone), CHUNK):
            self.client.rpush(todo, *gone[start : start + CHUNK])

    def apply(self) -> int | None:
        """Bring the next batch of jobs to the new revision; returns how many are left, None when nothing loads."""
        left = int(self.call("apply"))
        return None if left < 0 else left
