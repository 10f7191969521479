"""The rulings in memory: what they promise, in the fewest words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from moie_worker.plan.limits import DECISIONS, TURN_KEPT_MS
from moie_worker.plan.times import Ms, to_ms
from moie_worker.ports import Decided


@dataclass
class Throttle:
    """Who started when under one rule, and who waits in which order."""

    starts: list[Ms] = field(default_factory=list)
    waiting: dict[str, tuple[Ms, Ms]] = field(default_factory=dict)  # when each asked first, and is expected again

    def turn(self, who: str, now: Ms, most: int, per: Ms) -> Ms:
        """0 when it may start now."""
        self.starts = [start for start in self.starts if start > now - per]
        self.waiting = {
            name: times for name, times in self.waiting.items() if name == who or times[1] >= now - TURN_KEPT_MS
        }
        asked = self.waiting.get(who, (now, now))[0]
        others = ((times[0], name) for name, times in self.waiting.items() if name != who)
        rank, used = sum(other < (asked, who) for other in others), len(self.starts)
        behind = rank - max(most - used, 0)
        if behind < 0:
            self.starts.append(now)
            self.waiting.pop(who, None)
            return 0
        at = self.starts[behind] + per if behind < used else now + per * (1 + (behind - used) // most)
        self.waiting[who] = (asked, at)
        return at - now


class MemoryRulings:
    """The rulings of one plan in one process."""

    def __init__(self, now: Callable[[], Ms]) -> None:
        self._now = now
        self._throttles: dict[str, Throttle] = {}
        self._decisions: list[Decided] = []

    def turn(self, policy: str, job: str, at_most: int, per: timedelta) -> timedelta:
        """Ask for a start under a throttle; no time when the job may start now, else how long it waits."""
        throttle = self._throttles.setdefault(policy, Throttle())
        return timedelta(milliseconds=throttle.turn(job, self._now(), at_most, to_ms(per)))

    def note(self, decisions: Sequence[Decided]) -> None:
        """Keep them, the last of a plan."""
        for one in decisions:
            self._decisions.insert(0, replace(one, at=self._now()))
        del self._decisions[DECISIONS:]

    def decisions(self, number: int) -> list[Decided]:
        """The newest first, at most so many."""
        return self._decisions[:number]
