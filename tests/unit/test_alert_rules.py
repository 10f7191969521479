"""What somebody is told of, how often, and when it is over."""

import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from moie_worker.adapters.memory import MemoryStore
from moie_worker.adapters.memory.core import ManualTime
from moie_worker.adapters.memory_dead_letters import MemoryDeadLetters
from moie_worker.alerts.rules import gone_workers, stale_heartbeats
from moie_worker.alerts.unwritten import Unwritten
from moie_worker.alerts.watch import CLEAR_AFTER, RAISE_AFTER, Watch
from moie_worker.errors import MoieError
from moie_worker.plan.chain import Pulse, Station
from moie_worker.plan.compile import compile_plan
from moie_worker.plan.flow import Breaker
from moie_worker.plan.letters import Death, LetterKind
from moie_worker.plan.model import Plan
from moie_worker.plan.pace import Pace
from moie_worker.plan.presence import Beat, Worker
from moie_worker.plan.receipts import Seal, seal_line
from moie_worker.plan.times import moment, to_ms
from moie_worker.ports import Waiting
from tests.unit.heart_kit import FakeFleet, FlakyStore, HeldAlerts, HeldChain

STALE = timedelta(minutes=15)
PACE = Pace(timedelta(minutes=10))
QUARTER_MS = 15 * 60_000
JOB = {"id": "a", "task": "t", "verification_cmd": "true"}
BEAT = Beat("b", "h", 1, 0)
QUICK = replace(BEAT, heartbeat=timedelta(seconds=15))
WORKER = Worker("w", "h", 1, ("default",), 2, 0)


class Post:
    """One plan under watch, in a system that is well."""

    def __init__(self) -> None:
        self.time = ManualTime()
        self.store = MemoryStore("p", self.time)
        self.fleet = FakeFleet(["p"], here=[WORKER], living=[BEAT], time=self.time)
        self.chain = HeldChain(self.time)
        self.alerts = HeldAlerts()
        self.letters = MemoryDeadLetters(lambda: moment(self.time.now))
        self.watches = [self.watcher() for _ in range(3)]

    def watcher(self) -> Watch:
        return Watch(self.fleet, lambda _: self.store, lambda _: self.letters, self.chain, self.alerts, PACE)

    def look(self) -> list[str]:
        """One look of every watcher; returns what they changed."""
        before = len(self.alerts.events)
        for watch in self.watches:
            watch.look()
        return self.alerts.events[before:]

    def sure(self, after: timedelta = RAISE_AFTER) -> list[str]:
        """A look, and another after so long; returns what both changed."""
        first = self.look()
        self.time.advance(to_ms(after))
        return first + self.look()

    def goes_through(self, *stations: Station) -> None:
        """A heartbeat that is due now passes these stations."""
        for station in stations or (Station.SENT, Station.RECEIVED, Station.BEGUN, Station.RECORDED):
            self.chain.mark(station, Pulse(f"heartbeat:{self.time.now}", self.time.now))


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
    assert post.sure() == ["raised heartbeat:p"]  # of three watchers
    assert post.sure() == []
    post.store.beat("", "w")
    assert post.sure(CLEAR_AFTER) == ["cleared heartbeat:p"]
    assert [record.levelname for record in caplog.records] == ["CRITICAL", "WARNING"]


def test_a_heartbeat_is_judged_by_the_period_that_beats_announce() -> None:
    post = Post()
    post.goes_through()
    post.fleet.living = [replace(QUICK, started_at=post.time.now)]
    post.store.beat("", "w")
    post.time.advance(45_000)
    assert post.look() == []
    post.time.advance(1)
    post.goes_through()
    assert post.sure() == ["raised heartbeat:p"]


def receipt(post: Post) -> Waiting:
    made = Waiting(f"{post.time.now}-0", '{"proof":[]}')
    post.store.receipts.append(made)
    return made


def sealed(post: Post, newest: Waiting) -> None:
    """By a key that nobody here may trust: that it goes on is what counts."""
    seal = Seal(plan="p", begins=1, count=1, id=newest.id, head="", sealed_at="", sealed_by="w")
    assert post.store.seal(post.store.last_seal(), seal_line(seal, "k", b""), [], None)


def alive(post: Post) -> list[str]:
    """What is told where heartbeats go on."""
    post.goes_through()
    post.store.beat("", "w")
    return post.sure()


def test_receipts_that_no_heartbeat_seals_are_told_until_one_does() -> None:
    post = Post()
    sealed(post, receipt(post))
    post.time.advance(5 * QUARTER_MS)
    assert alive(post) == []  # what is sealed may be as old as it likes
    waits = receipt(post)
    post.time.advance(4 * QUARTER_MS - to_ms(RAISE_AFTER))
    assert alive(post) == []
    post.time.advance(1)
    assert alive(post) == ["raised receipts:p"]
    assert "receipts are not sealed since 1h" in post.alerts.standing()["receipts:p"]
    sealed(post, waits)
    assert post.sure(CLEAR_AFTER) == ["cleared receipts:p"]


