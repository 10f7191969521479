"""The breakers of queues: written only while something is wrong."""

from moie_worker.adapters.memory.core import Core, Lease
from moie_worker.plan.breaker import NOT_TRIED, failed_again, is_bad, noted
from moie_worker.plan.flow import Settlement
from moie_worker.plan.states import Place


class Breaking(Core):
    """What an ending says of its queue."""

    def is_open(self, queue: str) -> bool:
        """Whether a mass failure stopped the queue."""
        breaker = self.breakers.get(queue)
        return breaker is not None and breaker.opened > 0

    def judge_settled(self, this: Settlement, record: Lease) -> bool:
        """Note an ending. True: its job waits instead of dying or of using up a retry, for its queue is stopped."""
        state = self.jobs[record.job]
        bad = is_bad(this, acts="action" in state.definition.job)
        tried = this.outcome not in NOT_TRIED
        self.judge(record, bad=bad, reason=this.reason or this.message, tried=tried)
        costs = this.place is Place.DEAD or (this.place is Place.TIMED and not state.definition.cyclic)
        return bad is True and costs and self.is_open(state.definition.queue)

    def judge(self, record: Lease, *, bad: bool | None, reason: str, tried: bool = True) -> None:
        """Note an ending: it may stop its queue, or, of the one job that a stopped queue tries, let it go on."""
        queue = self.jobs[record.job].definition.queue
        breaker = self.breakers.get(queue)
        if breaker is not None and breaker.opened:
            if record.canary != breaker.opened or not tried:
                return
            if bad is False:
                self.close_breaker(queue)
            else:
                self.breakers[queue] = failed_again(breaker, self.now)
        elif bad is not None:
            after = noted(breaker, record.job, bad=bad, reason=reason, now=self.now)
            self.breakers.pop(queue, None)
            if after is not None:
                self.breakers[queue] = after
            if self.is_open(queue):
                self.log("queue.stopped", why=reason, queue=queue)

    def hold(self, job: str) -> None:
        """Try a job again when its queue does, as if this had not been tried."""
        state = self.jobs[job]
        state.attempts -= 1
        self.log("job.held", job)
        self.move(job, Place.TIMED, max(self.now, self.breakers[state.definition.queue].retry_at))

    def close_breaker(self, queue: str, who: str = "", why: str = "") -> None:
        """Let a queue take work again."""
        del self.breakers[queue]
        self.log("queue.resumed", who=who, why=why, queue=queue)
