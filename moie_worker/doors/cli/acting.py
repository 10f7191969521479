"""What commands say that change something: sentences for people, `{id, changed, message}` for scripts."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

import click

from moie_worker.doors.cli.output import echo, is_terminal, print_json
from moie_worker.errors import NotFoundError, RefusedError


def say(told: str, message: str, *, changed: bool, as_json: bool) -> None:
    """What became of the one thing that a command was about: a plan or a phase."""
    if as_json:
        print_json(result(told, message, changed=changed))
    else:
        echo(message)


def result(told: str, message: str, *, changed: bool) -> dict[str, Any]:
    """As scripts read it; `changed` is False of what was refused, and of what was so already."""
    return {"id": told, "changed": changed, "message": message}


def each(ids: Iterable[str], step: Callable[[str], str], *, as_json: bool) -> None:
    """Do a step to everything that is named; it returns its sentence.

    What is refused is said, and does not keep the others from it; then the exit code is 1.
    """
    results = [_tried(one, step) for one in dict.fromkeys(ids)]
    if as_json:
        print_json(results)
    else:
        for told in results:
            if told["changed"]:
                echo(told["message"])
    refused = [told["message"] for told in results if not told["changed"]]
    if refused and as_json:
        raise click.exceptions.Exit(1)
    if refused:
        raise RefusedError("\n".join(refused))


def _tried(one: str, step: Callable[[str], str]) -> dict[str, Any]:
    try:
        return result(one, step(one), changed=True)
    except (NotFoundError, RefusedError) as error:
        return result(one, str(error), changed=False)


def confirm(question: str, *, yes: bool) -> None:
    """Somebody must mean it: by `--yes`, or by answering. Raises RefusedError where there is nobody to be asked."""
    if yes:
        return
    if not (is_terminal(err=True) and sys.stdin.isatty()):
        raise RefusedError(f"{question} Without a terminal nobody can be asked: say --yes if you mean it")
    click.confirm(question, abort=True, err=True)
