"""What may be wrong with an installation, and what to do about it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from moie_worker.plan.chain import Sight, missing_link
from moie_worker.plan.duration import format_duration
from moie_worker.plan.flow import Overview
from moie_worker.plan.health import heartbeat_health
from moie_worker.plan.invariants import Audit, Broken
from moie_worker.plan.pace import Pace
from moie_worker.plan.presence import Beat, Worker
from moie_worker.plan.proof import Verdict
from moie_worker.plan.receipt_state import ReceiptState
from moie_worker.plan.signing import NOBODY_TRUSTED
from moie_worker.plan.states import Health
from moie_worker.plan.status import IMPORTED, Crew

OLDEST = (6, 2)
SLOW_S = 0.02
SKEWED_S = 1.0
FULL_SHARE = 0.8
MIB = 1024 * 1024


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    level: Level
    message: str
    broken: Broken | None = None  # a promise that is not kept


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What a Redis says of itself."""

    name: str
    version: str
    speaks: str  # the version of Redis that it is compatible with
    append_only: bool
    eviction: str
    used_bytes: int
    max_bytes: int  # 0: no limit
    primary: bool
    round_trip_s: float
    ahead_s: float  # of this machine's clock


@dataclass(frozen=True, slots=True)
class Holding:
    """How the commands of this machine's workers are held, as its settings and its kernel say."""

    no_new_privileges: bool
    can_give_up: bool  # the kernel knows of it
    containment: str
    namespaces: str  # those that can be had
    no_namespaces: str  # why there are none; empty: they can be had
    programs: Mapping[str, str]  # that commands may begin with, and what file each is; none: any
    run_as: Mapping[str, str]  # users that jobs may name, with why they cannot be used


def held_findings(held: Holding) -> Iterator[Finding]:
    """What commands may do, and what becomes of what they leave behind."""
    kept = "kept: commands may use sudo and its kin, as MOIE_NO_NEW_PRIVILEGES says"
    wrong = kept if held.can_give_up else "kept: this kernel cannot take them"
    yield _judged(
        "new privileges", held.no_new_privileges and held.can_give_up,
        "given up: commands gain none by sudo and its kin", wrong, Level.NOTE,
    )  # fmt: skip
    yield _containment(held)
    yield _programs(held.programs)
    for user, why in held.run_as.items():
        yield _judged(f"run_as {user}", not why, "possible", why, Level.FAULT)


def _containment(held: Holding) -> Finding:
    missing = f"no PID namespaces here: {held.no_namespaces}"
    if held.containment == "group":
        told = missing if held.no_namespaces else f"MOIE_CONTAINMENT=pid is possible here: {held.namespaces}"
        return Finding("containment", Level.OK, f"process groups, as MOIE_CONTAINMENT says; {told}")
    level = Level.FAULT if held.containment == "pid" else Level.NOTE
    return _judged("containment", not held.no_namespaces, held.namespaces, f"process groups only; {missing}", level)


def _programs(programs: Mapping[str, str]) -> Finding:
    here = ", ".join(f"{word} ({file})" for word, file in programs.items() if file)
    missing = ", ".join(word for word, file in programs.items() if not file)
    if not programs:
        return Finding("programs", Level.OK, "any, as MOIE_ALLOWED_PROGRAMS names none")
    told = f"commands begin with these only: {here or 'none'}"
    return _judged("programs", not missing, told, f"{told}; this machine does not have {missing}", Level.NOTE)