def test_a_seal_that_is_none_is_told() -> None:
    post = Post()
    post.store.seal_lines.append("scribble")
    assert alive(post) == ["raised receipts:p"]


def test_receipts_wait_for_a_heartbeat_that_is_missing_and_only_that_is_told() -> None:
    post = Post()
    receipt(post)
    post.store.beat("", "w")
    post.fleet.living = []
    post.time.advance(5 * QUARTER_MS)
    assert post.sure() == ["raised link:beat"]


def test_a_heartbeat_that_goes_again_is_told_again() -> None:
    post = Post()
    for _ in range(2):
        post.store.beat("", "w")
        post.sure(CLEAR_AFTER)
        post.time.advance(QUARTER_MS + 1)
        assert post.sure() == ["raised heartbeat:p"]


def test_what_is_gone_for_a_moment_is_not_told_and_neither_is_a_return_for_a_moment() -> None:
    post = Post()
    for _ in range(3):  # presence that ends and returns, as on a machine under load
        post.fleet.gone = ["w1"]
        assert post.sure(RAISE_AFTER - timedelta(milliseconds=1)) == []
        post.fleet.gone = []
        assert post.look() == []
    post.fleet.gone = ["w1"]
    assert post.sure() == ["raised worker:w1"]
    for _ in range(3):
        post.fleet.gone = []
        assert post.sure(CLEAR_AFTER - timedelta(milliseconds=1)) == []
        post.fleet.gone = ["w1"]
        assert post.look() == []
    post.fleet.gone = []
    assert post.sure(CLEAR_AFTER) == ["cleared worker:w1"]


def test_a_watcher_that_is_not_sure_asks_to_look_again_soon() -> None:
    post = Post()
    watch = post.watcher()
    assert not watch.look()
    post.fleet.gone = ["w1"]
    assert watch.look()
    post.time.advance(to_ms(RAISE_AFTER))
    assert not watch.look()
    post.fleet.gone = []
    assert watch.look()


def test_a_paused_plan_that_beats_raises_nothing() -> None:
    post = Post()
    post.store.pause("ops", "")
    post.store.beat("", "w")
    assert post.sure() == []


def test_workers_that_went_without_a_word_are_told_each() -> None:
    assert set(gone_workers(["w1", "w2"])) == {"worker:w1", "worker:w2"}


def test_a_plan_that_stands_still_because_nobody_approved_it_is_an_alert_until_somebody_does() -> None:
    post = Post()
    phase = {"id": 1, "name": "p", "approval": {"expires": "10m"}, "jobs": [JOB]}
    post.store.load(compile_plan(Plan.model_validate({"phases": [phase]}), post.time.now), 0, "ops", "")
    post.store.apply()
    post.time.advance(599_999)
    assert post.look() == []
    post.time.advance(1)
    assert post.sure() == ["raised approval:p:1"]
    post.store.answer(1, True, "ada", "")
    assert post.sure(CLEAR_AFTER) == ["cleared approval:p:1"]


def test_a_queue_that_is_stopped_is_an_alert_until_it_goes_on() -> None:
    post = Post()
    post.store.breakers["scan"] = Breaker((("a", True),))
    assert post.look() == []
    post.store.breakers["scan"] = Breaker((("a", True),), post.time.now, 1, post.time.now + 1, "", "no such file")
    assert post.sure() == ["raised queue:p:scan"]
    assert "no such file" in post.alerts.messages["queue:p:scan"]
    post.store.resume_queue("scan", "ops", "mended")
    assert post.sure(CLEAR_AFTER) == ["cleared queue:p:scan"]


def test_one_that_ends_and_another_that_begins_do_not_hide_each_other() -> None:
    post = Post()
    post.fleet.gone = ["w1"]
    assert post.sure() == ["raised worker:w1"]
    post.fleet.gone = ["w2"]
    assert post.sure(CLEAR_AFTER) == ["raised worker:w2", "cleared worker:w1"]


def test_a_missing_link_is_told_and_what_follows_from_it_is_held_back() -> None:
    post = Post()
    post.store.beat("", "w")
    post.goes_through()
    post.fleet.living = []
    assert post.sure() == ["raised link:beat"]
    post.time.advance(QUARTER_MS)
    assert post.sure() == []  # the heartbeat is stale by now
    post.fleet.living = [BEAT]
    post.store.beat("", "w")
    post.goes_through()
    assert post.sure(CLEAR_AFTER) == ["cleared link:beat"]


def test_what_stands_already_is_not_called_over_because_a_link_before_it_is_missing() -> None:
    post = Post()
    post.goes_through()
    post.store.beat("", "w")
    post.time.advance(QUARTER_MS + 1)
    post.goes_through()
    post.goes_through(Station.UNANSWERED)
    assert post.sure() == ["raised link:outside", "raised heartbeat:p"]
    post.fleet.here, post.fleet.gone = [], ["w"]
    assert post.sure(CLEAR_AFTER) == ["raised link:worker"]
    post.fleet.here, post.fleet.gone = [WORKER], []
    post.store.beat("", "w")
    post.goes_through()
    post.goes_through(Station.ANSWERED)
    assert post.sure(CLEAR_AFTER) == ["cleared link:outside", "cleared heartbeat:p", "cleared link:worker"]


