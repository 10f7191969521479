"""What a person is told when something goes wrong: words and an exit code, never a traceback."""

import errno
import os
import sys
import traceback
from pathlib import Path

import click

from moie_worker.doors.cli.hints import completed
from moie_worker.doors.cli.output import echo
from moie_worker.errors import InputError, MoieError

EX_SOFTWARE = 70  # sysexits.h: an internal error
LET = "Let this user use it, or give another place"
ROOM = "Make room there, or give another place"
OTHER = "Give another path"
# What is wrong with a file or a disk, not with moie, and what to do about it.
ADVICE = {
    errno.EACCES: LET,
    errno.EPERM: LET,
    errno.EROFS: "Give a place that can be written",
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EFBIG: ROOM,
    errno.ENAMETOOLONG: OTHER,
    errno.ENOTDIR: OTHER,
    errno.EISDIR: OTHER,
    errno.ELOOP: OTHER,
}


def report(error: Exception) -> int:
    """Say it on standard error; returns the exit code. What click itself says is raised again."""
    if isinstance(error, click.exceptions.Exit | click.ClickException | click.Abort):
        raise error
    if isinstance(error, OSError) and error.errno == errno.EPIPE:  # `moie jobs | head`; click ends quietly
        raise error
    if isinstance(error, MoieError):
        echo(f"Error: {completed(str(error))}", err=True)
        return error.exit_code
    if isinstance(error, OSError) and (told := _refused(error)):
        echo(f"Error: {told}", err=True)
        return InputError.exit_code
    echo(f"Error: moie failed: {type(error).__name__}: {error}\n{_kept(error)}", err=True)
    return EX_SOFTWARE


def _refused(error: OSError) -> str | None:
    """What a file or a disk does not let us do; None for what moie should not have asked for."""
    advice, where = ADVICE.get(error.errno or 0), error.filename
    if where is None and advice is ROOM and not sys.stdout.isatty():  # our files say their names
        _give_output_up()
        where = "standard output"
    if advice is None or not isinstance(where, str | bytes):
        return None
    return f"{os.fsdecode(where)}: {error.strerror}. {advice}"


def _give_output_up() -> None:
    """What was printed and could not be written is dropped: Python would try once more as it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


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
