"""What the commands of a worker may be, as its settings say."""

from dataclasses import dataclass


class NotAllowedError(Exception):
    """The settings of this worker do not let it run the command; the message is one line for people."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What is allowed to the commands of a worker, and what they give up."""

    users: frozenset[str] = frozenset()  # that a job may name in `run_as`
    no_new_privileges: bool = False
    apart: bool = False  # each in a PID namespace

    def check_user(self, name: str) -> None:
        """NotAllowedError for a user that no job may run as."""
        if name not in self.users:
            raise NotAllowedError(
                f"nobody may run as {name} on this machine: name the user in MOIE_RUN_AS_USERS and restart the worker"
            )


NO_LIMITS = Rights()
