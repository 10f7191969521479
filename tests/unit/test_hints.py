"""Work on a hint: several attempts on a few threads, with everything that may come between."""

import logging
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from moie_worker.errors import MoieError, UnreachableError
from moie_worker.heart import hints
from moie_worker.heart.batch import LOST
from moie_worker.heart.hints import WedgedError, decline, work
from moie_worker.plan.flow import Answer
from moie_worker.plan.limits import HINT_MS, OVERTIME_MS
from moie_worker.plan.states import Outcome, Place
from moie_worker.ports import ActionContext, Command, Evidence
from tests.receipt_kit import Key, lines_of, sealer, verdict
from tests.unit.heart_kit import ACTION, CANCELLED, CYCLIC, FAILED, PASSED, PATIENCE_S, Flag, Heart, jobs, waited

TEN = [f"j{n}" for n in range(10)]


@pytest.fixture
def heart(monkeypatch: pytest.MonkeyPatch) -> Heart:
    monkeypatch.setattr(hints, "FLUSH_MS", 1)  # the thread that waits looks often; time itself moves by hand only
    return Heart()


def until_stopped(heart: Heart, ms: int) -> None:
    """Every command lasts until it is stopped; meanwhile time passes."""

    def does(command: Command, stop: Flag) -> Evidence:
        heart.clock.advance(ms)
        waited(stop.asked)
        return CANCELLED

    heart.runner.does = does


# -- in the ordinary case -----------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 4])
def test_ten_short_jobs_are_settled_in_one_step(heart: Heart, threads: int) -> None:
    heart.threads = threads
    heart.load(*jobs(TEN))
    assert work(heart.hint(*TEN), heart.desk()) == {"passed": 10}
    assert {heart.store.job(name).place for name in TEN} == {Place.COMPLETED}
    assert heart.store.settled == [10]


def test_the_slot_of_a_hint_is_free_in_the_end_and_the_beat_is_woken(heart: Heart) -> None:
    heart.load({"id": "a"})
    work(heart.hint("a"), heart.desk())
    assert heart.store.hints == {"default": {}}
    assert heart.fleet.rings == ["default"]


def test_everything_that_was_begun_is_forgotten_and_closed(heart: Heart) -> None:
    heart.load(*jobs(TEN))
    work(heart.hint(*TEN), heart.desk())
    assert len(heart.runner.forgotten) == len(set(heart.runner.forgotten)) == 10
    assert len(heart.stops) == 10
    assert all(stop.closed for stop in heart.stops)


def test_each_ending_is_counted(heart: Heart) -> None:
    heart.load({"id": "good"}, {"id": "bad"})
    heart.runner.does = lambda command, stop: FAILED if "bad" in current(heart, command) else PASSED
    assert work(heart.hint("good", "bad"), heart.desk()) == {"passed": 1, "failed": 1}


def current(heart: Heart, command: Command) -> str:
    """The job that a command is of."""
    return heart.store.leases[command.token].job


def test_what_ends_early_is_settled_while_others_go_on(heart: Heart) -> None:
    heart.threads = 2
    heart.load({"id": "quick"}, {"id": "slow"})

    def does(command: Command, stop: Flag) -> Evidence:
        if current(heart, command) == "slow":
            heart.clock.advance(300)
            while heart.store.jobs["quick"].place is not Place.COMPLETED:
                assert not stop.asked.wait(0.001)
        return PASSED

    heart.runner.does = does
    work(heart.hint("quick", "slow"), heart.desk())
    assert heart.store.settled == [1, 1]


def test_a_hint_of_which_nothing_is_due_wakes_no_beat(heart: Heart) -> None:
    heart.load({"id": "a"})
    assert work(heart.hint("nobody"), heart.desk()) == {}
    assert heart.fleet.rings == []


def test_the_guard_hears_of_each_lease_before_its_command(heart: Heart) -> None:
    heart.load({"id": "a"}, {"id": "b", "on_lease_lost": "continue"})
    work(heart.hint("a", "b"), heart.desk())
    (guarded, lease), (others, unlimited) = heart.runner.leases
    assert (len(guarded), lease, len(others), unlimited) == (1, timedelta(seconds=30), 1, timedelta.max)


