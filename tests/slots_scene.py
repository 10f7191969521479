"""A pool of two processes that share one slot: `python -m tests.slots_scene SCENE` prints what the second one gets.

A program of its own, because a test run has threads, and a fork of those may stand still.
"""

import os
import signal
import sys
import time

from moie_worker.doors import slots
from moie_worker.doors.slots import Slots

LONG_S = 20.0


def main(scene: str) -> None:
    """Fork somebody who takes the slot; then do what the scene says."""
    shared = Slots()
    shared.number = 1
    held, leave = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        with shared.take(0, lambda: False) as mine:
            os.write(held[1], b"y" if mine else b"n")
            os.read(leave[0], 1)
        os._exit(0)
    if os.read(held[0], 1) != b"y":
        raise SystemExit("the first did not get the slot")
    try:
        sys.stdout.write(SCENES[scene](shared, child, leave[1]))
    finally:
        os.kill(child, signal.SIGKILL)


def _in_vain(shared: Slots, _child: int, _leave: int) -> str:
    with shared.take(0.01, lambda: False) as mine:
        return f"mine: {mine}"


def _hopeless(shared: Slots, _child: int, _leave: int) -> str:
    with shared.take(LONG_S, lambda: True) as mine:
        return f"mine: {mine}"


def _given_back(shared: Slots, _child: int, leave: int) -> str:
    slots.LOOK_S = LONG_S
    began, first = time.monotonic(), True

    def hopeless() -> bool:  # asked after the first look found no slot
        nonlocal first
        if first:
            os.write(leave, b".")
        first = False
        return False

    with shared.take(LONG_S, hopeless) as mine:
        return f"mine: {mine}, soon: {time.monotonic() - began < LONG_S / 2}"


def _died(shared: Slots, child: int, _leave: int) -> str:
    os.kill(child, signal.SIGKILL)
    with shared.take(LONG_S, lambda: False) as mine:
        return f"mine: {mine}"


SCENES = {"in vain": _in_vain, "hopeless": _hopeless, "given back": _given_back, "died": _died}

if __name__ == "__main__":
    main(sys.argv[1])
