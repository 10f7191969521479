"""An existing Celery application, watched: real workers, real Redis, tasks that know nothing of it."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery, chain

from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.dead_letters import RedisDeadLetters
from moie_worker.adapters.redis.run_log import RedisRunLog
from moie_worker.doors.task_replay import CeleryPublisher
from moie_worker.errors import NotFoundError, RefusedError
from moie_worker.heart.dead_letters import Act, DeadLetters
from moie_worker.plan.letters import Letter, LetterFilter, LetterHead, LetterKind
from tests.celery_kit import Start, wait_until

pytestmark = pytest.mark.integration
ACT = Act("ops", "test")


@pytest.fixture
def box(redis_url: str) -> RedisDeadLetters:
    return RedisDeadLetters(connect(redis_url), "default")


@pytest.fixture
def shop(broker_url: str) -> Iterator[Celery]:
    """The sending side, without the tasks' code."""
    app = Celery("shop", broker=broker_url)
    yield app
    app.close()


@pytest.fixture
def answer(redis_client: "redis.Redis") -> Callable[[str], Any]:
    """Waits for the result of a task, as the worker stored it."""

    def stored(task_id: str) -> Any:
        key = f"celery-task-meta-{task_id}"
        wait_until(lambda: redis_client.exists(key), f"the result of {task_id}")
        return json.loads(str(redis_client.get(key)))["result"]

    return stored


class NoJobs:
    def replay(self, job: str, who: str, why: str) -> None:
        raise NotFoundError(job)

    def discard(self, job: str, who: str, why: str) -> None:
        raise NotFoundError(job)


@pytest.fixture
def dead(box: RedisDeadLetters, shop: Celery) -> DeadLetters:
    return DeadLetters(box, NoJobs(), CeleryPublisher(shop))


def heads(box: RedisDeadLetters) -> list[LetterHead]:
    return list(box.page(LetterFilter()).heads)


def letter_of(box: RedisDeadLetters, letter_id: str) -> Letter:
    wait_until(lambda: any(head.id == letter_id for head in heads(box)), f"a letter {letter_id}: {heads(box)}")
    return box.get(letter_id)


def test_a_task_out_of_retries_is_one_letter_and_its_replay_succeeds(
    start: Start,
    shop: Celery,
    box: RedisDeadLetters,
    dead: DeadLetters,
    broker_url: str,
    redis_url: str,
    tmp_path: Path,
    answer: Callable[[str], Any],
) -> None:
    start("watched_app", "worker", "-c1", TEST_BROKER=broker_url, TEST_WATCH=redis_url)
    flag = tmp_path / "paid"
    charge = shop.signature("shop.charge", [7], {"flag": str(flag)}, priority=3, headers={"tenant": "blue"})
    ship = chain(charge, shop.signature("shop.add", [1, 2], immutable=True)).apply_async()
    task = ship.parent
    letter = letter_of(box, task.id)
    assert (letter.head.kind, letter.head.name, letter.head.attempts) == (LetterKind.TASK, "shop.charge", 3)
    assert letter.head.reason.startswith("ValueError: no money")
    assert letter.payload["args"] == [7]
    assert letter.payload["kwargs"] == {"flag": str(flag)}
    assert (letter.payload["routing_key"], letter.payload["priority"]) == ("celery", 3)
    assert letter.payload["headers"]["tenant"] == "blue"
    assert "Traceback" in letter.evidence["traceback"]

    dead.replay(task.id, ACT)
    wait_until(lambda: box.get(task.id).head.deaths == 2, "the replay dies again, in the same letter")
    flag.touch()
    dead.replay(task.id, ACT)
    head = box.get(task.id).head
    assert answer(head.replayed_as) == "charged 7"
    wait_until(lambda: answer(ship.id) == 3, "what follows the task in its chain")
    with pytest.raises(RefusedError, match="replayed"):
        dead.replay(task.id, ACT)
    assert len(heads(box)) == 1