def test_a_lease_is_renewed_while_its_command_runs(heart: Heart) -> None:
    heart.load({"id": "a"})

    def does(command: Command, stop: Flag) -> Evidence:
        heart.clock.advance(10_000)
        waited(heart.store.renewed)
        heart.clock.advance(25_000)  # past the first lease
        assert heart.store.rescue() == 0
        return PASSED

    heart.runner.does = does
    assert work(heart.hint("a"), heart.desk()) == {"passed": 1}
    assert heart.store.job("a").place is Place.COMPLETED
    assert len(heart.runner.leases) >= 2


# -- given back ---------------------------------------------------------------------------------------


def test_what_has_not_started_in_time_is_given_back(heart: Heart) -> None:
    heart.load(*jobs(TEN))

    def does(command: Command, stop: Flag) -> Evidence:
        heart.clock.advance(HINT_MS + OVERTIME_MS + 1)
        waited(heart.store.released)
        return PASSED

    heart.runner.does = does
    assert work(heart.hint(*TEN), heart.desk()) == {"given back": 9, "passed": 1}
    views = [heart.store.job(name) for name in TEN]
    assert [(view.place, view.attempts) for view in views[1:]] == [(Place.READY, 0)] * 9


def test_a_worker_that_is_leaving_begins_nothing(heart: Heart) -> None:
    heart.load({"id": "a"})
    heart.asked_to_leave = True
    assert work(heart.hint("a"), heart.desk()) == {}
    assert heart.store.job("a").attempts == 0


def test_a_worker_that_is_leaving_gives_back_what_it_cannot_finish(heart: Heart) -> None:
    heart.load({"id": "a"}, {"id": "b"})

    def does(command: Command, stop: Flag) -> Evidence:
        heart.asked_to_leave = True
        waited(heart.store.released)  # b did not start
        heart.clock.advance(20_001)  # and its patience ends
        waited(stop.asked)
        return CANCELLED

    heart.runner.does = does
    assert work(heart.hint("a", "b"), heart.desk()) == {"given back": 1, "cancelled": 1}
    assert [(heart.store.job(n).place, heart.store.job(n).attempts) for n in "ab"] == [(Place.READY, 0)] * 2
    assert heart.store.letters == {}


def test_a_worker_that_is_leaving_lets_finish_what_is_nearly_done(heart: Heart) -> None:
    heart.load({"id": "a"})

    def does(command: Command, stop: Flag) -> Evidence:
        heart.asked_to_leave = True
        heart.clock.advance(19_000)
        return PASSED

    heart.runner.does = does
    assert work(heart.hint("a"), heart.desk()) == {"passed": 1}


# -- stopped ------------------------------------------------------------------------------------------


def test_a_cancelled_job_is_stopped_by_the_next_renewal(heart: Heart) -> None:
    heart.load({"id": "a"})

    def does(command: Command, stop: Flag) -> Evidence:
        heart.store.cancel("a", "ops", "")
        heart.clock.advance(10_000)
        waited(stop.asked)
        assert stop.reason == "cancelled"
        return CANCELLED

    heart.runner.does = does
    assert work(heart.hint("a"), heart.desk()) == {"cancelled": 1}
    assert heart.store.job("a").place is Place.CANCELLED


def test_what_was_wanted_gone_and_is_wanted_again_uses_up_no_retry(heart: Heart) -> None:
    heart.load({"id": "a"} | CYCLIC, {"id": "b"})

    def does(command: Command, stop: Flag) -> Evidence:
        heart.load({"id": "b"})
        heart.clock.advance(10_000)
        waited(stop.asked)
        heart.load({"id": "a"} | CYCLIC, {"id": "b"})
        return CANCELLED

    heart.runner.does = does
    work(heart.hint("a"), heart.desk())
    view = heart.store.job("a")
    assert (view.place, view.attempts) == (Place.READY, 0)
    assert heart.store.overview().dead_letters == 0


