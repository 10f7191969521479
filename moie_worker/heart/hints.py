"""Work on one hint: begin what it names, run it on a few threads, settle what ended, give back what did not start.

The thread that calls `work` talks to Redis; the others only run. So an attempt is renewed, stopped and settled in one
place, and a worker that loses Redis ends what it holds when its lease ends.
"""

import logging
import secrets
from collections import deque
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from queue import Empty, SimpleQueue
from threading import Thread

from moie_worker.errors import MoieError
from moie_worker.heart import refusals, regressions
from moie_worker.heart.attempt import LEAVING, Run, Tools, opened, perform
from moie_worker.heart.policing import Policing
from moie_worker.heart.quietly import quietly
from moie_worker.heart.receipts import signed
from moie_worker.plan.decide import crashed
from moie_worker.plan.flow import Attempt, Hint, Settlement
from moie_worker.plan.limits import FLUSH_MS, HINT_MS, OVERTIME_MS
from moie_worker.plan.states import OnLeaseLost, Outcome
from moie_worker.ports import Alerts, ClosingStop, Fleet, Store, Verifier

LOST = "its lease was lost"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Desk:
    """What a worker process needs to work on hints of one plan."""

    store: Store
    fleet: Fleet
    tools: Tools
    make_stop: Callable[[], ClosingStop]
    threads: int
    lease: timedelta
    renew: timedelta
    patience: timedelta  # how long a running command may go on after the worker was asked to end
    alerts: Alerts
    authors: Verifier | None = None  # None: signatures are not looked at
    policing: Policing | None = None  # None: there are no policies


@dataclass
class Batch:
    """The attempts of one hint."""

    hint: Hint
    begun_at: float
    held_until: float  # monotonic end of the leases
    leave_at: float | None = None  # when the worker's patience ends, once it was asked to end
    runs: dict[str, Run] = field(default_factory=dict)  # all of them, by token
    waiting: deque[Run] = field(default_factory=deque)
    running: dict[str, Run] = field(default_factory=dict)
    results: deque[Settlement] = field(default_factory=deque)
    idle: SimpleQueue[None] = field(default_factory=SimpleQueue)  # one for each thread with nothing left to do
    unsettled: list[Settlement] = field(default_factory=list)
    grave: list[Settlement] = field(default_factory=list)  # somebody has to be told of them
    summary: dict[str, int] = field(default_factory=dict)


def work(hint: Hint, desk: Desk) -> dict[str, int]:
    """Do what a hint names, as far as it is still due; returns how many attempts ended in which way.

    Raises UnreachableError when Redis cannot be asked to begin; nothing was begun then, or the lease ends by itself.
    """
    if desk.tools.leaving():
        return {}
    clock = desk.tools.clock
    asked = clock.monotonic()
    attempts = desk.store.begin(hint, secrets.token_hex(8), desk.tools.worker, desk.lease)
    if not attempts:
        return {}  # without a ring: thousands of stale hints must not keep the beats busy
    batch = Batch(hint, clock.monotonic(), asked + desk.lease.total_seconds())
    stops: list[ClosingStop] = []
    try:
        for attempt in attempts:
            stops.append(_open(batch, attempt, desk))
        _rule(batch, desk)
        _register(list(batch.waiting), desk, asked)
        _drive(batch, desk)
        refusals.tell(desk.alerts, desk.tools.plan, batch.grave)
        regressions.tell(desk.alerts, desk.store, batch.grave)
    finally:
        desk.tools.runner.forget(list(batch.runs))
        for stop in stops:
            stop.close()
    return batch.summary


def decline(hint: Hint, desk: Desk) -> None:
    """Give back what a hint names, for which there is no room here; it is offered again. Raises UnreachableError."""
    attempts = desk.store.begin(hint, secrets.token_hex(8), desk.tools.worker, desk.lease)
    desk.store.release([attempt.token for attempt in attempts], hint, True)


def _open(batch: Batch, attempt: Attempt, desk: Desk) -> ClosingStop:
    stop = desk.make_stop()
    found = opened(attempt, stop, batch.begun_at, desk.tools.plan, desk.authors)
    if isinstance(found, Run):
        batch.runs[attempt.token] = found
        batch.waiting.append(found)
    else:
        batch.unsettled.append(found)
    return stop


def _rule(batch: Batch, desk: Desk) -> None:
    """Take out what policies refuse or make wait."""
    for settlement in desk.policing.stopped(batch.waiting) if desk.policing else ():
        batch.waiting.remove(batch.runs.pop(settlement.token))
        batch.unsettled.append(settlement)


def _register(runs: list[Run], desk: Desk, sent_at: float) -> None:
    """Tell the guard how long the commands may live, whatever becomes of this process."""
    guarded = [run.attempt.token for run in runs if run.job.on_lease_lost is OnLeaseLost.STOP]
    others = [run.attempt.token for run in runs if run.job.on_lease_lost is OnLeaseLost.CONTINUE]
    desk.tools.runner.renewed(guarded, desk.lease, sent_at)
    if others:
        desk.tools.runner.renewed(others, timedelta.max, sent_at)


def _drive(batch: Batch, desk: Desk) -> None:
    clock = desk.tools.clock
    threads = [
        Thread(target=_run_waiting, args=(batch, desk), daemon=True)
        for _ in range(min(desk.threads, len(batch.waiting)))
    ]
    for thread in threads:
        thread.start()
    flushed = renewed = batch.begun_at
    live = len(threads)
    while live:
        live -= _collect(batch)
        now = clock.monotonic()
        _mind(batch, desk, now)
        if now - flushed >= FLUSH_MS / 1000 and live:
            _settle(batch, desk, done=False)
            flushed = now
        if now - renewed >= desk.renew.total_seconds():
            _renew(batch, desk)
            renewed = now
    for thread in threads:
        thread.join()
    _finish(batch, desk)


