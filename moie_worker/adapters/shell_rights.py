"""What the commands of a worker may be, as its settings say."""

from dataclasses import dataclass

from moie_worker.adapters.shell_programs import Programs
from moie_worker.adapters.shell_spawn import NotAllowedError


@dataclass(frozen=True, slots=True)
class Rights:
    """What is allowed to the commands of a worker, and what they give up."""

    users: frozenset[str] = frozenset()  # that a job may name in `run_as`
    no_new_privileges: bool = False
    apart: bool = False  # each in a PID namespace
    programs: Programs | None = None  # that they may begin with; None: any

    def check_user(self, name: str) -> None:
        """NotAllowedError for a user that no job may run as."""
        if name not in self.users:
            raise NotAllowedError(
                f"nobody may run as {name} on this machine: name the user in MOIE_RUN_AS_USERS and restart the worker"
            )


NO_LIMITS = Rights()
