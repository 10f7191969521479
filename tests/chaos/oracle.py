"""What must hold after every fault, read from Redis and from what the commands themselves wrote. Written once."""

import json
from collections import Counter
from typing import Any

import redis

from moie_worker.plan.states import Place
from tests.farm import Farm
from tests.shell_kit import alive

# One script, so that nothing moves between two reads.
LOOK = """
local p = KEYS[1]
local now = redis.call('TIME')
return {redis.call('HGETALL', p .. 'attempts'), redis.call('ZRANGE', p .. 'leases', 0, -1, 'WITHSCORES'),
  redis.call('HGETALL', p .. 'counts'), now[1] * 1000 + math.floor(now[2] / 1000)}
"""
RESCUE_MS = 8_000  # an ended lease is found by the next look of a beat, some seconds later where beats were away


def look(farm: Farm) -> tuple[dict[str, Any], dict[str, int], Counter[Place], int]:
    """Attempts by token, ends of leases by token, jobs by place, and Redis' time."""
    client: redis.Redis = farm.state.client
    places: Counter[Place] = Counter()
    attempts, leases, counts, now = client.eval(LOOK, 1, "moie:{test}:")
    for name, number in zip(counts[::2], counts[1::2], strict=True):
        if name.count(":") == 2:  # phase:class:place; others count queues
            places[Place(name.rpartition(":")[2])] += int(number)
    return (
        {token: json.loads(text) for token, text in zip(attempts[::2], attempts[1::2], strict=True)},
        {token: int(float(end)) for token, end in zip(leases[::2], leases[1::2], strict=True)},
        places,
        int(now),
    )


def holds(farm: Farm, loaded: int) -> None:
    """At any moment: no job runs without a live lease, and the places add up to what was loaded."""
    attempts, leases, places, now = look(farm)
    assert attempts.keys() == leases.keys(), "an attempt without a lease, or a lease without an attempt"
    assert places[Place.RUNNING] == len({record["job"] for record in attempts.values()}), (
        "a job is believed to run and does not"
    )
    overdue = {token: now - end for token, end in leases.items() if end < now - RESCUE_MS}
    assert not overdue, f"leases that ended ms ago and were not seen: {overdue}"
    assert places.total() == loaded


def ended_well(farm: Farm, *jobs: str, dead: int = 0) -> int:
    """After the end of a plan whose jobs tell `begin` and `end`: each settled once, by its last attempt.

    Returns the number of attempts beyond the first of each job.
    """
    holds(farm, len(jobs) + dead)
    assert farm.places() == {
        place: number for place, number in ((Place.COMPLETED, len(jobs)), (Place.DEAD, dead)) if number
    }
    assert Counter(entry.job for entry in farm.journal("job.passed")) == dict.fromkeys(jobs, 1)
    begun: dict[str, list[str]] = {job: [] for job in jobs}
    for word, job, token in farm.told():
        assert word != "beside", f"two attempts at {job} lived at the same time"
        if word == "begin":
            begun[job].append(token)
    for job, tokens in begun.items():
        assert farm.store.job(job).evidence["token"] == tokens[-1], f"{job} was settled under an old token"
    assert not [token for tokens in begun.values() for token in tokens if alive(token)], "a command is left behind"
    return sum(map(len, begun.values())) - len(jobs)
