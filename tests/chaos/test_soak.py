"""Random faults for as long as one likes: `make soak SEED=7 SECONDS=3600`.

Three workers, two beats and a Redis that stay the same for the whole time; a plan of another six thousand jobs comes
in the place of each that ended. After each round nothing may be lost, settled twice or left behind.
"""

import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from random import Random

import pytest
import redis

from moie_worker.adapters.guard import everyone, token_of
from moie_worker.errors import MoieError
from moie_worker.plan.flow import JournalEntry
from moie_worker.plan.limits import JOURNAL_KEPT
from moie_worker.plan.states import Place
from tests.chaos import oracle
from tests.chaos.misfortunes import AFAR, BEATS, WORKERS, Scene, calm, strike
from tests.chaos.soak_plan import Round
from tests.farm import Farm, say, wait_until
from tests.web_kit import Answer, ScriptedServer
from tests.wire import Wire

pytestmark = [pytest.mark.chaos, pytest.mark.whole]

JOBS = 6000
FAULTY_S = 240.0  # of a round; then it is let come to its end
PATIENCE_S = 180.0
LOADED_AGAIN = 0.1  # share of the faults after which somebody loads the plan again as it is
PERIODS_S = 60.0  # within which each cyclic job runs again once all is well


@dataclass
class Tally:
    """What became of everything, over all rounds."""

    attempts: int = 0
    jobs: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)

    def text(self, scene: Scene) -> str:
        """For people."""
        deeds = ", ".join(f"{number} {name}" for name, number in sorted(scene.deeds.items()))
        ends = ", ".join(f"{number} {name}" for name, number in sorted(scene.by_themselves.items())) or "none"
        events = ", ".join(f"{number} {name}" for name, number in sorted(self.events.items()))
        return (
            f"{self.attempts} attempts at {self.jobs} jobs and their slots; {scene.deeds.total()} faults: {deeds}\n"
            f"{len(self.lost)} lost, {len(self.twice)} settled twice, {len(self.left)} left behind, "
            f"{len(self.wrong)} otherwise wrong\nprocesses that ended by themselves: {ends}\njournal: {events}"
        )

    @property
    def clean(self) -> bool:
        """Nothing is wrong."""
        return not (self.lost or self.twice or self.left or self.wrong)