def test_a_lease_that_somebody_else_has_taken_stops_the_command_and_settles_nothing(heart: Heart) -> None:
    heart.load({"id": "a"})

    def does(command: Command, stop: Flag) -> Evidence:
        heart.clock.redis.advance(33_000)  # this machine stood still meanwhile
        assert heart.store.rescue() == 1
        heart.clock.advance(10_000)
        waited(stop.asked)
        return CANCELLED

    heart.runner.does = does
    work(heart.hint("a"), heart.desk())
    assert heart.store.settled == [0]
    assert (heart.store.job("a").place, heart.store.job("a").losses) == (Place.READY, 1)


def test_without_redis_what_runs_is_stopped_when_its_lease_ends(heart: Heart) -> None:
    heart.load({"id": "a"}, {"id": "b"})
    heart.store.cut = {"renew": 10**6, "release": 10**6}
    until_stopped(heart, 30_001)
    work(heart.hint("a", "b"), heart.desk())
    assert [command.token for command in heart.runner.commands] == [heart.store.job("a").token]
    assert {heart.store.job(name).place for name in "ab"} == {Place.RUNNING}  # nobody's word; the rescue takes them


def test_a_job_may_go_on_without_its_lease(heart: Heart) -> None:
    heart.load({"id": "a", "on_lease_lost": "continue"})
    heart.store.cut = {"renew": 1}
    heart.store.on_cut = lambda: heart.clock.advance(10_000)

    def does(command: Command, stop: Flag) -> Evidence:
        heart.clock.advance(30_001)
        waited(heart.store.renewed)
        assert stop.reason is None
        return PASSED

    heart.runner.does = does
    assert work(heart.hint("a"), heart.desk()) == {"passed": 1}


def test_a_command_that_the_guard_killed_is_not_settled(heart: Heart) -> None:
    heart.load({"id": "a"})
    heart.runner.does = lambda command, stop: Evidence(Outcome.LOST, "the guard ended it")
    assert work(heart.hint("a"), heart.desk()) == {"lost": 1}
    assert heart.store.job("a").place is Place.RUNNING
    heart.clock.advance(33_000)
    heart.store.rescue()
    assert heart.store.job("a").losses == 1


# -- errors -------------------------------------------------------------------------------------------


def test_when_redis_cannot_be_asked_nothing_begins(heart: Heart) -> None:
    heart.load({"id": "a"})
    heart.store.cut = {"begin": 1}
    with pytest.raises(UnreachableError):
        work(heart.hint("a"), heart.desk())
    assert heart.store.job("a").attempts == 0


def test_what_cannot_be_settled_is_tried_until_it_can(heart: Heart, caplog: pytest.LogCaptureFixture) -> None:
    heart.load({"id": "a"})
    heart.store.cut = {"settle": 3}
    assert work(heart.hint("a"), heart.desk()) == {"passed": 1}
    assert heart.store.job("a").place is Place.COMPLETED
    assert caplog.text.count("cannot settle 1 attempts yet") == 3


def test_what_cannot_be_settled_before_its_lease_ends_is_run_again(
    heart: Heart, caplog: pytest.LogCaptureFixture
) -> None:
    heart.load({"id": "a"})
    heart.store.cut = {"settle": 10**6, "renew": 10**6}
    heart.store.on_cut = lambda: heart.clock.advance(2_500)
    work(heart.hint("a"), heart.desk())
    assert "they will be run again" in caplog.text
    assert heart.clock.monotonic() < 1000 + 40
    heart.clock.advance(33_000)
    assert heart.store.rescue() == 1
    assert heart.store.job("a").place is Place.READY


def test_what_redis_refuses_is_held_for_a_lease_and_no_longer(heart: Heart, caplog: pytest.LogCaptureFixture) -> None:
    heart.load({"id": "a"})
    heart.store.cut, heart.store.error = {"settle": 10**6}, MoieError("Redis refused")
    heart.store.on_cut = lambda: heart.clock.advance(2_500)
    work(heart.hint("a"), heart.desk())
    assert "they will be run again" in caplog.text
    assert heart.clock.monotonic() < 1000 + 40
    assert all(stop.closed for stop in heart.stops)


