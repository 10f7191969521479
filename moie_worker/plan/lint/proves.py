"""What kind of proof a pipeline is when it succeeds."""

import re
from collections.abc import Collection, Sequence
from enum import StrEnum

from moie_worker.plan.lint.shapes import Pipeline, Simple
from moie_worker.plan.lint.words import Word

ALWAYS_THERE = frozenset({  # what is on every machine; nothing is written there
    "/", ".", "..", "./", "../", "~", "$HOME", "$PWD", "${HOME}", "${PWD}", "/etc", "/etc/passwd", "/etc/hosts",
    "/tmp", "/var", "/usr", "/usr/bin", "/bin", "/bin/sh", "/dev", "/dev/null", "/proc", "/sys", "/home", "/root",  # noqa: S108
    "/lib", "/opt", "/sbin",
})  # fmt: skip
LIVE = ("/proc/", "/sys/")  # files that the kernel writes when they are read
SOURCES = frozenset({
    "py", "pyi", "ts", "tsx", "js", "jsx", "mjs", "cjs", "go", "rs", "java", "kt", "c", "h", "cc", "cpp", "hpp",
    "cs", "rb", "php", "sh", "bash", "lua", "swift", "scala", "ex", "exs", "pl", "vue", "css",
})  # fmt: skip
GREPS = ("grep", "egrep", "fgrep", "rg")
READS = ("ls", "stat", "cat", "cd", "file", "head", "tail", "wc")
WITH_VALUE = frozenset({
    "-e", "-f", "-m", "-A", "-B", "-C", "-d", "-D", "--regexp", "--file", "--max-count", "--include", "--exclude",
})  # fmt: skip
RECURSIVE = frozenset({"-r", "-R", "--recursive", "--dereference-recursive"})
_NAME = re.compile(r"\^?[\w.:\"'@/-]+\$?")


class Proof(StrEnum):
    """What its success shows."""

    SOMETHING = "something"
    EXISTS = "exists"
    ALWAYS_THERE = "always there"
    HELP = "help"
    NAME = "name"


WEAK = frozenset({Proof.EXISTS, Proof.ALWAYS_THERE, Proof.HELP, Proof.NAME})


def proof(pipeline: Pipeline, fresh: Collection[str]) -> Proof:
    """Of one pipeline. `fresh` names files that must be newer than the start of the job."""
    stages = [one for one in pipeline.commands if isinstance(one, Simple)]
    if pipeline.negated or len(stages) < len(pipeline.commands) or not all(one.words for one in stages):
        return Proof.SOMETHING
    first, last = stages[0], stages[-1]
    if len(stages) == 1:
        if "--help" in _texts(first.args) or _texts(first.args)[-1:] == ["--version"]:
            return Proof.HELP
        return _grep(first, (), fresh) if first.name in GREPS else _exists(first)
    if last.name not in GREPS:
        return Proof.SOMETHING
    if "--help" in _texts(first.args):
        return Proof.HELP
    operands = tuple(word for word in first.args if not word.text.startswith("-"))
    return _grep(last, operands, fresh) if first.name == "cat" and len(stages) == 2 else Proof.SOMETHING


def _grep(command: Simple, piped: Sequence[Word], fresh: Collection[str]) -> Proof:
    """A fixed word in a file; in a source, any pattern: a source is text, whatever it says."""
    patterns, operands, flags = _grep_arguments(command.args)
    if "-v" in flags or "--invert-match" in flags or "-f" in flags or "--file" in flags:
        return Proof.SOMETHING
    if not patterns and operands:
        patterns, operands = [operands[0]], operands[1:]
    files = [*operands, *piped]
    if not patterns or not files or not all(word.literal for word in patterns):
        return Proof.SOMETHING
    if any(word.text.startswith(LIVE) for word in files):
        return Proof.SOMETHING
    if flags & RECURSIVE or all(_is_source(word.text) for word in files):
        return Proof.NAME
    if all(word.text in fresh for word in files):
        return Proof.SOMETHING
    return Proof.NAME if all(_NAME.fullmatch(word.text) for word in patterns) else Proof.SOMETHING


def _grep_arguments(args: Sequence[Word]) -> tuple[list[Word], list[Word], set[str]]:
    """Patterns of `-e`, operands, and the options: of bundled ones each letter."""
    patterns: list[Word] = []
    operands: list[Word] = []
    flags: set[str] = set()
    words = iter(args)
    for word in words:
        if not word.text.startswith("-") or word.text == "-":
            operands.append(word)
        elif word.text in WITH_VALUE:
            flags.add(word.text)
            value = next(words, None)
            patterns += [value] if value and word.text in ("-e", "--regexp") else []
        else:
            flags |= {word.text} if word.text.startswith("--") else {f"-{letter}" for letter in word.text[1:]}
    return patterns, operands, flags


def _is_source(path: str) -> bool:
    return path.rpartition(".")[2] in SOURCES and "." in path


def _exists(command: Simple) -> Proof:
    """Whether a command only asks for files, and for which."""
    texts = _texts(command.args)
    if command.name in ("test", "[", "[["):
        match [text for text in texts if text not in ("]", "]]")]:
            case [option, path] if option in ("-e", "-d", "-f", "-r", "-x", "-s"):
                return Proof.ALWAYS_THERE if path in ALWAYS_THERE else Proof.EXISTS
        return Proof.SOMETHING
    if command.name in ("which", "type") or (texts[:1] == ["-v"] and command.name == "command"):
        return Proof.EXISTS
    if command.name not in READS:
        return Proof.SOMETHING
    paths = [text for text in texts if not text.startswith("-")]
    return Proof.ALWAYS_THERE if set(paths) <= ALWAYS_THERE else Proof.EXISTS


def _texts(words: Sequence[Word]) -> list[str]:
    return [word.text for word in words]