class Soak:
    """Rounds of a plan under faults."""

    def __init__(self, farm: Farm, rng: Random) -> None:
        farm.settings |= {"MOIE_LEASE": "6s", "MOIE_RENEW": "2s"}
        farm.server.client.config_set("maxmemory-policy", "noeviction")
        self.farm, self.rng, self.tally = farm, rng, Tally()
        self.scene = Scene(farm, Wire(farm.directory / "wire", farm.server.socket), rng)
        for name in (*WORKERS, *BEATS):
            self.scene.start(name)
        farm.ready(*WORKERS)
        assert AFAR in WORKERS
        self._dice = Random(rng.random())  # of whoever operates, which depends on what died when
        self._entries: list[JournalEntry] = []  # of this round
        self._known: set[str] = set()  # of all rounds

    def round(self, number: int, faulty_s: float) -> None:
        """Load, break and heal until all is verified or the time is over, let it end, look."""
        plan = Round(self.farm, number, JOBS, self.rng)
        self._load(plan)
        until = time.monotonic() + faulty_s
        while time.monotonic() < until and not self._ended(plan):
            self.scene.last(6)
            strike(self.scene)
            self.scene.supervise()
            self._operate()
            if self._dice.random() < LOADED_AGAIN:
                self._load(plan)
        calm(self.scene)
        self._let_it_end(plan)
        self._look(plan)

    def _load(self, plan: Round) -> None:
        """Whoever loads may meet a load that goes on, or a Redis that is not quite there: then again."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                return self.farm.load_phases(*plan.phases())
            except (MoieError, redis.RedisError):
                time.sleep(0.5)
        raise AssertionError("the plan cannot be loaded")

    def _ended(self, plan: Round) -> bool:
        done = self.farm.places().get(Place.COMPLETED, 0)
        return done == len(plan.plain)

    def _operate(self) -> None:
        """Replay, twice, what died."""
        with suppress(MoieError):
            dead = [entry.job for entry in self._journal() if entry.event == "job.dead"]
            for job in dict.fromkeys(dead):
                for _ in range(2):
                    with suppress(MoieError):
                        self.farm.store.replay(job, "soak", "")

    def _let_it_end(self, plan: Round) -> None:
        """As long as jobs end; what stands still for long is lost."""
        done, until = -1, time.monotonic() + PATIENCE_S
        while not self._ended(plan) and time.monotonic() < until:
            self._operate()
            time.sleep(1)
            if (now_done := self.farm.places().get(Place.COMPLETED, 0)) > done:
                done, until = now_done, time.monotonic() + PATIENCE_S
        slots = len(self.farm.told())
        wait_until(lambda: len(self.farm.told()) >= slots + len(plan.cyclic), "cyclic jobs go on", PERIODS_S)
        self.farm.store.pause("soak", "look")
        wait_until(lambda: not self.farm.store.in_places([Place.RUNNING], 1), "what ran has ended", PATIENCE_S)

    # -- looking ----------------------------------------------------------------------------------

    def _journal(self) -> list[JournalEntry]:
        """What happened in this round; read often, because Redis keeps the newest entries only."""
        found = self.farm.store.read_journal(JOURNAL_KEPT)
        if len(found) >= JOURNAL_KEPT and found[0].id not in self._known:
            self.tally.wrong.append("the journal was cut between two looks: make rounds smaller")
        fresh = [entry for entry in found if entry.id not in self._known]
        self._known.update(entry.id for entry in fresh)
        self._entries += fresh
        return self._entries

    def _look(self, plan: Round) -> None:
        told, journal = self.farm.told(), self._journal()
        tokens: dict[str, list[str]] = {}
        for word, job, token, *_ in told:
            if word in ("begin", "slot") and token not in tokens.setdefault(job, []):
                tokens[job].append(token)
            if word == "beside":
                self.tally.twice.append(f"{job} ran beside itself")
        self._look_at_jobs(plan, tokens, Counter(entry.job for entry in journal if entry.event == "job.passed"))
        self._look_for_processes({token for each in tokens.values() for token in each})
        try:
            oracle.holds(self.farm, len(plan.plain) + len(plan.cyclic))
        except AssertionError as error:
            self.tally.wrong.append(str(error))
        self.tally.jobs += len(plan.plain)
        self.tally.attempts += sum(map(len, tokens.values()))
        self.tally.events.update(entry.event for entry in journal)
        self._entries = []
        (self.farm.directory / "told").unlink()
        self.farm.store.resume("soak", "")

    def _look_at_jobs(self, plan: Round, tokens: dict[str, list[str]], passed: Counter[str]) -> None:
        for job in (str(job["id"]) for job in plan.plain):
            view = self.farm.store.job(job)
            if view.place is not Place.COMPLETED:
                self.tally.lost.append(f"{job} is {view.place}")
            elif passed[job] != 1:
                self.tally.twice.append(f"{job} was settled {passed[job]} times")
            elif view.evidence["token"] != tokens[job][-1]:
                self.tally.twice.append(f"{job} was settled by {view.evidence['token']}, told: {tokens[job]}")
        for job in (str(job["id"]) for job in plan.cyclic):
            if not tokens.get(job):
                self.tally.lost.append(f"{job} never ran")
            elif passed[job] > len(tokens[job]):
                self.tally.twice.append(f"{job}: {passed[job]} endings of {len(tokens[job])} runs")

    def _look_for_processes(self, tokens: set[str]) -> None:
        for process in everyone():
            if process.alive and (token := token_of(process.pid)) in tokens:
                self.tally.left.append(f"{token}: process {process.pid}")

    def memory(self) -> str:
        """Of Redis, which must not grow from round to round."""
        return str(self.farm.server.client.info("memory")["used_memory_human"])


OUTSIDE = (
    Answer(200),
    Answer(500),
    Answer(302, headers={"location": "http://127.0.0.1:1/"}),
    Answer(200, b"x" * 1_000_000),
)


@pytest.mark.timeout(0)
def test_random_faults_lose_double_and_leave_nothing(farm: Farm, rng: Random, request: pytest.FixtureRequest) -> None:
    seconds = float(request.config.getoption("soak"))
    answers = cycle(OUTSIDE)  # who is told of heartbeats fails in every way, and now and then does not
    with ScriptedServer(lambda _: next(answers)) as server:
        farm.settings["MOIE_PING_URL"] = f"{server.url}/alive"
        soak = Soak(farm, rng)
        until, number = time.monotonic() + seconds, 0
        while time.monotonic() < until and soak.tally.clean:
            number += 1
            soak.round(number, min(FAULTY_S, until - time.monotonic()))
            load = os.getloadavg()[0]
            say(f"after round {number}, Redis holds {soak.memory()}, load {load:.1f}:\n{soak.tally.text(soak.scene)}")
    assert soak.tally.clean, soak.tally