def test_an_ending_that_redis_refuses_keeps_no_other_from_being_settled(heart: Heart) -> None:
    heart.load(*jobs(TEN))
    heart.store.refuses = {"j3"}
    assert work(heart.hint(*TEN), heart.desk()) == {"passed": 9, "broken": 1}
    assert heart.store.letters["j3"].reason == "how it ended (passed) cannot be kept: Redis refused: a value"
    assert heart.store.hints == {"default": {}}


def test_what_is_not_allowed_for_a_moment_is_settled_as_it_ended(heart: Heart, monkeypatch: pytest.MonkeyPatch) -> None:
    heart.load({"id": "a"})
    settle = heart.store.settle
    refusals = [MoieError("Redis forbids this to the user in its address")] * 2

    def settle_when_it_is_allowed(*args: Any) -> list[Answer]:
        if refusals:
            raise refusals.pop()
        return settle(*args)

    monkeypatch.setattr(heart.store, "settle", settle_when_it_is_allowed)
    assert work(heart.hint("a"), heart.desk()) == {"passed": 1}
    assert heart.store.letters == {}


def test_what_is_settled_when_it_is_somebody_elses_is_not_counted_as_its_ending(
    heart: Heart, caplog: pytest.LogCaptureFixture
) -> None:
    heart.load({"id": "a"}, {"id": "b"})

    def does(command: Command, stop: Flag) -> Evidence:
        if current(heart, command) == "b":
            heart.store.leases.pop(command.token)
            return Evidence(Outcome.REFUSED, "refused: not here")
        return PASSED

    heart.runner.does = does
    assert work(heart.hint("a", "b"), heart.desk()) == {"passed": 1, "stale": 1}
    assert "at job b ended (refused) when it was somebody else's" in caplog.text
    assert heart.alerts.events == []


def test_a_repeat_of_a_settlement_counts_as_what_it_was(heart: Heart, monkeypatch: pytest.MonkeyPatch) -> None:
    heart.load({"id": "a"})
    heart.runner.does = lambda command, stop: Evidence(Outcome.REFUSED, "refused: not here")
    settle = heart.store.settle
    lost = [UnreachableError("the answer was lost")]

    def settle_and_say_nothing(*args: Any) -> list[Answer]:
        answers = settle(*args)
        if lost:
            raise lost.pop()
        return answers

    monkeypatch.setattr(heart.store, "settle", settle_and_say_nothing)
    assert work(heart.hint("a"), heart.desk()) == {"refused": 1}
    assert heart.alerts.events == ["raised refused:default"]


def test_a_renewal_that_redis_refuses_leaves_no_command_alone(heart: Heart) -> None:
    heart.load({"id": "a"})
    heart.store.cut, heart.store.error = {"renew": 10**6}, MoieError("Redis refused")
    until_stopped(heart, 30_001)
    work(heart.hint("a"), heart.desk())
    assert heart.stops[0].reason == LOST


def test_a_slot_that_cannot_be_armed_runs_all_the_same(heart: Heart) -> None:
    heart.load({"id": "x", "overlap": "allow"} | CYCLIC)
    heart.store.cut = {"arm": 1}
    assert work(heart.hint("x"), heart.desk()) == {"passed": 1}
    assert heart.store.job("x").slot > heart.store.now


def test_a_definition_that_cannot_be_read_is_a_dead_letter_and_hurts_no_other(heart: Heart) -> None:
    heart.load({"id": "a"}, {"id": "b"})
    state = heart.store.jobs["a"]
    state.definition = replace(state.definition, job={"id": "a"})
    assert work(heart.hint("a", "b"), heart.desk()) == {"broken": 1, "passed": 1}
    assert heart.store.job("a").place is Place.DEAD
    assert heart.store.letters["a"].reason.startswith("its definition cannot be read: ")
    assert all(stop.closed for stop in heart.stops)


