"""What an operator asks for is done once, though the answer of Redis is lost on its way and the client asks again."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import redis

from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.errors import NotFoundError
from moie_worker.plan.flow import Settlement
from moie_worker.plan.letters import Death, LetterFilter, LetterKind
from moie_worker.plan.states import Outcome, Place
from tests.contract.model import LEASE, cyclic, job, plan

WHO = ("ops", "because")
JOBS = (job("a", 1), job("dead", 1), job("later", 2), cyclic("tick", 1))
FAR = 9 * 10**12
BREAKER = {"recent": [["j", True]], "opened": 1, "pause_ms": 1, "retry_at": FAR, "canary": "", "reason": "no"}


@contextmanager
def answer_lost(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object] = lambda: None) -> Iterator[list[int]]:
    """The answer to the next script is lost, and something happens before the client asks again."""
    parse, lost = redis.Redis.parse_response, list[int]()

    def lossy(self: Any, connection: Any, command_name: Any, **options: Any) -> Any:
        answer = parse(self, connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name == "EVALSHA" and not lost:
            lost.append(1)
            meanwhile()
            raise redis.ConnectionError("the answer was lost")
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(redis.Redis, "parse_response", lossy)
        yield lost


@pytest.fixture
def client(redis_url: str) -> Iterator["redis.Redis"]:
    with connect(redis_url) as made:
        yield made


@pytest.fixture
def store(client: "redis.Redis") -> RedisStore:
    """A plan with a dead job and a cyclic one whose next slot is far away."""
    made = RedisStore(client, "lossy")
    made.load(plan(*JOBS, approvals=[2]), 0, "loader", "")
    made.apply()
    run_to_end(made, ("dead", "tick"))
    return made


def run_to_end(store: RedisStore, jobs: tuple[str, ...]) -> None:
    """What a worker does with these jobs; the others are given back."""
    for hint in store.reserve("default", 10, "n").hints:
        for attempt in store.begin(hint, hint.id, "w", LEASE):
            name = attempt.definition.id
            if name not in jobs:
                store.release([attempt.token], hint, True)
            elif attempt.definition.cyclic:
                ended = Settlement(attempt.token, name, Outcome.PASSED, Place.TIMED, due=FAR, slot=FAR, run=True)
                store.settle([ended], hint, done=True)
            else:
                store.settle(
                    [Settlement(attempt.token, name, Outcome.BROKEN, Place.DEAD, reason="no")], hint, done=True
                )


def _resuming(store: RedisStore) -> Callable[[], object]:
    store.client.hset("moie:{lossy}:plan", "breaker:default", json.dumps(BREAKER))
    return partial(store.resume_queue, "default", *WHO)


def _restoring(store: RedisStore) -> Callable[[], object]:
    saved = store.saved(store.capture())
    assert saved is not None
    return partial(store.restore, saved, 1, *WHO)


ACTS: dict[str, tuple[Callable[[RedisStore], Callable[[], object]], str]] = {
    "pause": (lambda s: partial(s.pause, *WHO), "plan.paused"),
    "resume": (lambda s: partial(s.resume, *WHO), "plan.resumed"),
    "resume --queue": (_resuming, "queue.resumed"),
    "cancel --all": (lambda s: partial(s.cancel_plan, *WHO), "plan.cancelled"),
    "cancel": (lambda s: partial(s.cancel, "a", *WHO), "job.cancel"),
    "retry": (lambda s: partial(s.retry, "dead", *WHO), "job.retry"),
    "run": (lambda s: partial(s.run, "a", *WHO), "job.run"),
    "dead replay": (lambda s: partial(s.replay, "dead", *WHO), "dead.replayed"),
    "dead discard": (lambda s: partial(s.discard, "dead", *WHO), "dead.discarded"),
    "approve": (lambda s: partial(s.answer, 2, True, *WHO), "phase.approved"),
    "reject": (lambda s: partial(s.answer, 2, False, *WHO), "phase.rejected"),
    "load": (lambda s: partial(s.load, plan(*JOBS), 1, *WHO), "plan.loaded"),
    "rollback": (_restoring, "plan.restored"),
}


@pytest.mark.parametrize("name", ACTS)
def test_it_is_done_once_and_said_to_be_done(store: RedisStore, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    prepare, event = ACTS[name]
    act = prepare(store)
    before = _times(store, event)
    with answer_lost(monkeypatch) as lost:
        act()
    assert lost
    assert _times(store, event) == before + 1


def _times(store: RedisStore, event: str) -> int:
    return [entry.event for entry in store.read_journal(100)].count(event)


def test_an_extra_run_that_ended_before_the_client_asked_again_is_not_run_twice(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answer_lost(monkeypatch, lambda: run_to_end(store, ("tick",))):
        store.run("tick", *WHO)
    assert store.job("tick").place is Place.TIMED


def test_a_retry_that_died_again_before_the_client_asked_again_is_not_retried_twice(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answer_lost(monkeypatch, lambda: run_to_end(store, ("dead",))):
        store.retry("dead", *WHO)
    assert store.job("dead").place is Place.DEAD


def test_a_letter_of_a_task_is_claimed_marked_and_discarded_once(
    client: "redis.Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    box = RedisDeadLetters(client, "lossy")
    box.put(Death("task:1", LetterKind.TASK, "shop.pay", "no", 1, {}))
    with answer_lost(monkeypatch):
        claim = box.claim("task:1", timedelta(minutes=1))
    with answer_lost(monkeypatch):
        box.mark_replayed(claim, "new", *WHO)
    assert box.get("task:1").head.replays == 1
    with answer_lost(monkeypatch):
        box.discard("task:1", *WHO)
    assert box.page(LetterFilter()).heads == []
    rows: Any = client.xrange("moie:{lossy}:journal")
    events = [fields["event"] for _, fields in rows]
    assert events == ["dead.replayed", "dead.discarded"]


def test_who_asks_a_second_time_is_answered_anew(store: RedisStore) -> None:
    store.discard("dead", *WHO)
    with pytest.raises(NotFoundError, match="no dead letter"):
        store.discard("dead", *WHO)