def redis_findings(facts: RedisFacts) -> Iterator[Finding]:
    """Version, durability, memory, clock."""
    found = tuple(map(int, re.findall(r"\d+", facts.speaks)[:2]))
    told = f"{facts.name} {facts.version}"
    yield _judged("version", found >= OLDEST, told, f"{told} is too old: 6.2 or newer is needed", Level.FAULT)
    yield _judged("role", facts.primary, "primary", "a replica: give the address of the primary", Level.FAULT)
    yield _judged(
        "durability", facts.append_only, "append-only file",
        "no append-only file: a restart of Redis loses what came since its last snapshot. CONFIG SET appendonly yes",
        Level.WARNING,
    )  # fmt: skip
    yield _eviction(facts)
    yield _memory(facts)
    yield _judged(
        "round trip", facts.round_trip_s < SLOW_S, f"{facts.round_trip_s * 1000:.1f} ms",
        f"{facts.round_trip_s * 1000:.0f} ms: every job needs a few of them", Level.WARNING,
    )  # fmt: skip
    side = "behind" if facts.ahead_s < 0 else "ahead of"
    yield _judged(
        "clock", abs(facts.ahead_s) < SKEWED_S, f"within {SKEWED_S:g} s of this machine's",
        f"Redis is {abs(facts.ahead_s):.1f} s {side} this machine: schedules follow Redis. Set the clocks by NTP",
        Level.WARNING,
    )  # fmt: skip


def _eviction(facts: RedisFacts) -> Finding:
    kept = facts.eviction == "noeviction"
    level = Level.FAULT if facts.max_bytes else Level.WARNING
    wrong = f"{facts.eviction}: a full Redis would drop jobs. CONFIG SET maxmemory-policy noeviction"
    return _judged("eviction", kept, "noeviction", wrong, level)


def _memory(facts: RedisFacts) -> Finding:
    used = f"{facts.used_bytes / MIB:.0f} MiB used"
    if not facts.max_bytes:
        return Finding("memory", Level.OK, f"{used}, no limit")
    told = f"{used} of {facts.max_bytes / MIB:.0f} MiB"
    roomy = facts.used_bytes < FULL_SHARE * facts.max_bytes
    return _judged("memory", roomy, told, f"{told}: raise maxmemory before it is full", Level.WARNING)


def crew_findings(crew: Crew, queues: Sequence[str], idle_queues: Sequence[str]) -> Iterator[Finding]:
    """Whether somebody works, and on every queue of the plan. Without a plan (no queues) nobody needs to."""
    workers, beats = len(crew.workers), len(crew.beats)
    missing = Level.FAULT if queues else Level.NOTE
    yield _judged("workers", workers > 0, f"{workers}", "none: celery -A moie_worker worker", missing)
    yield _judged("beats", beats > 0, f"{beats}", "none: celery -A moie_worker beat", missing)
    for name in (*crew.workers_gone, *crew.beats_gone):
        yield Finding("presence", Level.WARNING, f"{name} is gone without a word")
    if queues:
        idle = ",".join(idle_queues)
        wrong = f"no worker for {idle}: celery -A moie_worker worker -Q {idle}"
        yield _judged("queues", not idle_queues, ", ".join(queues), wrong, Level.FAULT)


def heartbeat_finding(overview: Overview, beats: Sequence[Beat], pace: Pace) -> Finding:
    """Stale is a fault; none at all is suspicious once a beat lives for longer than its period."""
    health, message = heartbeat_health(overview.flags.last_heartbeat, overview.now, pace.limit)
    late = health is Health.UNKNOWN and overview.flags.revision > 0 and pace.first_is_late(beats, overview.now)
    if late:
        wrong = f"{message}, and one is due every {format_duration(pace.period)}: does a worker take the queue default?"
        return Finding("heartbeat", Level.WARNING, wrong)
    return Finding("heartbeat", Level.FAULT if health is Health.STALE else Level.OK, message)


