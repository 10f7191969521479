"""When a part that died is started again, and when enough is enough. Pure: times are arguments, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """Delays double from `first_s` to `longest_s`; a life of `healthy_s` begins anew; too many deaths end it."""

    first_s: float = 0.5
    longest_s: float = 10.0
    healthy_s: float = 30.0
    deaths: int = 5
    within_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Deaths:
    """What is remembered of the deaths of one part."""

    times: tuple[float, ...] = ()
    in_a_row: int = 0

    def another(self, started: float, now: float, rules: Rules) -> "Deaths":
        """With one more, of a process that began at `started`."""
        recent = tuple(time for time in self.times if now - time < rules.within_s)
        unbroken = 0 if now - started >= rules.healthy_s else self.in_a_row
        return Deaths((*recent, now), unbroken + 1)

    def delay_s(self, rules: Rules) -> float | None:
        """How long to wait before the next start; None when it should not be tried again."""
        if len(self.times) >= rules.deaths:
            return None
        return min(rules.longest_s, rules.first_s * 2.0 ** (self.in_a_row - 1))