def test_hard_limits_and_lost_children_are_letters_once(
    start: Start, shop: Celery, box: RedisDeadLetters, broker_url: str, redis_url: str, answer: Callable[[str], Any]
) -> None:
    start("watched_app", "worker", "-c1", TEST_BROKER=broker_url, TEST_WATCH=redis_url)
    killed = letter_of(box, shop.send_task("shop.killer", headers={"tenant": "blue"}).id)
    assert "WorkerLostError" in killed.head.reason
    slow = letter_of(box, shop.send_task("shop.slow").id)
    assert "TimeLimitExceeded" in slow.head.reason
    assert answer(shop.send_task("shop.add", [1, 2]).id) == 3
    for letter in (killed, slow):
        assert box.get(letter.head.id).head.deaths == 1
        assert letter.payload["routing_key"] == "celery"
    assert killed.payload["headers"]["tenant"] == "blue"


def test_expired_and_unknown_tasks_are_letters_and_a_message_goes_back_to_its_queue(
    start: Start, shop: Celery, box: RedisDeadLetters, dead: DeadLetters, broker_url: str, redis_url: str
) -> None:
    expired = shop.send_task("shop.add", [1, 2], expires=-1)
    shop.send_task("shop.nothing", [1])
    start("watched_app", "worker", "-c1", TEST_BROKER=broker_url, TEST_WATCH=redis_url)
    letter = letter_of(box, expired.id)
    assert "expired" in letter.head.reason
    assert letter.payload["args"] == [1, 2]
    wait_until(lambda: len(heads(box)) == 2, "a letter of the unknown task")
    assert any("shop.nothing" in head.reason for head in heads(box))

    shop.send_task("shop.nothing", [2], exchange="tasks", routing_key="feed.import")
    wait_until(lambda: heads(box)[0].name == "feeds", "a letter of that queue")
    dead.replay(heads(box)[0].id, Act("ops", force=True))
    wait_until(lambda: heads(box)[0].deaths == 2, "it comes again, and is as unknown as before")


def test_only_tasks_of_the_class_are_kept_without_watch(
    start: Start, shop: Celery, box: RedisDeadLetters, broker_url: str, redis_url: str
) -> None:
    start("watched_app", "worker", "-c1", TEST_BROKER=broker_url, MOIE_REDIS_URL=redis_url)
    shop.send_task("shop.plain")
    precious = shop.send_task("shop.precious")
    assert letter_of(box, precious.id).head.reason == "KeyError: 'gone'"
    assert len(heads(box)) == 1


def test_periodic_tasks_have_a_run_log_by_entry(start: Start, broker_url: str, redis_url: str, tmp_path: Path) -> None:
    runs = RedisRunLog(connect(redis_url), "default")
    start("watched_app", "worker", "-c1", TEST_BROKER=broker_url, TEST_WATCH=redis_url)
    start("watched_app", "beat", "-s", str(tmp_path / "schedule"), "--pidfile=", TEST_BROKER=broker_url)
    good, bad = "task:shop.tick:often", "task:shop.tick:badly"
    wait_until(lambda: min(runs.history(good).runs, runs.history(bad).runs) >= 2, "two runs of both entries")
    assert runs.history(good).failures == 0
    measured = runs.history(good).recent[0].measured
    assert 0 < measured.duration_s < 5
    assert measured.max_rss_bytes > 1_000_000
    failed = runs.history(bad)
    assert failed.failures == failed.runs
    assert failed.recent[0].measured.error == "OSError: disk"
    assert {found.name: (found.entry, found.interval) for found in runs.watched()} == {
        good: ("often", timedelta(seconds=0.5)),
        bad: ("badly", timedelta(seconds=0.5)),
    }


def test_a_dead_redis_costs_the_application_nothing(
    start: Start, shop: Celery, broker_url: str, tmp_path: Path, answer: Callable[[str], Any]
) -> None:
    start("watched_app", "worker", "-c1", TEST_BROKER=broker_url, TEST_WATCH="unix://:secret-pw@/nowhere/r.sock")
    for _ in range(20):
        shop.send_task("shop.plain")
    assert answer(shop.send_task("shop.add", [1, 2]).id) == 3
    output = (tmp_path / "worker.log").read_text()
    assert output.count("kept in memory") == 1
    assert "secret-pw" not in output
