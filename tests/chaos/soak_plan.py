"""The plan of one round of random faults: jobs of many kinds, each of which ends well in the end."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tests.farm import Farm, alone

PHASES = 4
Document = Mapping[str, Any]


class Round:
    """Makes jobs whose names begin with the number of the round."""

    def __init__(self, farm: Farm, number: int, jobs: int, rng: Random) -> None:
        self._farm, self.prefix = farm, f"r{number}."
        self.cyclic = [
            self._cyclic("skip", "2s", 0.05),
            self._cyclic("long", "1s", 2.5),  # longer than its period
            self._cyclic("queue", "2s", 0.2, overlap="queue"),
            self._cyclic("allow", "2s", 3, overlap="allow"),
            *[self._cyclic(f"c{n}", "2s", 0.02, jitter="1s", catch_up="all") for n in range(6)],
        ]
        kinds = list(KINDS)
        self.plain = [
            KINDS[rng.choices(kinds, [SHARES[kind] for kind in kinds])[0]](self, f"{self.prefix}{number}")
            for number in range(jobs)
        ]

    def phases(self) -> list[dict[str, Any]]:
        """For the document; what is cyclic stands in the last one and starts at once."""
        share = -(-len(self.plain) // PHASES)
        parts = [self.plain[start : start + share] for start in range(0, len(self.plain), share)]
        parts[-1] = [*parts[-1], *self.cyclic]
        return [{"id": n, "name": f"PART {n}", "jobs": part} for n, part in enumerate(parts, 1)]

    # -- kinds ------------------------------------------------------------------------------------

    def tells(self, job: str, before: str = "", seconds: float = 0.01) -> str:
        """A command that tells when it begins and ends; `before` stands between the two."""
        begin, end = (self._farm.sh(f"{word} {job} $MOIE_TOKEN") for word in ("begin", "end"))
        return f"{begin}; {before}{before and '; '}sleep {seconds}; {end}"

    def _mark(self, job: str) -> str:
        return f"{self._farm.work}/{job}"

    def short(self, job: str) -> Document:
        return {"id": job, "task": "be short", "verification_cmd": self.tells(job)}

    def lonely(self, job: str) -> Document:
        return {"id": job, "task": "hold a lock", "verification_cmd": alone(self._farm, job, 0.3)}

    def acting(self, job: str) -> Document:
        """Its check says no until its action was done."""
        return {
            "id": job,
            "task": "act",
            "verification_cmd": self.tells(job, f"test -e {self._mark(job)} || exit 1"),
            "action": {"use": "shell", "with": {"cmd": f"touch {self._mark(job)}"}},
        }

    def flaky(self, job: str) -> Document:
        """It cannot be run at first, and is tried again."""
        return {
            "id": job,
            "task": "be broken once",
            "verification_cmd": self.tells(job, self._first(job, "exit 127")),
            "retry": {"max": 5, "base": "200ms"},
        }

    def dying(self, job: str) -> Document:
        """It cannot be run at first, and is a dead letter until somebody replays it."""
        return {**self.flaky(job), "task": "die once", "retry": {"max": 0}}

    def killing(self, job: str) -> Document:
        """It kills the process of its worker at first."""
        return {
            "id": job,
            "task": "kill once",
            "verification_cmd": self.tells(job, self._first(job, "kill -9 $PPID; sleep 5")),
        }

    def leaving(self, job: str) -> Document:
        """It leaves a daemon that nobody may find alive."""
        return {
            "id": job,
            "task": "leave a daemon",
            "verification_cmd": self.tells(job, "(setsid sh -c 'trap \"\" TERM; sleep 900' >/dev/null 2>&1 &)"),
        }

    def _first(self, job: str, deed: str) -> str:
        return f"test -e {self._mark(job)} || {{ touch {self._mark(job)}; {deed}; }}"

    def _cyclic(self, name: str, every: str, seconds: float, **more: str) -> Document:
        job = f"{self.prefix}{name}"
        command = f"{self._farm.sh(f'slot {job} $MOIE_TOKEN $MOIE_SLOT')}; sleep {seconds}"
        timing = {"status": "cyclic", "schedule": {"every": every}, "start": "at_load"}
        return {"id": job, "task": "come again", "verification_cmd": command, **timing, **more}


Kind = Callable[[Round, str], Document]
KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (Round.short, Round.lonely, Round.acting, Round.flaky, Round.dying, Round.killing, Round.leaving)
}
SHARES = {"short": 89, "lonely": 4, "acting": 2, "flaky": 2, "dying": 1, "killing": 0.5, "leaving": 1.5}
