"""What beats do: offer due jobs to workers as hints."""

from moie_worker.adapters.memory.core import Core
from moie_worker.plan.breaker import tried
from moie_worker.plan.flow import Breaker, Hint, Reserved
from moie_worker.plan.limits import BATCH, FEW, HINT_JOBS, HINT_MS, OFFER_CAP_MS, OFFER_MS, RESERVE_MS
from moie_worker.plan.states import Place


class Offers(Core):
    """Reserve and sent."""

    def reserve(self, queue: str, window: int, name: str) -> Reserved:
        """Offer due jobs of a queue until its window is full; `name` makes the ids of the hints unique."""
        if self.flags.loading:
            return Reserved((), more=False, next_due=None)
        more = self._maintain(queue)
        offered = [self.jobs[job].score for job in self.of({Place.SENT}) if self.jobs[job].definition.queue == queue]
        hints = self.hints.setdefault(queue, {})
        for hint in [h for h, until in hints.items() if until < self.now]:
            del hints[hint]
        short = self.expected_ms(queue) < HINT_MS  # then a worker that ends a hint finds the next one waiting
        free = (2 * window if short else window) - len(hints)
        made: list[Hint] = []
        breaker = self.breakers.get(queue)
        stopped = breaker if breaker and breaker.opened else None
        if free > 0 and not (self.flags.paused or self.flags.cancelled):
            made = self._try_one(queue, stopped, name) if stopped else self._fill(queue, free, name)
        dues = [state.score for state in self.jobs.values() if state.place == Place.TIMED]
        dues += [score + 1 for score in offered]
        if stopped and self.breakers[queue].retry_at > self.now:
            dues.append(self.breakers[queue].retry_at)
        return Reserved(tuple(made), more, int(min(dues)) if dues else None)

    def _try_one(self, queue: str, breaker: Breaker, name: str) -> list[Hint]:
        """A queue that a mass failure stopped offers one job after each pause."""
        made = self._fill(queue, 1, name, alone=True) if self.now >= breaker.retry_at else []
        if made:
            self.breakers[queue] = tried(breaker, made[0].id, self.now)
        return made

    def _maintain(self, queue: str) -> bool:
        """Take back what was offered in vain, look at what was woken, ready what has come."""
        vain = [
            j for j in self.of({Place.SENT}) if self.jobs[j].definition.queue == queue and self.jobs[j].score < self.now
        ]
        for job in vain[:BATCH]:
            self.ready(job, self.now)
        more = self.drain()
        come = [j for j in self.of({Place.TIMED}) if self.jobs[j].score <= self.now]
        for job in come[:BATCH]:
            self.ready(job, int(self.jobs[job].score))
        return more or len(vain) > BATCH or len(come) > BATCH

    def _fill(self, queue: str, free: int, name: str, *, alone: bool = False) -> list[Hint]:
        cyclic, plain, looked = self._candidates(queue)
        few = alone or len(cyclic) + len(plain) + len(looked) <= FEW
        shares = self._shares(free, bool(cyclic), bool(plain or looked))
        hints: list[Hint] = []
        for jobs, share in ((cyclic, shares[0]), (plain + looked, shares[1])):
            for batch in self._batches(jobs, min(share, free - len(hints)), queue, few):
                hints.append(Hint(f"{name}-{len(hints)}", queue, tuple(batch)))
        for hint in hints:
            self.hints[queue][hint.id] = self.now + RESERVE_MS
        return hints

    def _candidates(self, queue: str) -> tuple[list[str], list[str], list[str]]:
        def mine(job: str) -> bool:
            return self.jobs[job].definition.queue == queue

        ready = [j for j in self.of({Place.READY}) if mine(j)]
        looked = [j for j in self.of({Place.WAITING}) if mine(j) and self.jobs[j].score < self.flags.look_before]
        return (
            [j for j in ready if self.jobs[j].definition.cyclic],
            [j for j in ready if not self.jobs[j].definition.cyclic],
            looked,
        )

    def _shares(self, free: int, cyclic: bool, plain: bool) -> tuple[int, int]:
        """Cyclic jobs go first, with at most three quarters of the window while others wait too."""
        if not (cyclic and plain):
            return free, free
        if free > 1:
            return max(1, free * 3 // 4), free
        self.turns += 1
        return (0, 1) if self.turns % 4 == 0 else (1, 1)

    def _batches(self, jobs: list[str], share: int, queue: str, few: bool) -> list[list[str]]:
        """Group jobs by what they are expected to take; a job that was lost in a batch travels alone."""
        batches: list[list[str]] = []
        room: float = 0
        for job in jobs:
            state = self.jobs[job]
            if what := self.unmet(state):
                self.park(job, what)
                continue
            cost = state.duration_ms or self.expected_ms(queue)
            alone = few or state.solo
            if not batches or alone or cost > room or len(batches[-1]) >= HINT_JOBS:
                if len(batches) == share:
                    break
                batches.append([])
                room = HINT_MS
            batches[-1].append(job)
            room = 0 if alone else room - cost
            self.move(job, Place.SENT, self.now + RESERVE_MS)
        return batches

    def sent(self, hint: Hint) -> None:
        """The hint was published: wait longer for somebody to begin it, and longer again each time."""
        until = 0
        for job in hint.jobs:
            state = self.jobs.get(job)
            if state is not None and state.place == Place.SENT:
                score = self.now + min(OFFER_MS * 2**state.offers, OFFER_CAP_MS)
                state.offers += 1
                self.move(job, Place.SENT, score)
                until = max(until, score)
        if until and hint.id in self.hints.get(hint.queue, {}):
            self.hints[hint.queue][hint.id] = until
