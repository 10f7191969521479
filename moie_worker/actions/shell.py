"""The action `shell`: a command of its own, run as the job's verification command is run."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import PlainValidator

from moie_worker.actions.params import BadParamsError, Params, parse, problems
from moie_worker.plan.states import Outcome
from moie_worker.ports import ActionContext, Evidence

NEEDED = "needs a command: a text for the shell, or a list of program and arguments"


def _command(value: Any) -> str | list[str]:
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) for text in texts) or not texts[0].strip():
        raise ValueError(NEEDED)
    if any("\0" in text for text in texts):
        raise ValueError("holds a NUL character, which no command can be given")
    return value  # type: ignore[no-any-return]


class ShellParams(Params):
    """What to run: a text goes to `sh -c`, a list is executed as it is."""

    cmd: Annotated[str | list[str], PlainValidator(_command)]


class ShellAction:
    """Time limit, environment and directory are the job's own."""

    def check(self, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Problems of `with`."""
        yield from problems(ShellParams, params)

    def run(self, context: ActionContext) -> Evidence:
        """Run it; its exit code decides."""
        try:
            params = parse(ShellParams, context.params)
        except BadParamsError as error:
            return Evidence(Outcome.BROKEN, f"shell: {error}")
        return context.runner.run(replace(context.command, cmd=params.cmd), context.stop)
