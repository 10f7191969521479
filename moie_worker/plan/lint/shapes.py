"""The shape of a shell text: lists of pipelines of commands, as far as its exit code depends on it."""

from dataclasses import dataclass

from moie_worker.plan.lint.words import Word


@dataclass(frozen=True, slots=True)
class Simple:
    """A program and its arguments."""

    words: tuple[Word, ...]
    writes: bool = False  # its output goes to a file, so that it can fail for want of one

    @property
    def name(self) -> str:
        """What is called; empty for assignments alone and for what only the shell can tell."""
        return self.words[0].text.rpartition("/")[2] if self.words and self.words[0].literal else ""

    @property
    def args(self) -> tuple[Word, ...]:
        """What follows the name."""
        return self.words[1:]

    def __str__(self) -> str:
        return " ".join(word.text or "''" for word in self.words)


@dataclass(frozen=True, slots=True)
class Group:
    """Commands in brackets, or the text of a shell that is called: `bash -e -o pipefail -c '…'`."""

    body: "Script"
    errexit: bool | None = None  # None: as outside
    pipefail: bool | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """`if`: what is asked, and what is then done; without `else` it may be nothing."""

    asked: tuple["Script", ...]
    done: tuple["Script", ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """`for`, `while`, `until`."""

    body: "Script"


@dataclass(frozen=True, slots=True)
class Unknown:
    """What is not followed any further: it may fail."""


Command = Simple | Group | Choice | Loop | Unknown


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands joined by `|`."""

    commands: tuple[Command, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """Pipelines joined by `&&` and `||`, which bind equally."""

    first: Pipeline
    rest: tuple[tuple[str, Pipeline], ...] = ()
    background: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """Chains, one after the other."""

    chains: tuple[Chain, ...]