def test_a_refused_job_is_told_until_somebody_has_dealt_with_its_letter() -> None:
    post = Post()
    post.letters.put(Death("job:other", LetterKind.JOB, "other", "kills its worker", 1, {}))
    post.letters.put(Death("job:a", LetterKind.JOB, "a", "refused: job a is not signed", 1, {}))
    post.alerts.raise_once("refused:p", "plan p: job a")
    assert [post.look(), post.look()] == [[], []]
    post.letters.discard("job:a", "ops", "")
    assert post.sure(CLEAR_AFTER) == ["cleared refused:p"]


def test_an_alert_of_a_plan_that_is_gone_is_over() -> None:
    post = Post()
    post.alerts.raise_once("refused:not/a/plan", "by hand")
    assert post.sure(CLEAR_AFTER) == ["cleared refused:not/a/plan"]


def test_a_plan_that_cannot_be_read_is_an_alert_and_hides_no_other() -> None:
    post = Post()
    bad = FlakyStore(post.time, "bad")
    bad.cut, bad.error = {"overview": 2}, MoieError("Redis refused")
    post.store.beat("report", "w")
    post.time.advance(QUARTER_MS + 1)
    post.fleet.names = ["bad", "p"]
    watch = post.watcher()
    watch.store = {"bad": bad, "p": post.store}.__getitem__
    watch.look()
    post.time.advance(to_ms(RAISE_AFTER))
    watch.look()
    assert post.alerts.events == ["raised plan:bad", "raised heartbeat:p"]


def test_a_state_without_writes_is_logged_once_after_a_while_and_so_is_its_return(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    state = Unwritten()
    state.failed(0.0, "forbidden")
    state.worked(5.0)
    state.failed(9.0, "forbidden")
    state.failed(18.9, "forbidden")
    assert caplog.messages == []
    for now in (19.0, 24.0):
        state.failed(now, "forbidden")
    assert caplog.messages == ["ALERT link:state: the state takes no writes: forbidden"]
    state.worked(30.0)
    state.failed(49.0, "forbidden")
    for now in (50.0, 69.9):
        state.worked(now)
    assert len(caplog.messages) == 1
    for now in (70.0, 75.0):
        state.worked(now)
    assert caplog.messages[1:] == ["RECOVERED link:state: the state takes no writes: forbidden"]


def test_a_plan_that_redis_lost_is_told_until_it_is_loaded_again() -> None:
    post = Post()
    post.watches[0].gone = lambda: {} if post.store.flags.revision else {"p": "plan p is GONE"}
    assert post.sure() == ["raised gone:p"]
    assert post.sure(CLEAR_AFTER) == [], "who has no snapshots of it does not clear it"
    post.store.set(revision=1)
    assert post.sure(CLEAR_AFTER) == ["cleared gone:p"]


def regressed(post: Post, *names: str) -> None:
    """Jobs that were verified hold no more."""
    phase = {"id": 1, "name": "p", "jobs": [JOB | {"id": name, "reverify": "1h"} for name in names]}
    post.store.load(compile_plan(Plan.model_validate({"phases": [phase]}), post.time.now), 0, "ops", "")
    post.store.apply()
    for number, name in enumerate(names):
        post.store.regressed[name] = post.time.now + number


def test_a_regression_is_an_alert_at_once_and_over_at_once() -> None:
    post = Post()
    regressed(post, "a", "b")
    assert post.look() == ["raised regressed:p:a", "raised regressed:p:b"]  # of three watchers, without a second look
    assert post.alerts.messages["regressed:p:a"].startswith("plan p: a t REGRESSED ")
    del post.store.regressed["a"]
    assert post.look() == ["cleared regressed:p:a"]
    assert post.sure() == []


def test_of_very_many_regressions_the_oldest_are_told_one_by_one_and_none_is_called_over() -> None:
    post = Post()
    regressed(post, *(f"j{number:02}" for number in range(25)))
    assert sorted(post.look()) == ["raised regressed:p", *(f"raised regressed:p:j{number:02}" for number in range(20))]
    del post.store.regressed["j00"]
    assert sorted(post.look()) == ["cleared regressed:p:j00", "raised regressed:p:j20"]


def test_what_was_seen_while_the_state_took_no_writes_is_looked_at_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    post = Post()
    post.fleet.living = []  # it could not say that it lives
    (watch, *_) = post.watches

    def refused(name: str, message: str) -> bool:
        raise MoieError("no permission")

    with monkeypatch.context() as patch:
        patch.setattr(post.alerts, "raise_once", refused)
        watch.look()
        post.time.advance(to_ms(RAISE_AFTER))
        with pytest.raises(MoieError):
            watch.look()
    watch.look()
    assert post.alerts.events == [], "the beat has as long as at first to say that it lives"
    post.time.advance(to_ms(RAISE_AFTER))
    watch.look()
    assert post.alerts.events == ["raised link:beat"]
