"""What an operator may do, one script each."""

from moie_worker.adapters.redis.base import Base, accept


class Operating(Base):
    """Pause, resume, cancel, approve, reject, retry, run, replay, discard, and the heartbeat's own record."""

    def pause(self, who: str, why: str) -> None:
        """Nothing new begins; what runs finishes and counts."""
        self.act("flag", ["plan.paused", who, why, "paused", "1"])

    def resume(self, who: str, why: str) -> None:
        """Go on, after a pause or after a cancelled plan."""
        self.act("flag", ["plan.resumed", who, why, "paused", "0", "cancelled", "0"])

    def resume_queue(self, queue: str, who: str, why: str) -> None:
        """Let a queue that a mass failure stopped take work again at once."""
        accept(f"queue {queue!r}", self.act("resume_queue", {"queue": queue, "who": who, "why": why}))

    def cancel_plan(self, who: str, why: str) -> None:
        """Nothing new begins and what runs is stopped."""
        self.act("cancel_plan", {"who": who, "why": why})

    def cancel(self, job: str, who: str, why: str) -> None:
        """Take a job out. Its phase stays open: cancelled is not done."""
        accept(f"job {job!r}", self._job("cancel", job, who, why))

    def retry(self, job: str, who: str, why: str) -> None:
        """Start a job anew: attempts and losses are forgotten."""
        accept(f"job {job!r}", self._job("retry", job, who, why))

    def run(self, job: str, who: str, why: str) -> None:
        """Look at a job now: an extra run of a cyclic job, an early look at another."""
        accept(f"job {job!r}", self._job("run", job, who, why))

    def replay(self, job: str, who: str, why: str) -> None:
        """Start the job of a dead letter again; of a cyclic job, one extra run."""
        accept(f"dead letter of job {job!r}", self._job("replay", job, who, why))

    def discard(self, job: str, who: str, why: str) -> None:
        """Drop a dead letter; a job that was dead is cancelled."""
        accept(f"dead letter of job {job!r}", self._job("discard", job, who, why))

    def answer(self, phase: int, approved: bool, who: str, why: str) -> bool:
        """Approve or reject a phase as it is now. False: another person must approve it too."""
        reply = self.act("answer", {"phase": phase, "approved": int(approved), "who": who, "why": why})
        if reply == "more":
            return False
        accept(f"phase {phase}", reply)
        return True

    def expire(self, phase: int) -> bool:
        """Write down, once, that a phase was not approved in time. False: it was, it may be yet, or it is known."""
        return bool(self.call("expire", {"phase": phase}))

    def beat(self, report: str, who: str, pulse: str = "") -> None:
        """Record a heartbeat; waiting jobs that were looked at before it may be looked at again.

        `pulse` is the id under which a beat sent it; empty for one that somebody asked for.
        """
        self.call("beat", {"report": report, "who": who, "pulse": pulse})

    def _job(self, operation: str, job: str, who: str, why: str) -> str:
        return str(self.act(operation, {"job": job, "who": who, "why": why}))
