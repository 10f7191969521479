"""Plan documents on disk and on standard input."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from moie_worker.adapters.clock import SystemClock
from moie_worker.adapters.files import publish
from moie_worker.errors import DocumentError, InputError
from moie_worker.plan.documents import MAX_BYTES, MIB
from moie_worker.plan.reading import Imported, read_plan
from moie_worker.plan.validate import Checker


def read_document(file: str, data: bytes | None = None) -> Imported:
    """The plan in a file, `-` for standard input, or in `data` that was read from it.

    Raises DocumentError naming the file and every problem, InputError for a file that cannot be read.
    """
    data = read_bytes(file) if data is None else data
    try:
        return read_plan(data, name=shown(file), now=SystemClock().now(), actions=checkers())
    except DocumentError as error:
        raise refused(file, error) from error


def refused(file: str, error: DocumentError) -> DocumentError:
    """The problems of a document under the name of its file."""
    if len(error.problems) == 1:
        only = error.problems[0]
        told = only if only.startswith(f"{shown(file)}: ") else f"{shown(file)}: {only}"
        return DocumentError(error.problems, told)
    listed = "\n".join(f"  {problem}" for problem in error.problems)
    told = f"{shown(file)} has {len(error.problems)} problems; nothing was changed:\n{listed}"
    return DocumentError(error.problems, told)


def read_bytes(file: str, most: int = MAX_BYTES) -> bytes:
    """All of it. Raises InputError for what cannot be read and what has more bytes than it may."""
    try:
        if file == "-":
            data = sys.stdin.buffer.read(most + 1)
            size = len(data)
        else:
            with Path(file).open("rb") as opened:
                size = os.fstat(opened.fileno()).st_size
                data = opened.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{shown(file)}: cannot be read: {reason}. Give the path of a plan document") from None
    if max(size, len(data)) > most:
        told = "is larger" if file == "-" else f"is {size / MIB:.1f} MiB"
        advice = ": load it in parts" if most == MAX_BYTES else ""
        raise InputError(f"{shown(file)}: {told}; at most {most // MIB} MiB are read{advice}")
    return data


def write_document(path: Path, text: str, *, force: bool) -> None:
    """Write a file as a whole, over another one only when forced. Raises InputError."""
    try:
        if not force:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
            return
        new = path.with_name(f".{path.name}.new")
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except FileExistsError:
        raise InputError(f"{path} is there already; give another name, or --force to overwrite it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{path}: cannot be written: {reason}") from None


def write_lines(path: Path, lines: Iterable[str], *, force: bool) -> None:
    """Write a file line by line and show it when it is whole, over another one only when forced. Raises InputError."""
    new = path.with_name(f".{path.name}.new")
    try:
        if not force and path.exists():
            raise FileExistsError
        with new.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{line}\n" for line in lines)
        if force:
            new.replace(path)
        else:
            publish(new, path)
    except FileExistsError:
        raise InputError(f"{path} is there already; give another name, or --force to overwrite it") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        new.unlink(missing_ok=True)


def shown(file: str) -> str:
    """The name of a file in messages."""
    return "standard input" if file == "-" else file


def checkers() -> Mapping[str, Checker]:
    """What each action says about its parameters; a plugin that cannot be loaded says why."""
    from moie_worker.actions.registry import load

    registry = load()
    return {name: action.check for name, action in registry.actions.items()} | {
        name: _broken(why) for name, why in registry.broken.items()
    }


def _broken(why: str) -> Callable[[Mapping[str, Any]], Iterator[tuple[str, str]]]:
    def check(_: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        yield "", f"the action cannot be loaded: {why}"

    return check
