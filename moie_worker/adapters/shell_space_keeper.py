"""Keeps a PID namespace of a worker that is not root, and starts its commands in it.

A PID namespace that belongs to a user namespace can be entered only from there, and a process of many threads can enter
no user namespace. So this program makes both, becomes the first process in them, and starts what its worker sends.

A program of its own, run as `python -I -S shell_space_keeper.py` with a socket of the worker as standard input. It says
`{proc}` and hands a descriptor of itself (pidfd), or `{failed, errno}`. Then it is asked, and answers:

    start      with descriptors: what to start (JSON: path, argv, env), where it prints, what it reads if anything.
               Answer: `{}` with a pidfd, `{errno}` or `{said}`
    collect    of the command that has ended. Answer: `{status, usage}`

Orphans of the namespace become its children, and are collected. End of file means that the worker is gone: it ends, and
the kernel ends all else in the namespace, whatever that ignores.
"""

import ctypes
import json
import os
import signal
import socket
import struct
from contextlib import suppress
from typing import Any

_NEW_MOUNTS, _NEW_USER, _NEW_PID = 0x00020000, 0x10000000, 0x20000000  # <linux/sched.h>
_QUIET = 2 | 4 | 8  # <sys/mount.h>: no set-user-id, no devices, no programs
_ALL_SIGNALS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
_NOBODY, _STARTING = 0, -1
_INT = struct.Struct("i")
_DESCRIPTORS, _MESSAGE_BYTES = 3, 4096  # at most, of one message

_libc = ctypes.CDLL(None, use_errno=True)


class Step(Exception):  # noqa: N818 -- where it went wrong, not what
    """What the kernel did not let us do."""


def close_others() -> None:
    """Close what the worker had open for everybody: commands must not have it, and nobody is to wait for its end."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) > 2:
            with suppress(OSError):  # the one that listed them
                os.close(int(name))


def separate() -> None:
    """Make a user namespace where user and group are what they were, and let children be in a new PID namespace."""
    uid, gid = os.getuid(), os.getgid()
    step("make a user namespace", _NEW_USER)
    try:
        write("/proc/self/setgroups", "deny")  # else a group that takes rights away could be left
        write("/proc/self/uid_map", f"{uid} {uid} 1")
        write("/proc/self/gid_map", f"{gid} {gid} 1")
    except OSError as error:
        raise Step("map its user", error.errno) from error
    step("make a PID namespace in it", _NEW_PID)


def step(doing: str, flag: int) -> None:
    """Leave a namespace for a new one."""
    if _libc.unshare(flag) != 0:
        raise Step(doing, ctypes.get_errno())


def write(path: str, text: str) -> None:
    """Write a file of /proc, in one call."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def show_own_processes() -> bool:
    """Mount a /proc of this namespace; False where the kernel does not let us, as where parts of it are covered."""
    return bool(_libc.unshare(_NEW_MOUNTS) == 0 and _libc.mount(b"proc", b"/proc", b"proc", _QUIET, None) == 0)


def received(peer: socket.socket) -> tuple[bytes, list[int]]:
    """A message and its descriptors, which close on exec: `socket.recv_fds` of some Pythons leaves them open."""
    room = socket.CMSG_SPACE(_DESCRIPTORS * _INT.size)
    message, extras, _, _ = peer.recvmsg(_MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    return message, [descriptor for _, _, data in extras for (descriptor,) in _INT.iter_unpack(data)]


class Keeper:
    """The first process of the namespace."""

    def __init__(self, worker: socket.socket) -> None:
        self._worker = worker
        self._command = _NOBODY  # what the worker asks for; it alone is not collected at once

    def serve(self) -> None:
        """Do as it is told, until the worker is gone."""
        os.setsid()  # the guard of the worker knows it by its session
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # else Python's own handler would let a command end it
        signal.signal(signal.SIGCHLD, lambda *_: self._collect_orphans())
        self._answer({"proc": show_own_processes()}, os.pidfd_open(os.getpid()))
        while True:
            word, descriptors = received(self._worker)
            if not word:
                return
            if word == b"start":
                self._start(*descriptors)
            else:
                self._collect()

    def _start(self, told: int, output: int, source: int = -1) -> None:
        with open(told, "rb") as file:
            found = json.load(file)
        self._command = _STARTING  # it may end before its number is known here
        try:
            self._command = os.posix_spawn(
                found["path"],
                found["argv"],
                found["env"],
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, source, 0) if source >= 0 else (os.POSIX_SPAWN_OPEN, 0, os.devnull, 0, 0),
                    (os.POSIX_SPAWN_DUP2, output, 1),
                    (os.POSIX_SPAWN_DUP2, output, 2),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=_ALL_SIGNALS,
            )
        except OSError as error:
            self._command = _NOBODY
            self._answer({"errno": error.errno})
        except ValueError as error:
            self._command = _NOBODY
            self._answer({"said": str(error)})
        else:
            self._answer({}, os.pidfd_open(self._command))
        for descriptor in (output, source):
            if descriptor >= 0:
                os.close(descriptor)
        self._collect_orphans()

    def _collect(self) -> None:
        _, status, usage = os.wait4(self._command, 0)
        self._command = _NOBODY
        self._collect_orphans()  # before the worker looks whether anything is left
        self._answer({"status": status, "usage": list(usage)})

    def _collect_orphans(self) -> None:
        """Those that have ended. Also called by a signal, at any time."""
        with suppress(ChildProcessError):
            while self._command != _STARTING:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is None or found.si_pid == self._command:
                    return
                os.waitpid(found.si_pid, 0)

    def _answer(self, told: dict[str, Any], handle: int = -1) -> None:
        socket.send_fds(self._worker, [json.dumps(told).encode()], [handle] if handle >= 0 else [])
        if handle >= 0:
            os.close(handle)


def main() -> None:
    """Make the namespaces, and be the first process in them."""
    close_others()
    worker = socket.socket(fileno=0)
    try:
        separate()
    except Step as error:
        doing, number = error.args
        worker.send(json.dumps({"failed": doing, "errno": number}).encode())
        return
    if os.fork() == 0:
        Keeper(worker).serve()


if __name__ == "__main__":
    main()