def test_a_definition_that_cannot_be_read_may_be_alone(heart: Heart) -> None:
    heart.load({"id": "a"})
    state = heart.store.jobs["a"]
    state.definition = replace(state.definition, job={})
    assert work(heart.hint("a"), heart.desk()) == {"broken": 1}


@pytest.mark.parametrize("error", [RuntimeError("boom"), SystemExit("boom")], ids=["error", "exit"])
@pytest.mark.parametrize("kind", [{}, CYCLIC], ids=["job", "cyclic"])
def test_an_error_of_ours_is_a_dead_letter_and_ends_no_thread(
    heart: Heart, kind: dict[str, object], error: BaseException
) -> None:
    heart.load({"id": "a"} | ACTION | kind, {"id": "b"})
    logging.getLogger(hints.__name__).setLevel(logging.CRITICAL)

    def does(command: Command, stop: Flag) -> Evidence:
        if current(heart, command) == "a":
            raise error
        return PASSED

    heart.runner.does = does
    try:
        assert work(heart.hint("a", "b"), heart.desk()) == {"broken": 1, "passed": 1}
    finally:
        logging.getLogger(hints.__name__).setLevel(logging.NOTSET)
    assert heart.store.letters["a"].reason == f"an error of moie-worker, see its log: {type(error).__name__}: boom"
    assert heart.store.job("a").place is (Place.TIMED if kind else Place.DEAD)
    assert len(heart.runner.forgotten) == 2


def test_without_a_guard_nothing_runs_and_nothing_is_kept(heart: Heart, monkeypatch: pytest.MonkeyPatch) -> None:
    heart.load(*jobs(TEN))

    def renewed(tokens: object, lease: object, sent_at: object) -> None:
        raise OSError("the guard is gone")

    monkeypatch.setattr(heart.runner, "renewed", renewed)
    with pytest.raises(OSError, match="the guard is gone"):
        work(heart.hint(*TEN), heart.desk())
    assert heart.runner.commands == []
    assert len(heart.runner.forgotten) == 10
    assert all(stop.closed for stop in heart.stops)


# -- an action that does not end ----------------------------------------------------------------------

HOUR = 3_600_000


class Wedge:
    """A check says no, and the action that follows goes on until `released`, whoever asks, but for the time."""

    def __init__(self, heart: Heart, *, first: int = HOUR) -> None:
        self.heart, self.first, self.freed, self.ended = heart, first, threading.Event(), threading.Event()
        self.thread = threading.current_thread()  # that of the action, once it has begun
        heart.runner.does = lambda command, stop: FAILED if current(heart, command) == "a" else PASSED
        heart.actions.does = self.act

    def act(self, context: ActionContext) -> Evidence:
        self.thread = threading.current_thread()
        self.heart.clock.advance(self.first)
        waited(self.heart.stops[0].asked)
        self.heart.clock.advance(20_001)
        waited(self.freed)
        self.ended.set()
        return PASSED


def test_an_action_that_does_not_end_is_settled_when_its_time_is_over_and_its_process_has_to_end(heart: Heart) -> None:
    heart.threads = 2
    heart.load({"id": "a"} | ACTION, {"id": "b"})
    wedge = Wedge(heart)
    with pytest.raises(WedgedError, match="1 actions of hint h do not end"):
        work(heart.hint("a", "b"), heart.desk())
    assert (heart.store.job("a").place, heart.store.job("b").place) == (Place.TIMED, Place.COMPLETED)
    assert heart.store.job("a").evidence["outcome"] == Outcome.TIMED_OUT
    assert heart.store.leases == {}
    wedge.freed.set()
    waited(wedge.ended)


