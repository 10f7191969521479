"""What somebody is told of, how often, and when it is over."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from moie_worker.adapters.memory import MemoryStore
from moie_worker.adapters.memory.core import ManualTime
from moie_worker.adapters.memory_dead_letters import MemoryDeadLetters
from moie_worker.alerts.rules import gone_workers, no_beat, stale_heartbeats
from moie_worker.alerts.watch import watch
from moie_worker.errors import MoieError
from moie_worker.plan.compile import compile_plan
from moie_worker.plan.letters import Death, LetterKind
from moie_worker.plan.model import Plan
from moie_worker.plan.pace import Pace
from moie_worker.plan.presence import Beat
from moie_worker.plan.times import moment
from tests.unit.heart_kit import FakeFleet, FlakyStore

STALE = timedelta(minutes=15)
PACE = Pace(timedelta(minutes=10))
QUARTER_MS = 15 * 60_000
JOB = {"id": "a", "task": "t", "verification_cmd": "true"}
BEAT = Beat("b", "h", 1, 0)
QUICK = replace(BEAT, heartbeat=timedelta(seconds=15))


class HeldAlerts:
    """What stands, and all that was ever raised and cleared."""

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}
        self.events: list[str] = []

    def raise_once(self, name: str, message: str) -> bool:
        if name in self.messages:
            return False
        self.messages[name] = message
        self.events.append(f"raised {name}")
        return True

    def clear_once(self, name: str) -> bool:
        if self.messages.pop(name, None) is None:
            return False
        self.events.append(f"cleared {name}")
        return True

    def standing(self) -> Mapping[str, str]:
        return dict(self.messages)


class Post:
    """One plan under watch."""

    def __init__(self) -> None:
        self.time = ManualTime()
        self.store = MemoryStore("p", self.time)
        self.fleet = FakeFleet(["p"], living=[BEAT])
        self.alerts = HeldAlerts()
        self.letters = MemoryDeadLetters(lambda: moment(self.time.now))

    def look(self) -> list[str]:
        """One look of one watcher; returns what it changed."""
        before = len(self.alerts.events)
        watch(self.fleet, lambda _: self.store, lambda _: self.letters, self.alerts, PACE)
        return self.alerts.events[before:]


def test_a_heartbeat_of_exactly_the_limit_is_not_stale() -> None:
    time = ManualTime()
    store = MemoryStore("p", time)
    assert stale_heartbeats([store.overview()], STALE) == {}  # nobody beat yet: unknown
    store.beat("", "w")
    time.advance(QUARTER_MS)
    assert stale_heartbeats([store.overview()], STALE) == {}
    time.advance(1)
    (told,) = stale_heartbeats([store.overview()], STALE).items()
    assert told[0] == "heartbeat:p"
    assert told[1].startswith("plan p: last heartbeat 15 min ago")


def test_a_stale_heartbeat_is_told_once_and_so_is_its_return(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    post = Post()
    post.store.beat("", "w")
    assert post.look() == []
    post.time.advance(QUARTER_MS + 1)
    assert [post.look() for _ in range(3)] == [["raised heartbeat:p"], [], []]  # three watchers
    post.store.beat("", "w")
    assert [post.look() for _ in range(3)] == [["cleared heartbeat:p"], [], []]
    assert [record.levelname for record in caplog.records] == ["CRITICAL", "WARNING"]


def test_a_heartbeat_is_judged_by_the_period_that_beats_announce() -> None:
    post = Post()
    post.fleet.living = [QUICK]
    post.store.beat("", "w")
    post.time.advance(45_000)
    assert post.look() == []
    post.time.advance(1)
    assert post.look() == ["raised heartbeat:p"]


def test_a_heartbeat_that_goes_again_is_told_again() -> None:
    post = Post()
    for _ in range(2):
        post.store.beat("", "w")
        post.look()
        post.time.advance(QUARTER_MS + 1)
        assert post.look() == ["raised heartbeat:p"]


def test_a_paused_plan_that_beats_raises_nothing() -> None:
    post = Post()
    post.store.pause("ops", "")
    post.store.beat("", "w")
    assert post.look() == []


def test_a_worker_that_went_without_a_word_is_told_until_it_is_back() -> None:
    post = Post()
    post.fleet.gone = ["w1"]
    assert [post.look(), post.look()] == [["raised worker:w1"], []]
    post.fleet.gone = []
    assert post.look() == ["cleared worker:w1"]
    assert set(gone_workers(["w1", "w2"])) == {"worker:w1", "worker:w2"}


def test_without_a_beat_nothing_becomes_due_and_somebody_is_told() -> None:
    post = Post()
    post.fleet.living = []
    assert post.look() == ["raised beat"]
    post.fleet.living = [BEAT]
    assert post.look() == ["cleared beat"]
    assert no_beat(living=0, plans=0) == {}


def test_a_plan_that_stands_still_because_nobody_approved_it_is_an_alert_until_somebody_does() -> None:
    post = Post()
    phase = {"id": 1, "name": "p", "approval": {"expires": "10m"}, "jobs": [JOB]}
    post.store.load(compile_plan(Plan.model_validate({"phases": [phase]}), post.time.now), 0, "ops", "")
    post.store.apply()
    post.time.advance(599_999)
    assert post.look() == []
    post.time.advance(1)
    assert post.look() == ["raised approval:p:1"]
    post.store.answer(1, True, "ada", "")
    assert post.look() == ["cleared approval:p:1"]


def test_one_that_ends_and_another_that_begins_do_not_hide_each_other() -> None:
    post = Post()
    post.fleet.gone = ["w1"]
    post.look()
    post.fleet.gone, post.fleet.living = [], []
    assert post.look() == ["raised beat", "cleared worker:w1"]


def test_a_refused_job_is_told_until_somebody_has_dealt_with_its_letter() -> None:
    post = Post()
    post.letters.put(Death("job:other", LetterKind.JOB, "other", "kills its worker", 1, {}))
    post.letters.put(Death("job:a", LetterKind.JOB, "a", "refused: job a is not signed", 1, {}))
    post.alerts.raise_once("signatures:p", "plan p: job a")
    assert [post.look(), post.look()] == [[], []]
    post.letters.discard("job:a", "ops", "")
    assert [post.look(), post.look()] == [["cleared signatures:p"], []]


def test_an_alert_of_a_plan_that_is_gone_is_over() -> None:
    post = Post()
    post.alerts.raise_once("signatures:not/a/plan", "by hand")
    assert post.look() == ["cleared signatures:not/a/plan"]


def test_a_plan_that_cannot_be_read_is_an_alert_and_hides_no_other() -> None:
    post = Post()
    bad = FlakyStore(post.time, "bad")
    bad.cut, bad.error = {"overview": 1}, MoieError("Redis refused")
    post.store.beat("report", "w")
    post.time.advance(QUARTER_MS + 1)
    post.fleet.names = ["bad", "p"]
    stores = {"bad": bad, "p": post.store}
    watch(post.fleet, stores.__getitem__, lambda _: post.letters, post.alerts, PACE)
    assert post.alerts.events == ["raised plan:bad", "raised heartbeat:p"]
