"""The Celery tasks, and what a worker process does when it starts and ends."""

import logging
import mmap
import os
import random
import socket
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, NoReturn

from billiard import pool
from celery import shared_task, signals
from celery.concurrency import get_implementation, prefork

from moie_worker import wiring
from moie_worker.adapters.local_files import LocalFiles
from moie_worker.adapters.stop import StopFlag
from moie_worker.adapters.watchdog import ProcessWatchdog
from moie_worker.doors.hints import HEARTBEAT, WORK
from moie_worker.doors.presence import Presence, slots_of
from moie_worker.doors.slots import Slots
from moie_worker.doors.task_letters import origin_of
from moie_worker.errors import InputError, MoieError
from moie_worker.heart import heartbeat, hints
from moie_worker.heart.attempt import Tools
from moie_worker.heart.batch import Desk
from moie_worker.plan.chain import Pulse
from moie_worker.plan.flow import Hint
from moie_worker.plan.signing import NOBODY_TRUSTED
from moie_worker.plan.times import MILLISECOND
from moie_worker.ports import Stop

# Shared with the children of the pool, which are forked after this module was imported: 1 once the worker was asked
# to end. A signal tells only the parent; this is seen by all of them at once.
LEAVING = mmap.mmap(-1, 1)
SLOTS = Slots()
log = logging.getLogger(__name__)
SLOT_PATIENCE_S = 2.0  # how long a hint waits for a slot, and a heartbeat behind it
# A child of the pool that ends waits until its parent has read all its results, 300 times 0.1 s. A parent that is
# shutting down may read no more, and then a worker would outlive its grace time. What counts is in Redis by then.
RESULTS_AWAITED = 10


def leaving() -> bool:
    """True once this worker was asked to end."""
    return LEAVING[0] == 1


def here() -> wiring.System:
    """The system of this process; a forked child makes its own connections."""
    return _system(os.getpid())


@cache
def _system(_pid: int) -> wiring.System:
    return wiring.system()


@cache
def desk(plan: str, _pid: int, worker: str) -> Desk:
    """What this process needs to work on a plan."""
    system = here()
    told = system.settings
    tools = Tools(
        plan=plan,
        worker=worker,
        host=socket.gethostname(),
        runner=system.runner,
        actions=system.actions,
        notebook=system.notebook(plan),
        clock=system.clock,
        files=LocalFiles(),
        data_dir=system.data_dir,
        dice=random.random,
        wait=_wait,
        leaving=leaving,
        signer=system.receipt_signer,
    )
    return Desk(
        store=system.store(plan),
        fleet=system.fleet,
        tools=tools,
        make_stop=StopFlag,
        threads=told.threads,
        lease=told.lease,
        renew=told.renew,
        patience=told.patience,
        alerts=system.alerts,
        watchdog=ProcessWatchdog(),
        authors=system.authors,
        policing=system.policing(plan, worker),
    )


def _wait(stop: Stop, seconds: float) -> bool:
    return not StopFlag.wait_for(stop, seconds)


@shared_task(name=WORK, bind=True)  # type: ignore[untyped-decorator]
def work(self: Any, plan: str, queue: str, hint: str, jobs: list[str]) -> str:
    """Work on a hint; returns what came of it, for people."""
    table, named = desk(plan, os.getpid(), str(self.request.hostname)), Hint(hint, queue, tuple(jobs))
    with SLOTS.take(SLOT_PATIENCE_S, leaving) as mine:
        if not mine:
            hints.decline(named, table)
            return "every slot is taken: given back"
        try:
            summary = hints.work(named, table)
        except hints.WedgedError as error:  # the pool reports the task, then starts another process
            log.critical("%s", error)
            raise SystemExit(1) from None
    return ", ".join(f"{number} {what}" for what, number in summary.items()) or "nothing was due"


@shared_task(name=HEARTBEAT, bind=True)  # type: ignore[untyped-decorator]
def heart_beat(self: Any) -> str:
    """One heartbeat of every plan; returns the reports."""
    system = here()
    who, pulse = str(self.request.hostname), pulse_of(self.request)

    def beat() -> heartbeat.Beaten:
        beaten = heartbeat.beat_all(system.fleet, system.store, who, system.before_heartbeat, system.sealer(who), pulse)
        gone = system.all_gone()
        for told in gone.values():
            log.critical(told)
        return heartbeat.Beaten("\n".join([*gone.values(), beaten.text]), {**beaten.without, **gone})

    if pulse is None:
        return beat().text
    beaten = heartbeat.traced(system.chain, pulse, beat)
    late = (system.fleet.now() - pulse.slot) * MILLISECOND > system.settings.pace.limit  # of a backlog
    if system.pinger is not None and not beaten.without and not late:
        system.pinger.ping(pulse)
    return beaten.text


def pulse_of(request: Any) -> Pulse | None:
    """The heartbeat of a task that a beat sent; None of one that somebody asked for."""
    return Pulse.of(str(request.id)) if origin_of(request).periodic else None


@signals.task_received.connect  # type: ignore[untyped-decorator]
def _on_received(request: Any, **_: Any) -> None:
    if request.name == HEARTBEAT and (pulse := pulse_of(request._context)):
        Presence.received(pulse)


@signals.worker_init.connect  # type: ignore[untyped-decorator]
def _on_init(sender: Any, **_: Any) -> None:
    _check_pool(sender.pool_cls)
    _check_rights()
    SLOTS.number = slots_of(sender.concurrency)
    pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = RESULTS_AWAITED


def _check_pool(pool_cls: Any) -> None:
    """Slots, the place for heartbeats and the end of what does not end by itself need a process for each task."""
    kind = get_implementation(pool_cls)
    if not issubclass(kind, prefork.TaskPool):
        _refuse(
            f"the pool of this worker is {kind.__module__}, and it needs processes: with threads long commands keep "
            "heartbeats waiting, and what does not end could not be ended. Start it without `--pool`, or with "
            "`--pool prefork`",
            InputError.exit_code,
        )


def _refuse(why: str, exit_code: int) -> NoReturn:
    sys.stderr.write(f"moie-worker: {why}\n")
    raise SystemExit(exit_code) from None


def _check_rights() -> None:
    """A worker that cannot tell whom it trusts, or hold its commands as it was told, ends here, not at each job."""
    try:
        _ = here().rights, here().policies, here().signatures_required, here().trusted_authors
    except MoieError as error:
        _refuse(str(error), error.exit_code)


def _say_rights() -> None:
    """How commands are held, and whom this worker trusts. Later than the check: until then nobody reads the log."""
    if (rules := here().policies) is not None:
        log.info("%d policies of %s say what may run", len(rules.policies), here().settings.policies)
    if here().rights.apart:
        log.info("commands run in %s", here().namespaces.told)
    elif here().settings.containment == "auto":
        log.warning("commands run in process groups only; no PID namespaces here: %s", here().namespaces.why_not)
    _say_trust([f"{key.name} ({key.id})" for key in here().trusted_authors])


def _say_trust(authors: Sequence[str]) -> None:
    if authors:
        log.info("only what one of these authors signed is executed: %s", ", ".join(authors))
    elif here().signatures_required:
        log.error("signatures are required, and %s", NOBODY_TRUSTED)
    else:
        log.warning(
            "signatures are NOT checked: whoever can write to Redis can have this worker run commands. "
            "`moie keys trust FILE`, or MOIE_TRUSTED_KEYS"
        )


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _on_ready(sender: Any, **_: Any) -> None:
    _say_rights()
    Presence.start_for(here(), sender)


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _on_leaving(**_: Any) -> None:
    LEAVING[0] = 1
    Presence.leave()