def test_an_action_that_does_not_end_keeps_no_worker_from_ending(heart: Heart) -> None:
    heart.load({"id": "a"} | ACTION)
    wedge = Wedge(heart, first=0)

    def leave() -> None:
        waited(begun)
        heart.asked_to_leave = True
        while heart.stops[0].reason is None:
            heart.clock.advance(5_000)
            heart.stops[0].asked.wait(0.01)

    begun = threading.Event()

    def act(context: ActionContext) -> Evidence:
        begun.set()
        return wedge.act(context)

    heart.actions.does = act
    other = threading.Thread(target=leave)
    other.start()
    with pytest.raises(WedgedError):
        work(heart.hint("a"), heart.desk())
    other.join()
    assert (heart.store.job("a").place, heart.store.job("a").attempts) == (Place.READY, 0)
    wedge.freed.set()
    waited(wedge.ended)


def test_a_thread_that_was_given_up_and_comes_back_ends_no_process_and_settles_nothing_twice(heart: Heart) -> None:
    heart.threads = 2
    heart.load({"id": "a"} | ACTION, {"id": "b", "timeout": "10h"})
    wedge = Wedge(heart)

    def slow(command: Command, stop: Flag) -> Evidence:
        if command.timeout < timedelta(hours=1):
            return FAILED
        while not heart.store.settled:
            assert not wedge.ended.wait(0.001)
        wedge.freed.set()
        wedge.thread.join(PATIENCE_S)  # it has handed in
        return PASSED

    heart.runner.does = slow
    assert work(heart.hint("a", "b"), heart.desk()) == {"timed out": 1, "passed": 1}
    assert sum(heart.store.settled) == 2


@pytest.mark.parametrize(
    ("fields", "watched"),
    [
        (ACTION, True),
        ({}, False),
        ({"action": {"use": "shell", "with": {"cmd": "true"}}}, False),
        (ACTION | {"on_lease_lost": "continue"}, False),
    ],
    ids=["in this process", "a command", "a command as action", "may outlive its lease"],
)
def test_a_process_is_watched_while_something_runs_in_it(
    heart: Heart, fields: dict[str, object], watched: bool
) -> None:
    heart.load({"id": "a"} | fields)
    work(heart.hint("a"), heart.desk())
    assert heart.watchdog.told == ([timedelta(seconds=40), None] if watched else [])


def test_a_process_that_goes_on_says_so_at_each_renewal(heart: Heart) -> None:
    heart.load({"id": "a"} | ACTION)

    def does(command: Command, stop: Flag) -> Evidence:
        heart.clock.advance(10_000)
        waited(heart.store.renewed)
        return PASSED

    heart.runner.does = does
    work(heart.hint("a"), heart.desk())
    assert heart.watchdog.told == [timedelta(seconds=40)] * 2 + [None]


def test_no_thread_is_left(heart: Heart) -> None:
    heart.threads = 8
    heart.load(*jobs(TEN))
    before = threading.active_count()
    work(heart.hint(*TEN), heart.desk())
    assert threading.active_count() == before


def test_a_hint_for_which_there_is_no_room_is_given_back_uncharged(heart: Heart) -> None:
    heart.load({"id": "a"})
    decline(heart.hint("a"), heart.desk())
    job = heart.store.job("a")
    assert (job.place, job.attempts, job.losses) == (Place.READY, 0, 0)


def test_what_is_settled_at_once_is_signed_at_once_and_proven(heart: Heart) -> None:
    key = Key("k")
    heart.tools = replace(heart.tools, signer=key)
    names = [f"j{n}" for n in range(10)]
    heart.load(*jobs(names))
    work(heart.hint(*names), heart.desk())
    assert key.signatures == len(heart.store.settled) == 1
    assert sealer(key).seal(heart.store, "default", heart.store.now)
    found = verdict(lines_of(heart.store), key)
    assert (found.problems, found.receipts, found.plan) == ((), 10, "default")


def test_a_settlement_that_is_tried_again_leaves_one_receipt(heart: Heart) -> None:
    heart.tools = replace(heart.tools, signer=Key("k"))
    heart.load({"id": "a"})
    heart.store.cut = {"settle": 3}
    work(heart.hint("a"), heart.desk())
    assert heart.store.receipts_kept() == 1
