"""Every error a user can meet. The message says what is wrong, where, and what to do."""


class MoieError(Exception):
    """The root: whatever this project raises on purpose. `exit_code` is the command line's answer."""

    exit_code = 1


class InputError(MoieError):
    """Wrong use, or a document that cannot be accepted. Nothing was changed."""

    exit_code = 2


class Problem(str):
    """One line about one place in a document: `phases[2].jobs[0].schedule.cron: …`."""

    __slots__ = ()


class DocumentError(InputError):
    """A plan document with at least one problem; every problem names its path."""

    def __init__(self, problems: list[Problem], message: str = "") -> None:
        self.problems = problems
        super().__init__(message or "\n".join(problems))


class NotFoundError(MoieError):
    """No plan, job, phase or dead letter of that name."""


class RefusedError(MoieError):
    """The operation is understood and not allowed now; the message says why."""


class DamagedError(MoieError):
    """What Redis holds cannot be read: somebody else wrote there, or a release that this one does not know."""


class NotTakenError(MoieError):
    """Redis does not take what it was given, and would not a second time; rights and room have errors of their own."""


class UnreachableError(MoieError):
    """Redis or the broker does not answer."""

    exit_code = 3
