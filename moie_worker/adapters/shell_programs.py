"""The programs that commands of a worker may begin with, where its settings name them."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from moie_worker.adapters.shell_spawn import CannotStartError, NotAllowedError, found_program
from moie_worker.ports import Command

_SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Program:
    """A file, and the name that it is called by: one file may be many programs, as busybox is."""

    file: str  # without symbolic links
    name: str


@dataclass(frozen=True, slots=True)
class Programs:
    """What is allowed. What a program starts itself is its own affair, so whoever allows a shell allows everything."""

    allowed: frozenset[Program]

    def checked(self, command: Command, env: Mapping[str, str]) -> Command:
        """The command with the file that was looked at as its program. NotAllowedError, CannotStartError."""
        for name in (*command.env, *command.pass_env):
            if name.startswith("LD_"):
                raise NotAllowedError(f"{name} would bring other code into an allowed program; leave it out")
        if isinstance(command.cmd, str):
            self._check(_SHELL, "a text is run by the shell, and sh")
            return command
        word = command.cmd[0]
        sought = os.path.join(command.cwd or "", word) if "/" in word else word  # noqa: PTH118 -- bytes of a plan
        found = os.path.join(os.getcwd(), found_program(sought, env["PATH"]))  # noqa: PTH109, PTH118
        self._check(found, found)
        return replace(command, cmd=[found, *command.cmd[1:]])

    def _check(self, path: str, shown: str) -> None:
        if program_at(path) not in self.allowed:
            raise NotAllowedError(f"{shown} is not among the programs of MOIE_ALLOWED_PROGRAMS on this machine")


def program_at(path: str) -> Program:
    """What a path leads to."""
    return Program(os.path.realpath(path), os.path.basename(path))  # noqa: PTH119


def found_programs(words: Iterable[str], path: str) -> dict[str, Program | None]:
    """The programs of these names or paths; None for what this machine does not have."""
    found: dict[str, Program | None] = {}
    for word in words:
        try:
            found[word] = program_at(found_program(word, path))
        except CannotStartError:
            found[word] = None
    return found
