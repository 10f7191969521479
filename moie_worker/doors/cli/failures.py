"""What a person is told when something goes wrong: words and an exit code, never a traceback."""

import errno
import traceback
from pathlib import Path

import click

from moie_worker.doors.cli.hints import completed
from moie_worker.errors import MoieError

EX_SOFTWARE = 70  # sysexits.h: an internal error


def report(error: Exception) -> int:
    """Say it on standard error; returns the exit code. What click itself says is raised again."""
    if isinstance(error, click.exceptions.Exit | click.ClickException | click.Abort):
        raise error
    if isinstance(error, OSError) and error.errno == errno.EPIPE:  # `moie jobs | head`; click ends quietly
        raise error
    if isinstance(error, MoieError):
        click.echo(f"Error: {completed(str(error))}", err=True)
        return error.exit_code
    click.echo(f"Error: moie failed: {type(error).__name__}: {error}\n{_kept(error)}", err=True)
    return EX_SOFTWARE


def _kept(error: Exception) -> str:
    """Where the traceback was written."""
    text = "".join(traceback.format_exception(error))
    try:
        path = _path()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text + "\n")
    except (OSError, MoieError) as trouble:
        return f"This is a fault of moie. Its traceback could not be written: {trouble}"
    return f"This is a fault of moie: please report it with the traceback at the end of {path}"


def _path() -> Path:
    from moie_worker.settings import load

    return load().home / "logs" / "errors.log"
