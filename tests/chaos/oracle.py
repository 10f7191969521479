"""What must hold after every fault, read from Redis and from what the commands themselves wrote. Written once."""

import json
from collections import Counter
from typing import Any

import redis

from moie_worker.heart.audit import audit
from moie_worker.plan.states import Place
from tests.farm import Farm
from tests.shell_kit import alive


def attempts(farm: Farm) -> dict[str, Any]:
    """What runs, by token, as Redis believes."""
    client: redis.Redis = farm.state.client
    packed: Any = client.hgetall("moie:{test}:attempts")
    return {token: json.loads(text) for token, text in packed.items()}


def unbroken(farm: Farm) -> int:
    """After every test, whatever it did: no promise is broken but that of leases, which needs a beat.

    Returns the number of jobs.
    """
    found = audit(farm.store, overdue=False)
    assert not found.broken, found.broken
    return found.jobs


def holds(farm: Farm, loaded: int) -> None:
    """At any moment: every promise that `moie doctor --audit` looks at, for all that was loaded."""
    found = audit(farm.store)
    assert not found.broken, found.broken
    assert found.jobs == loaded


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
