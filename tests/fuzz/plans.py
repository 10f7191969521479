"""Small plans made by chance: good ones of all three versions, and ones with one fault that must be refused."""

from collections.abc import Callable
from random import Random
from typing import Any

from tests.fuzz.damage import copied

Value = dict[str, Any]
IDS = ("1.1", "1.10", "a", "b", "c", "A", "é", "1", "01", "x-y", "job:1", "0", "null", "true", "a.b.c", "deploy", "<<")
EXTRAS: tuple[Value, ...] = (
    {}, {}, {}, {"timeout": "30s"}, {"retry": {"max": 3, "base": "2s", "cap": "60s"}}, {"queue": "scan"},
    {"priority": 5}, {"env": {"A": "b"}}, {"cwd": "/tmp"}, {"description": "two\nlines"},
    {"deadline": "2h"}, {"action": {"use": "shell", "with": {"cmd": "true"}}},
    {"verification_cmd": ["test", "-d", "/"]}, {"evidence": {"files": ["out"], "newer_than": "start"}},
)  # fmt: skip
CYCLIC: tuple[Value, ...] = (
    {"schedule": {"every": "10m"}}, {"schedule": {"cron": "0 6 * * *", "timezone": "Europe/Berlin"}},
    {"schedule": {"every": 5}, "overlap": "skip", "catch_up": {"all": 3}, "jitter": "1s", "start": "at_load"},
)  # fmt: skip
OLDER_META = {"project": "p", "operator": "o", "current_phase": 1}


def good(rng: Random) -> Value:
    """A plan of version 3 that can be brought to its end."""
    ids = rng.sample(IDS, rng.choice((2, 2, 2, 3, 3, 5)))
    phases: list[Value] = []
    done: list[str] = []
    while ids:
        jobs = [_job(ids.pop(), done, rng) for _ in range(min(len(ids), rng.randint(1, 4)))]
        asked: Value = {"approval": rng.choice(("required", {"expires": "2h"}))} if rng.random() < 0.1 else {}
        order = rng.choice(("sequential", "parallel"))
        phases.append({"id": 2 * len(phases) + rng.randint(1, 2), "name": "n", "order": order, **asked, "jobs": jobs})
    return {"version": 3, "phases": phases}


def _job(name: str, done: list[str], rng: Random) -> Value:
    job: Value = {"id": name, "task": "t", "verification_cmd": "true", **copied(rng.choice(EXTRAS))}
    needs = rng.sample(done, min(len(done), rng.randint(0, 2)))
    if needs:
        job["depends_on"] = needs
    if rng.random() < 0.15 and "deadline" not in job:
        return job | {"status": "cyclic", **copied(rng.choice(CYCLIC))}
    done.append(name)
    return job


def older(rng: Random, version: int) -> Value:
    """A plan of version 1 or 2 that can be brought to its end."""
    plan = good(rng)
    for phase in plan["phases"]:
        phase["status"] = "active"
        del phase["order"]
        for job in phase["jobs"]:
            for name in job.keys() - {"id", "task", "verification_cmd", "status", "depends_on"}:
                del job[name]
            job |= {"status": job.get("status", "pending"), "description": "", "verification_cmd": "true"}
    dated = {"boot_time": "2025-01-01T00:00:00Z", "mode": "daemon"} if version == 2 else {}
    return {"meta": OLDER_META | dated, "phases": plan["phases"]}


def planted(rng: Random) -> Value:
    """A plan of any version with one fault in it: something is there twice, or waits for itself."""
    plan = rng.choice((good, lambda rng: older(rng, 1), lambda rng: older(rng, 2)))(rng)
    jobs = [job for phase in plan["phases"] for job in phase["jobs"]]
    rng.choice(PLANTS)(plan["phases"], jobs, rng)
    return plan


def _same_job(phases: list[Value], jobs: list[Value], rng: Random) -> None:
    first, second = rng.sample(jobs, 2)
    second["id"] = first["id"]


def _job_again(phases: list[Value], jobs: list[Value], rng: Random) -> None:
    rng.choice(phases)["jobs"].append(dict(rng.choice(jobs)))


def _same_phase(phases: list[Value], jobs: list[Value], rng: Random) -> None:
    phases.insert(rng.randrange(len(phases) + 1), {**rng.choice(phases), "jobs": [{**jobs[0], "id": "other"}]})


def _ring(phases: list[Value], jobs: list[Value], rng: Random) -> None:
    """One to three jobs, wherever they stand, of which each waits for the next."""
    ring = rng.sample([job for job in jobs if job.get("status") != "cyclic"] or jobs, 1)
    ring += rng.sample([job for job in jobs if job is not ring[0]], rng.randint(0, min(2, len(jobs) - 1)))
    for job, need in zip(ring, [*ring[1:], ring[0]], strict=True):
        job["depends_on"] = [need["id"], *(one for one in job.get("depends_on", ()) if one != need["id"])]


PLANTS: tuple[Callable[[list[Value], list[Value], Random], None], ...] = (
    _same_job,
    _job_again,
    _same_phase,
    _ring,
    _ring,
    _ring,
)
