"""What a job says of its proof besides the command itself."""

from typing import Annotated, Literal

from pydantic import Field

from moie_worker.plan.fields import Argument, Shell, Value


class EvidenceFiles(Value):
    """Files that a check rests on. They must be newer than the start of the job, else its check proves nothing."""

    files: tuple[Annotated[Argument, Field(min_length=1)], ...] = Field(
        min_length=1, max_length=100, description="Their paths; relative ones are below `cwd`."
    )
    newer_than: Literal["start"] = Field(
        "start",
        description="The first attempt of this revision, and of a cyclic job the attempt itself. "
        "What was written before it, or is not there, fails the check.",
    )


class ExpectFail(Value):
    """The case in which the check must say no. `moie lint --prove` runs it; workers never do."""

    cmd: Shell = Field(
        description="Run by `sh -c` in an empty directory, in place of the check; it must exit with neither 0 nor "
        'a code that says it could not run. `sh -c "$MOIE_CHECK"` in it runs the check itself.'
    )
