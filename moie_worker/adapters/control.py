"""`moie up --detach` and `moie down`: the ends of a supervisor that has no terminal."""

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from moie_worker.adapters.home import Holder, Home, holder
from moie_worker.adapters.processes import wait_until
from moie_worker.adapters.supervisor import Result
from moie_worker.errors import MoieError, NotFoundError, RefusedError

DOWN_S = 90.0  # longer than all parts may take to stop

Announce = Callable[[Result], None]


def down(home: Home, patience_s: float = DOWN_S) -> Holder:
    """Stop the `moie up` of this home in order, and wait until nothing of it is left; returns who it was.

    Raises NotFoundError when nothing runs here, RefusedError when it is not ours to stop or does not end in time.
    """
    found = holder(home)
    if found is None:
        raise NotFoundError(f"nothing runs on {home.root}; start it with `moie up`")
    try:
        os.kill(found.pid, signal.SIGTERM)
    except ProcessLookupError:
        return found
    except PermissionError:
        raise RefusedError(f"moie on {home.root} (pid {found.pid}) belongs to another user") from None
    if not wait_until(lambda: not found.alive(), patience_s):
        raise RefusedError(
            f"moie on {home.root} (pid {found.pid}) was asked to stop and still runs after {patience_s:g} s; "
            f"see {home.logs / 'up.log'}. `moie down` once more stops it at once."
        )
    return found


def detach(home: Home, body: Callable[[Announce], Result]) -> Result:
    """Run `body` in a process of its own that survives this one; returns what it announced first.

    `body` gets a function to call when all is ready; its own result, or its MoieError, counts when it ends before.
    What it prints goes to logs/detached.log in the home. Call it before anything has made a thread.
    """
    home.prepare()
    log = home.logs / "detached.log"
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)  # here, where somebody is told why not
    read, write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(read)
        _become_daemon(output)
        _run(body, write)
    os.close(output)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    if not answer:
        raise MoieError(f"moie ended before it was ready; its reason is in {log}")
    return Result(**json.loads(answer))


def _become_daemon(output: int) -> None:
    """No terminal, no parent that waits, no way to get a terminal again."""
    os.setsid()
    if os.fork() > 0:
        os._exit(0)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(nothing.fileno(), 0)


def _run(body: Callable[[Announce], Result], write: int) -> None:
    """Never returns: what the caller has on its stack is the business of its first process."""
    pipes = [write]

    def announce(result: Result) -> None:
        if pipes:
            with contextlib.suppress(BrokenPipeError), os.fdopen(pipes.pop(), "w") as pipe:  # nobody waits any more
                json.dump(asdict(result), pipe)

    code = 1
    try:
        result = body(announce)
        announce(result)
        code = result.exit_code
    except MoieError as error:
        announce(Result(error.exit_code, str(error)))
        code = error.exit_code
    except BaseException:  # noqa: BLE001 - the last frame of this process
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
