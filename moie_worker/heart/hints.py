"""Work on one hint: begin what it names, run it on a few threads, settle what ended, give back what did not start.

The thread that calls `work` talks to Redis; the others only run. So an attempt is renewed, stopped and settled in one
place, and a worker that loses Redis ends what it holds when its lease ends.
"""

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from queue import Empty
from threading import Thread

from moie_worker.heart import refusals, regressions
from moie_worker.heart.attempt import LEAVING, Run, opened, overdue, perform
from moie_worker.heart.batch import LOST, Batch, Desk
from moie_worker.heart.quietly import quietly
from moie_worker.heart.settling import finish, settle
from moie_worker.plan.decide import crashed
from moie_worker.plan.flow import Attempt, Hint, Settlement
from moie_worker.plan.limits import FLUSH_MS, HINT_MS, OVERTIME_MS
from moie_worker.plan.states import OnLeaseLost
from moie_worker.ports import ClosingStop

log = logging.getLogger(__name__)


class WedgedError(Exception):
    """An action does not end, whoever asks. All else of the hint is settled; this process has to end."""


def work(hint: Hint, desk: Desk) -> dict[str, int]:
    """Do what a hint names, as far as it is still due; returns how many attempts ended in which way.

    Raises UnreachableError when Redis cannot be asked to begin; nothing was begun then, or the lease ends by itself.
    Raises WedgedError when all is settled and a thread is left in an action that does not end.
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
    if batch.abandoned:
        raise WedgedError(f"{len(batch.abandoned)} actions of hint {hint.id} do not end; this process has to")
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
    with _watched(batch, desk) as goes_on:
        for thread in threads:
            thread.start()
        flushed = renewed = batch.begun_at
        live = len(threads)
        while live:
            live -= _collect(batch)
            now = clock.monotonic()
            _mind(batch, desk, now)
            if now - flushed >= FLUSH_MS / 1000 and live:
                settle(batch, desk, done=False)
                flushed = now
            if now - renewed >= desk.renew.total_seconds():
                goes_on()
                live -= _abandon(batch, desk, now)
                _renew(batch, desk)
                renewed = now
    if not batch.abandoned:
        for thread in threads:
            thread.join()
    finish(batch, desk, _renew)


@contextmanager
def _watched(batch: Batch, desk: Desk) -> Iterator[Callable[[], None]]:
    """Where actions run in this process: one that lets nothing else run keeps it from renewing, and then it ends.

    By then its leases are lost, and the guard has ended its commands; what is to outlive its lease is not watched.
    """
    inside = any(run.job.action is not None and run.job.action.use != "shell" for run in batch.runs.values())
    if not inside or any(run.job.on_lease_lost is OnLeaseLost.CONTINUE for run in batch.runs.values()):
        yield lambda: None
        return
    within = desk.lease + desk.renew
    desk.watchdog.expect(within)
    try:
        yield lambda: desk.watchdog.expect(within)
    finally:
        desk.watchdog.rest()


def _run_waiting(batch: Batch, desk: Desk) -> None:
    """The life of a runner thread: take the next, run it, hand in what came of it."""
    try:
        while True:
            try:
                run = batch.waiting.popleft()
            except IndexError:
                break
            batch.running[run.attempt.token] = run
            batch.results.append(_perform(run, desk))  # without waking anybody: that costs more than what is told
    finally:
        batch.idle.put(None)


def _perform(run: Run, desk: Desk) -> Settlement:
    """An error of ours, or whatever an action raises, ends the attempt and is told; never the thread with the job."""
    try:
        return perform(run, desk.tools, lambda *slot: bool(quietly(lambda: desk.store.arm(*slot), "arm")))
    except BaseException as error:
        log.exception("attempt %s at job %s met an error of moie-worker", run.attempt.token, run.job.id)
        return crashed(run.attempt, f"an error of moie-worker, see its log: {type(error).__name__}: {error}")


def _collect(batch: Batch) -> int:
    """Wait for a flush, or for a thread with nothing left to do; take in what ended. Returns how many threads did.

    A thread that was given up and comes back all the same counts again.
    """
    ended = 0
    with suppress(Empty):
        batch.idle.get(timeout=FLUSH_MS / 1000)
        ended = 1
    while batch.results:
        found = batch.results.popleft()
        if found.token in batch.abandoned:
            batch.abandoned.remove(found.token)
            ended -= 1
            continue
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


def _abandon(batch: Batch, desk: Desk, now: float) -> int:
    """Settle what was told to end, has no time left, and does not end; its thread is lost. Returns how many are."""
    grace = desk.renew.total_seconds()
    left = batch.leave_at is not None and now > batch.leave_at + grace
    lost = 0
    for token, run in list(batch.running.items()):
        over = now > batch.begun_at + run.attempt.definition.limit_ms / 1000 + grace
        if run.stop.reason is not None and (over or left):
            log.error("an action of job %s does not end (attempt %s); its process will", run.job.id, token)
            batch.abandoned.add(token)
            batch.unsettled.append(overdue(run, desk.tools, cancelled=run.stop.reason != LOST))
            del batch.running[token]
            lost += 1
    return lost


def _give_back(batch: Batch, desk: Desk) -> None:
    tokens: list[str] = []
    while batch.waiting:
        try:
            tokens.append(batch.waiting.popleft().attempt.token)
        except IndexError:
            break
    if tokens:
        batch.count("given back", len(tokens))
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