def _run_waiting(batch: Batch, desk: Desk) -> None:
    """The life of a runner thread: take the next, run it, hand in what came of it."""
    while True:
        try:
            run = batch.waiting.popleft()
        except IndexError:
            break
        batch.running[run.attempt.token] = run
        batch.results.append(_perform(run, desk))  # without waking anybody: that costs more than what is told
    batch.idle.put(None)


def _perform(run: Run, desk: Desk) -> Settlement:
    """An error of ours ends the attempt and is told; it must not end the thread with the job in hand."""
    try:
        return perform(run, desk.tools, lambda *slot: bool(quietly(lambda: desk.store.arm(*slot), "arm")))
    except Exception as error:
        log.exception("attempt %s at job %s met an error of moie-worker", run.attempt.token, run.job.id)
        return crashed(run.attempt, f"an error of moie-worker, see its log: {type(error).__name__}: {error}")


def _collect(batch: Batch) -> int:
    """Wait for a flush, or for a thread with nothing left to do; take in what ended. Returns how many threads did."""
    ended = 0
    with suppress(Empty):
        batch.idle.get(timeout=FLUSH_MS / 1000)
        ended = 1
    while batch.results:
        found = batch.results.popleft()
        batch.unsettled.append(found)
        batch.running.pop(found.token, None)
    return ended


def _mind(batch: Batch, desk: Desk, now: float) -> None:
    """Give back what will not start in time; stop what may not go on."""
    if now > batch.held_until:
        _stop(batch, LOST)
        batch.waiting.clear()
    overtime = (HINT_MS + OVERTIME_MS) / 1000
    if desk.tools.leaving() or now - batch.begun_at > overtime:
        _give_back(batch, desk)
    if batch.leave_at is None and desk.tools.leaving():
        batch.leave_at = now + desk.patience.total_seconds()
    if batch.leave_at is not None and now > batch.leave_at:
        _stop(batch, LEAVING)


def _stop(batch: Batch, why: str) -> None:
    for run in list(batch.running.values()):
        if why != LOST or run.job.on_lease_lost is OnLeaseLost.STOP:
            run.stop.set(why)


def _give_back(batch: Batch, desk: Desk) -> None:
    tokens: list[str] = []
    while batch.waiting:
        try:
            tokens.append(batch.waiting.popleft().attempt.token)
        except IndexError:
            break
    if tokens:
        _count(batch, "given back", len(tokens))
        quietly(lambda: desk.store.release(tokens, batch.hint, False), "release")


def _renew(batch: Batch, desk: Desk) -> None:
    """Renew what is not settled yet; obey what Redis says of it."""
    runs = [*batch.running.values(), *batch.waiting]
    tokens = [run.attempt.token for run in runs] + [settlement.token for settlement in batch.unsettled]
    if not tokens:
        return
    sent_at = desk.tools.clock.monotonic()
    answers = quietly(lambda: desk.store.renew(tokens, desk.lease, batch.hint), "renew")
    if answers is None:
        return
    batch.held_until = sent_at + desk.lease.total_seconds()
    good: list[Run] = []
    for run, answer in zip(runs, answers, strict=False):
        if answer == "ok":
            good.append(run)
        else:
            run.stop.set(LOST if answer == "gone" else answer)
    _register(good, desk, sent_at)


def _settle(batch: Batch, desk: Desk, *, done: bool) -> bool:
    """Settle what ended; False when Redis did not do it, then it is tried again."""
    if not batch.unsettled and not done:
        return True
    reasons = [(settlement, _stopped_for(batch, settlement)) for settlement in batch.unsettled]
    given_back = [settlement.token for settlement, why in reasons if why not in (None, LOST)]  # the store knows why
    settling = [settlement for settlement, why in reasons if why is None]
    try:
        if given_back:
            desk.store.release(given_back, batch.hint, False)
        desk.store.settle(signed(settling, desk.tools.signer), batch.hint, done)
    except MoieError as error:
        log.warning("cannot settle %d attempts yet: %s", len(settling), error)
        return False
    for settlement in batch.unsettled:
        _count(batch, settlement.outcome.replace("_", " "), 1)
    batch.grave += (each for each in batch.unsettled if each.outcome is Outcome.REFUSED or regressions.opens(each))
    batch.unsettled.clear()
    quietly(lambda: desk.fleet.ring(desk.tools.plan), "ring")
    return True


def _stopped_for(batch: Batch, settlement: Settlement) -> str | None:
    """Why an attempt was cut short by this worker; None when it ended in its own way."""
    if settlement.outcome is Outcome.LOST:
        return LOST
    if settlement.outcome is not Outcome.CANCELLED or settlement.token not in batch.runs:
        return None
    return batch.runs[settlement.token].stop.reason


def _finish(batch: Batch, desk: Desk) -> None:
    """Settle the rest; while Redis is away, until the leases end and somebody else takes over.

    What Redis refuses is not held for ever: a lease long is enough, however often it is renewed.
    """
    latest = desk.tools.clock.monotonic() + desk.lease.total_seconds()
    while not _settle(batch, desk, done=True):
        if desk.tools.clock.monotonic() > min(batch.held_until, latest):
            log.error("%d attempts of hint %s ended and could not be settled; they will be run again",
                      len(batch.unsettled), batch.hint.id)  # fmt: skip
            return
        _renew(batch, desk)
        with closing(desk.make_stop()) as stop:  # a refusal comes at once: not a thousand times a second
            desk.tools.wait(stop, FLUSH_MS / 1000)


def _count(batch: Batch, what: str, number: int) -> None:
    batch.summary[what] = batch.summary.get(what, 0) + number
