"""How often heartbeats come, and how old the last one may be. Beats announce it; whoever judges asks here."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from moie_worker.plan.presence import Beat

# Who died is known when its presence ends; before that nobody can tell a dead worker from a broker that loses messages.
LEAST_WATCHED = timedelta(seconds=25)
LEAST_LATE = timedelta(seconds=30)  # a machine under load is that late without anything being wrong


@dataclass(frozen=True, slots=True)
class Pace:
    """The period of heartbeats, and the limit of their age that somebody set."""

    period: timedelta
    told: timedelta | None = None  # MOIE_HEARTBEAT_STALE

    @property
    def limit(self) -> timedelta:
        """How old the last heartbeat may be: one and a half periods, at least 30 s more than one.

        What was set holds instead, unless no heartbeat of this period could keep it.
        """
        if self.told is not None and self.told > self.period:
            return self.told
        return max(self.period * 3 / 2, self.period + LEAST_LATE)

    @property
    def watched(self) -> timedelta:
        """The limit for alerts, which have to name who is at fault."""
        return max(self.limit, LEAST_WATCHED)

    def announced(self, beats: Iterable[Beat]) -> "Pace":
        """With the period that living beats announce; the longest, where they are of two minds."""
        periods = [beat.heartbeat for beat in beats if beat.heartbeat is not None]
        return replace(self, period=max(periods, default=self.period))

    def first_is_late(self, beats: Iterable[Beat], now_ms: int) -> bool:
        """Whether a beat lives for longer than the period, so that a heartbeat should have been seen."""
        return any(timedelta(milliseconds=now_ms - beat.started_at) > self.period for beat in beats)
