"""Processes that are killed at their Nth word to Redis: `python -m tests.mortal`, told by lines of JSON.

A line is [N, deed, argument…]. For each a fork of this program does the deed and gets a SIGKILL before it sends its
Nth command, whatever its connection is for; the answer is `killed`, or `ended` when the deed came to its end first.
What was sent before was read and answered by Redis. A program of its own, because a test run has threads, and a fork
of those may stand still; warm, so that hundreds of deaths take seconds.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from itertools import count
from typing import Any

from redis.connection import AbstractConnection

from moie_worker.celery import app
from moie_worker.doors import tasks
from moie_worker.doors.cli.main import moie
from moie_worker.doors.hints import publisher
from moie_worker.heart import heartbeat, hints
from moie_worker.heart.dispatch import Dispatcher
from moie_worker.plan.flow import Hint
from moie_worker.wiring import system

WHO = "w@test"


def offer() -> None:
    """What a beat does: reserve, publish, sent."""
    here = system()
    Dispatcher(here.fleet, here.store, publisher(app)).sweep()


def work(*jobs: str) -> None:
    """What a worker does with a hint: begin, renew, settle, ring."""
    hints.work(Hint("hint", "default", jobs), tasks.desk("test", os.getpid(), WHO))


def decline(*jobs: str) -> None:
    """What a worker without room does with it: begin, release."""
    hints.decline(Hint("hint", "default", jobs), tasks.desk("test", os.getpid(), WHO))


def beat() -> None:
    """A heartbeat with its snapshot and its seal."""
    here = system()
    heartbeat.beat_all(here.fleet, here.store, WHO, here.before_heartbeat, here.sealer(WHO))


def command(*args: str) -> None:
    """A command line."""
    moie.main(list(args), standalone_mode=False)


DEEDS: dict[str, Callable[..., None]] = {deed.__name__: deed for deed in (offer, work, decline, beat, command)}


def _die_at(number: int) -> None:
    send: Any = AbstractConnection.send_packed_command
    words = count()

    def sent(*args: Any, **options: Any) -> Any:
        if next(words) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return send(*args, **options)

    AbstractConnection.send_packed_command = sent  # type: ignore[method-assign]


def _child(number: int, deed: str, *args: str) -> None:
    os.dup2(2, 1)  # the answers are the parent's alone
    _die_at(number)
    DEEDS[deed](*args)


def main() -> None:
    """Until the input ends."""
    for line in sys.stdin:
        number, deed, *args = json.loads(line)
        child = os.fork()
        if not child:
            code = 1
            try:
                _child(number, deed, *args)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        answer = "killed" if killed else "ended" if status == 0 else f"failed: status {status}"
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
