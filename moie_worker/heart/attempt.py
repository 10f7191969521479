"""One attempt at one job: what it runs, in which order, and what that proves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from moie_worker.heart.checks import check_of
from moie_worker.heart.freshness import judged, start_of
from moie_worker.heart.receipts import receipt_of
from moie_worker.heart.redact import evidence_shown
from moie_worker.heart.trust import objection
from moie_worker.plan.decide import Ended, crashed, refused, settlement, skipped, slot_of
from moie_worker.plan.flow import Attempt, Settlement
from moie_worker.plan.model import Job
from moie_worker.plan.receipts import sha256
from moie_worker.plan.reverify import look_id
from moie_worker.plan.schedule import Fire, Skip, due_at
from moie_worker.plan.signing import REFUSED
from moie_worker.plan.states import Outcome, Overlap
from moie_worker.plan.times import Ms, moment
from moie_worker.ports import ActionContext, Clock, Evidence, Files, Notebook, Runner, Signer, Stop, Verifier

LEAVING = "the worker shuts down"
LEAVING_SEEN_S = 0.25  # a signal to a whole service meets its commands before this worker knows of it

_SIGNALLED = 128  # a shell's exit code for a command that a signal ended is above


class Actions(Protocol):
    """Runs the action of a job by its name."""

    def run(self, use: str, context: ActionContext) -> Evidence:
        """Do it; never raises."""
        ...


@dataclass(frozen=True)
class Tools:
    """What an attempt works with; the same for all attempts of a worker at one plan."""

    plan: str
    worker: str
    host: str
    runner: Runner
    actions: Actions
    notebook: Notebook
    clock: Clock
    files: Files
    data_dir: Path
    dice: Callable[[], float]
    wait: Callable[[Stop, float], bool]  # False when the stop came first
    leaving: Callable[[], bool]  # True once the worker was asked to end
    signer: Signer | None = None  # without one, what is verified leaves no receipt


@dataclass(frozen=True, slots=True)
class Run:
    """An attempt with the job it is about and the means to end it early."""

    attempt: Attempt
    job: Job
    stop: Stop
    begun: float  # monotonic time at which Redis said `attempt.started_at`


def opened(attempt: Attempt, stop: Stop, begun: float, plan: str, authors: Verifier | None) -> Run | Settlement:
    """Make an attempt ready to run; one that cannot be read, or that nobody trusted signed, ends instead."""
    try:
        job = Job.model_validate(attempt.definition.job)
    except ValueError as error:
        return crashed(attempt, f"its definition cannot be read: {error}")
    if (of := attempt.definition.verifies) and job.id != look_id(of):  # no signature covers of whom it says to speak
        return refused(attempt, f"{REFUSED}job {job.id} is not what looks at job {of} again")
    if authors is not None and (why := objection(plan, attempt.definition, job, authors)):
        return refused(attempt, why)
    return Run(attempt, job, stop, begun)


def now_of(run: Run, clock: Clock) -> Ms:
    """Redis' time, carried on by this machine's monotonic clock: a wrong wall clock changes nothing."""
    return run.attempt.started_at + round((clock.monotonic() - run.begun) * 1000)


def perform(run: Run, tools: Tools, arm: Callable[[str, Ms, Ms], bool]) -> Settlement:
    """Run the attempt to its end and say what becomes of its job. Never raises for what a job does."""
    if not run.job.cyclic:
        return _settle(run, tools, _verify(run, tools))
    fire = slot_of(run.job, run.attempt, now_of(run, tools.clock))
    match fire:
        case Skip():
            return skipped(run.job, run.attempt, fire)
        case Fire():
            if run.job.overlap is Overlap.ALLOW:
                arm(run.attempt.token, fire.next, due_at(fire.next, run.job.jitter, run.job.id))
            return _settle(run, tools, _cycle(run, tools, fire.slot), fire)


def overdue(run: Run, tools: Tools, *, cancelled: bool) -> Settlement:
    """The settlement of an attempt that does not end: it was stopped (`cancelled`), or its time is over."""
    outcome = Outcome.CANCELLED if cancelled else Outcome.TIMED_OUT
    fire = slot_of(run.job, run.attempt, run.attempt.started_at) if run.job.cyclic else None
    if isinstance(fire, Skip):
        return skipped(run.job, run.attempt, fire)
    took = tools.clock.monotonic() - run.begun
    return _settle(run, tools, Evidence(outcome, "does not end; its process was ended", duration_s=took), fire)


def _verify(run: Run, tools: Tools) -> Evidence:
    """Check; where the check says no and the job knows what to do, act and check again."""
    began = tools.clock.monotonic()
    first = _check(run, tools)
    if run.job.action is None or first.outcome is not Outcome.FAILED:
        return first
    acted = _act(run, tools, slot="")
    if acted.outcome is Outcome.REFUSED:
        return acted
    if acted.outcome is not Outcome.PASSED:
        told = replace(acted, message=f"action {run.job.action.use}: {acted.message}")
        return _with_all(told, (first,), tools.clock.monotonic() - began)
    again = _check(run, tools)
    told = replace(again, detail=dict(again.detail) | {"action": _shown(acted)})
    return _with_all(told, (first, acted), tools.clock.monotonic() - began)


def _with_all(last: Evidence, before: Sequence[Evidence], took_s: float) -> Evidence:
    """What an attempt took is what all took that it ran: that is what the next one will take."""
    return replace(
        last,
        duration_s=took_s,
        cpu_s=last.cpu_s + sum(each.cpu_s for each in before),
        max_rss_bytes=max(last.max_rss_bytes, *(each.max_rss_bytes for each in before)),
    )


def _cycle(run: Run, tools: Tools, slot: Ms) -> Evidence:
    """A cyclic run acts, then checks; it needs at least one of them."""
    label = moment(slot).isoformat(timespec="milliseconds")
    if run.job.action is None:
        return _check(run, tools, label)
    began = tools.clock.monotonic()
    acted = _act(run, tools, label)
    if acted.outcome is not Outcome.PASSED or run.job.verification_cmd is None:
        return acted
    checked = _check(run, tools, label)
    told = replace(checked, detail=dict(checked.detail) | {"action": _shown(acted)})
    return _with_all(told, (acted,), tools.clock.monotonic() - began)


def _check(run: Run, tools: Tools, slot: str = "") -> Evidence:
    checked = tools.runner.run(check_of(run.job, run.attempt.token, slot), run.stop)
    if run.job.evidence is None or checked.outcome is not Outcome.PASSED:
        return checked
    start = start_of(run.job, run.attempt, now_of(run, tools.clock), tools.clock.now())
    return judged(checked, run.job.evidence, run.job.cwd, start, tools.files)


def _act(run: Run, tools: Tools, slot: str) -> Evidence:
    action = run.job.action
    if action is None:
        return Evidence(Outcome.BROKEN, "the job has no action")
    acted = tools.actions.run(
        action.use,
        ActionContext(
            plan=tools.plan,
            job=run.job.id,
            params=action.params,
            command=replace(check_of(run.job, run.attempt.token, slot), cmd=""),
            runner=tools.runner,
            notebook=tools.notebook,
            clock=tools.clock,
            stop=run.stop,
            data_dir=tools.data_dir,
            pause=lambda seconds: tools.wait(run.stop, seconds),
        ),
    )
    if acted.outcome is Outcome.CANCELLED and run.stop.reason is None:
        # Nobody asked for it, so it is no end that would be offered again for ever.
        return replace(acted, outcome=Outcome.FAILED, message=f"gave up by itself: {acted.message}")
    return acted


def _settle(run: Run, tools: Tools, found: Evidence, fire: Fire | None = None) -> Settlement:
    evidence = evidence_shown(found)  # here, before anything of it is kept, signed or told
    if evidence.outcome is Outcome.REFUSED:
        return refused(run.attempt, evidence.message)
    evidence = _unless_leaving(run, tools, evidence)
    now, kept = now_of(run, tools.clock), _record(run, tools, evidence)
    look, kept_verified = bool(run.attempt.definition.verifies), bool(run.attempt.definition.reverified_by)
    verified = (fire is None or look) and evidence.outcome is Outcome.PASSED and tools.signer is not None
    receipt = receipt_of(tools.plan, run.attempt, run.job, evidence, kept) if verified else ""
    if look or kept_verified:
        kept |= _origin(run.attempt, receipt)
    ended = Ended(
        outcome=evidence.outcome,
        message=evidence.message,
        evidence=kept,
        duration=timedelta(milliseconds=now - run.attempt.started_at if fire else round(evidence.duration_s * 1000)),
        cpu_s=evidence.cpu_s,
        max_rss_bytes=evidence.max_rss_bytes,
        receipt=receipt,
    )
    return settlement(run.job, run.attempt, ended, now, tools.dice(), fire)


def _unless_leaving(run: Run, tools: Tools, evidence: Evidence) -> Evidence:
    """What a signal ended while this worker is asked to end says nothing of its job: it is given back."""
    signalled = evidence.signal is not None or (evidence.exit_code or 0) > _SIGNALLED
    if evidence.outcome is not Outcome.BROKEN or not signalled:
        return evidence
    if not tools.leaving() and (not tools.wait(run.stop, LEAVING_SEEN_S) or not tools.leaving()):
        return evidence
    run.stop.set(LEAVING)
    return replace(evidence, outcome=Outcome.CANCELLED, message=f"{LEAVING}: {evidence.message}")


def _origin(attempt: Attempt, receipt: str) -> dict[str, Any]:
    """What lets two looks at one job be compared: which definition was looked at, and what proves it."""
    proof = {"receipt": sha256(receipt)} if receipt else {}
    return {"revision": attempt.revision, "definition": attempt.definition.digest} | proof


def _record(run: Run, tools: Tools, evidence: Evidence) -> dict[str, Any]:
    """What is kept as proof."""
    return _shown(evidence) | {
        "attempt": run.attempt.attempts,
        "host": tools.host,
        "worker": tools.worker,
        "started_at": moment(run.attempt.started_at).isoformat(timespec="milliseconds"),
        "ended_at": moment(now_of(run, tools.clock)).isoformat(timespec="milliseconds"),
    }


def _shown(evidence: Evidence) -> dict[str, Any]:
    found = {
        "outcome": evidence.outcome,
        "message": evidence.message,
        "exit_code": evidence.exit_code,
        "signal": evidence.signal,
        "head": evidence.head,
        "tail": evidence.tail,
        "output_bytes": evidence.output_bytes,
        "sha256": evidence.sha256,
        "duration_s": round(evidence.duration_s, 6),
        "cpu_s": round(evidence.cpu_s, 6),
        "max_rss_bytes": evidence.max_rss_bytes,
        "detail": dict(evidence.detail),
    }
    return {name: value for name, value in found.items() if value not in (None, "", {})}
