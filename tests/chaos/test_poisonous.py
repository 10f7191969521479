"""A job that kills its worker, a Redis that freezes, a mountain of stale messages: each is bounded, nothing is lost."""

import time
from collections import Counter
from datetime import timedelta

import pytest
from celery import Celery

from moie_worker.adapters.redis.connect import connect
from moie_worker.adapters.redis.store import RedisStore
from moie_worker.doors.hints import WORK, publisher
from moie_worker.errors import UnreachableError
from moie_worker.plan.flow import Hint
from moie_worker.plan.limits import BREAKER_LEAST
from moie_worker.plan.states import Place
from tests.farm import Farm, alone, say, wait_until

pytestmark = pytest.mark.chaos

STALE = [1_000, pytest.param(100_000, marks=pytest.mark.whole)]  # some 2.5 ms each on a small machine, in Celery itself


@pytest.mark.fault(4)
def test_a_job_that_kills_its_process_each_time_is_a_dead_letter_and_others_go_on(farm: Farm) -> None:
    kills_its_process(farm)


def kills_its_process(farm: Farm) -> None:
    """After three attempts it is a dead letter that says so; all other jobs are verified and the worker lives."""
    farm.settings |= {"MOIE_LEASE": "2s", "MOIE_RENEW": "1s"}
    farm.worker()
    farm.beat()
    farm.ready("w1")
    others = [f"j{number}" for number in range(30)]
    farm.load(
        {"id": "killer", "task": "kill", "verification_cmd": f"{farm.sh('$MOIE_TOKEN')}; kill -9 $PPID"},
        *[{"id": job, "task": "be quiet", "verification_cmd": "true"} for job in others],
    )
    wait_until(lambda: farm.place("killer") == Place.DEAD, "the killer is a dead letter", 60)
    assert farm.places() == {Place.DEAD: 1, Place.COMPLETED: len(others)}
    (letter,) = farm.journal("job.dead")
    assert (letter.job, letter.why) == ("killer", "kills its worker")
    assert 3 <= len(farm.told()) <= 4, "a loss beside other jobs is not charged"
    assert farm.processes["w1"].poll() is None


@pytest.mark.whole  # the short form is in test_redis_faults.py
@pytest.mark.fault(7)
def test_nothing_is_lost_or_charged_while_redis_is_frozen(farm: Farm) -> None:
    jobs = [f"j{number}" for number in range(12)]
    farm.worker()
    farm.beat("b1")
    farm.beat("b2")
    farm.ready("w1")
    farm.load(*[{"id": job, "task": "work", "verification_cmd": alone(farm, job, 2)} for job in jobs])
    wait_until(lambda: farm.places().get(Place.RUNNING, 0) >= 2, "jobs run")
    caller = RedisStore(connect(farm.server.url, deadline=timedelta(seconds=5)), "test")
    with farm.server.frozen():
        frozen_at = asked = time.monotonic()
        with pytest.raises(UnreachableError, match="does not answer in time"):
            caller.overview()
        waited = time.monotonic() - asked
        time.sleep(8 - (time.monotonic() - frozen_at))
    before = len(farm.journal("job.passed"))
    resumed = wait_until(lambda: len(farm.journal("job.passed")) > before + 2, "jobs end again", 20)
    wait_until(lambda: farm.places() == {Place.COMPLETED: len(jobs)}, "every job is verified", 60)
    say(f"a caller heard of it after {waited:.1f} s, jobs began to end {resumed:.1f} s after the thaw")
    assert waited < 6
    assert Counter(word for word, *_ in farm.told()) == {"begin": len(jobs), "end": len(jobs)}
    assert farm.journal("job.lost") == farm.journal("job.dead") == []


@pytest.mark.fault(16)
@pytest.mark.parametrize("stale", STALE)
@pytest.mark.timeout(900)
def test_stale_messages_are_recognised_and_cost_little(farm: Farm, stale: int) -> None:
    farm.worker()
    farm.beat()
    farm.ready("w1")
    old = [
        {"id": f"old{number}", "task": "be done", "verification_cmd": farm.sh(f"old{number}")} for number in range(4)
    ]
    farm.load(*old)
    wait_until(lambda: farm.places() == {Place.COMPLETED: 4}, "the old jobs are verified")
    farm.stop("w1")
    with Celery(broker=farm.server.broker_url, set_as_current=False) as app:
        publisher(app)("test", Hint("stale", "default", ("old0", "old1", "old2", "old3", "gone")))
    (message,) = [message for message in farm.queue() if WORK in message]  # heartbeats wait there too
    farm.server.client.lpush("default", *[message] * (stale - 1))
    farm.load(*old, {"id": "new", "task": "be done", "verification_cmd": farm.sh("new")})
    began = time.monotonic()
    farm.worker()
    length = farm.server.client.llen
    wait_until(
        lambda: not length("default") and farm.place("new") == Place.COMPLETED, "the queue is empty", 120 + stale / 150
    )
    took = time.monotonic() - began
    say(f"{stale} stale messages gone in {took:.1f} s, a worker's start included: {took / stale * 1000:.1f} ms each")
    assert Counter(name for (name,) in farm.told()) == dict.fromkeys(["old0", "old1", "old2", "old3", "new"], 1)


@pytest.mark.whole
def test_a_program_that_is_missing_stops_the_queue_and_not_the_jobs_and_work_goes_on_when_it_is_there(
    farm: Farm,
) -> None:
    farm.worker()
    farm.beat()
    farm.ready("w1")
    tool = farm.work / "tool"
    jobs = [f"j{number}" for number in range(40)]
    farm.load(*[{"id": job, "task": "t", "verification_cmd": [str(tool)], "retry": {"max": 0}} for job in jobs])
    wait_until(lambda: farm.store.overview().stopped, "the queue is stopped")
    (stopped,) = farm.store.overview().stopped.values()
    assert "tool" in stopped.reason
    time.sleep(3)
    held = farm.places()
    tool.write_text("#!/bin/sh\nexit 0\n")
    tool.chmod(0o755)
    resumed = wait_until(lambda: not farm.store.overview().stopped, "one job was tried and ended well", 60)
    dead = BREAKER_LEAST - 1
    wait_until(lambda: farm.places() == {Place.DEAD: dead, Place.COMPLETED: len(jobs) - dead}, "the rest is done", 60)
    say(f"{dead} of {len(jobs)} jobs died, {held}; the queue went on {resumed:.1f} s after the program was there")
    assert held[Place.DEAD] == dead
    assert [len(farm.journal(f"queue.{what}")) for what in ("stopped", "resumed")] == [1, 1]