def trust_finding(authors: Mapping[str, str], required: bool, workers: Sequence[Worker]) -> Finding:
    """Whether signed jobs only are executed: by this machine's settings, and as the workers that live say.

    `authors` are the names of those that are trusted here, by the ids of their keys.
    """
    lax = ", ".join(worker.name for worker in workers if worker.authors is None)
    if not required:
        if workers and not lax:
            return Finding("signatures", Level.OK, "required by every worker that lives, not on this machine")
        wrong = "not required: whoever can write to Redis can have workers run commands. "
        return Finding("signatures", Level.NOTE, f"{wrong}`moie keys trust FILE` on every machine with a worker")
    if not authors:
        return Finding("signatures", Level.FAULT, f"required, and {NOBODY_TRUSTED}")
    if lax:
        wrong = f"required on this machine, and {lax} looks at none and runs whatever stands in Redis"
        return Finding("signatures", Level.FAULT, f"{wrong}: `moie keys trust FILE` on its machine, then restart it")
    others = ", ".join(worker.name for worker in workers if set(worker.authors or ()) != set(authors))
    named = ", ".join(f"{name} ({key})" for key, name in authors.items())
    if others:
        wrong = f"this machine trusts {named}; {others} trusts others, as when it began"
        return Finding("signatures", Level.WARNING, f"{wrong}: `moie keys list` there, and restart it")
    return Finding("signatures", Level.OK, f"required: only what these authors signed is executed: {named}")


def receipts_finding(state: ReceiptState, verdict: Verdict | None) -> Finding:
    """Whether the newest seal is trusted here; with a verdict, whether the whole chain is whole."""
    if state.problem:
        return Finding("receipts", Level.FAULT, state.problem)
    if verdict is not None and verdict.problems:
        more = f" and {len(verdict.problems) - 1} more" if len(verdict.problems) > 1 else ""
        return Finding("receipts", Level.FAULT, f"{verdict.problems[0]}{more}: `moie receipts verify` names all")
    told = " · ".join(state.words())
    if verdict is not None:
        return Finding("receipts", Level.OK, f"verified: {told}; signed by {', '.join(verdict.signers)}")
    unread = "; `moie receipts verify` looks at every one" if state.sealed else ""
    return Finding("receipts", Level.OK, told + unread)


def imported_finding(overview: Overview) -> Finding:
    """Whether jobs count as done that nobody verified here."""
    told = (
        f"{overview.imported} jobs were {IMPORTED}: a document of an older version says that they are done. "
        "`moie verify` runs their checks"
    )
    return _judged("verified", not overview.imported, "whatever is completed was verified here", told, Level.NOTE)


def chain_finding(sight: Sight) -> Finding:
    """Which link of beat, broker, worker, state and outside is missing, or how far the newest heartbeat came."""
    if missing := missing_link(sight):
        return Finding("chain", Level.FAULT, f"{missing.link}: {missing.message}")
    passed = [mark.pulse.slot for mark in sight.trace.values()]
    newest = [f"{mark.pulse.id} {station}" for station, mark in sight.trace.items() if mark.pulse.slot == max(passed)]
    return Finding("chain", Level.OK, newest[-1] if newest else "no heartbeat was sent yet")


def audit_findings(audit: Audit) -> Iterator[Finding]:
    """Each broken promise with its place and what to do; what could not be compared; else what was looked at."""
    for broken in audit.broken:
        told = " ".join(part for part in (f"{broken.where}:", broken.what, broken.message) if part)
        yield Finding("audit", Level.FAULT, f"{told} ({broken.rule}). {broken.remedy}", broken)
    if audit.cut:
        yield Finding("audit", Level.FAULT, f"and more: these are the first {len(audit.broken)}")
    for note in audit.notes:
        yield Finding("audit", Level.NOTE, note)
    if not audit.broken and not audit.notes:
        told = f"{audit.jobs} jobs, {audit.attempts} attempts and {audit.receipts} receipts keep every promise"
        yield Finding("audit", Level.OK, told)


def extra_findings(installed: Mapping[str, bool], broken: Mapping[str, str]) -> Iterator[Finding]:
    """Parts that are installed by choice, and plugins that cannot be loaded."""
    for extra, there in installed.items():
        wrong = f"not installed: pip install 'moie-worker[{extra}]'"
        yield _judged(f"extra {extra}", there, "installed", wrong, Level.NOTE)
    for action, why in broken.items():
        yield Finding(f"action {action}", Level.WARNING, f"cannot be loaded: {why}")


def _judged(what: str, good: bool, told: str, wrong: str, level: Level) -> Finding:
    return Finding(what, Level.OK, told) if good else Finding(what, level, wrong)
