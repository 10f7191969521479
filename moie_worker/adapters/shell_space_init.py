"""The first process of a PID namespace, which lives as long as its worker holds the pipe that it reads.

A program of its own, run as `python -I -S shell_space_init.py`. Orphans of the namespace become its children, and go
when they end. When it ends itself, the kernel ends all that is in the namespace, whatever that ignores.
"""

import os
import signal

if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel collects what ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # else Python's own handler would let a command end it
    while os.read(0, 1):
        pass
