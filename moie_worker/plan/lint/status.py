"""What the exit code of a script depends on: whether it can be anything but 0, and on which pipelines that hangs.

Where the text alone does not tell, a command can fail: a rule that is not sure keeps silent.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from moie_worker.plan.lint.shapes import Chain, Choice, Command, Group, Loop, Pipeline, Script, Simple, Unknown

NOTHING = frozenset({"true", ":"})
PRINTS = frozenset({"echo", "printf", "date", "pwd", "sleep", "whoami", "hostname", "uptime"})
# What passes on its input at the end of a pipeline; the options with which it judges as well.
FILTERS: dict[str, tuple[str, ...]] = {
    "cat": (), "tee": (), "head": (), "tail": (), "uniq": (), "tr": (), "cut": (), "wc": (), "nl": (), "rev": (),
    "tac": (), "fold": (), "fmt": (), "column": (), "paste": (), "less": (), "more": (), "od": (), "hexdump": (),
    "logger": (), "ts": (), "sort": ("-c", "-C", "--check"), "base64": ("-d", "--decode"), "xxd": ("-r",),
    "sed": ("-f", "q", "Q"), "awk": ("-f", "exit"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """What `set` switched on."""

    errexit: bool = False
    pipefail: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """What an exit code depends on."""

    can_fail: bool
    deciders: tuple[Pipeline, ...] = ()  # of whose failure it may be the news


@dataclass(frozen=True, slots=True)
class End:
    """The chain that ends a list, the ones before it, and the options there."""

    chain: Chain
    before: tuple[Chain, ...]
    options: Options


def of_script(script: Script) -> Status:
    """Of a whole script. A `set -e` that only some ways pass through is not followed: then anything can fail."""
    if any(_sets_inside(chain) for chain in script.chains):
        return Status(can_fail=True, deciders=(Pipeline((Unknown(),)),))
    return _of_list(script, Options())


def _of_list(script: Script, options: Options) -> Status:
    """The last command decides; every command, after `set -e`; and each `exit` with a code of its own."""
    told: list[Status] = []
    last = Status(can_fail=False)
    for chain in script.chains:
        options = switched(chain, options)
        if _is_bare_exit(chain):
            told.append(last)
            continue
        last = of_chain(chain, options)
        told += [last] if options.errexit else [_exits(chain)]
    return _joined([*told, last])


def of_chain(chain: Chain, options: Options) -> Status:
    """From left to right: `&&` needs both, `||` one of them. What runs in the background tells nothing."""
    if chain.background:
        return Status(can_fail=False)
    first = of_pipeline(chain.first, options)
    fails, deciders = first.can_fail, [*first.deciders]
    for joint, pipeline in chain.rest:
        following = of_pipeline(pipeline, options)
        fails = (fails or following.can_fail) if joint == "&&" else (fails and following.can_fail)
        deciders.extend(following.deciders)
        if not fails:
            deciders.clear()
    return Status(fails, tuple(deciders))


def of_pipeline(pipeline: Pipeline, options: Options) -> Status:
    """The last command decides; with `pipefail`, each."""
    last = pipeline.commands[-1]
    if pipeline.negated:
        return Status(can_fail=True, deciders=(pipeline,))
    if len(pipeline.commands) == 1:
        return _of_command(last, pipeline, options)
    if options.pipefail:
        return _joined([_of_command(one, pipeline, options) for one in pipeline.commands])
    if is_filter(last):
        return Status(can_fail=False)
    return _of_command(last, pipeline, options)


def _of_command(command: Command, pipeline: Pipeline, options: Options) -> Status:
    match command:
        case Simple():
            return Status(True, () if _always_fails(command) else (pipeline,)) if can_fail(command) else Status(False)
        case Group():
            return _of_list(command.body, inside(command, options))
        case Choice():
            branches = _joined([_of_list(one, options) for one in command.done])
            asked = [_of_list(one, options) for one in command.asked]
            return Status(branches.can_fail, branches.deciders + _joined(asked).deciders if branches.can_fail else ())
        case Loop():
            return _of_list(command.body, options)
        case Unknown():
            return Status(can_fail=True, deciders=(pipeline,))


def can_fail(command: Simple) -> bool:
    """Whether a program may end with anything but 0."""
    if command.writes or not command.words:
        return True
    if command.name in ("exit", "return"):
        return not command.args or command.args[0].text != "0"
    if command.name in ("test", "[", "[["):
        return not _is_constant(command)
    return command.name not in NOTHING | PRINTS | {"set"}


def is_filter(command: Command) -> bool:
    """Whether it passes on its input, and succeeds whatever that is."""
    if not isinstance(command, Simple):
        return False
    if not can_fail(command):
        return True
    judging = FILTERS.get(command.name)
    if judging is None:
        return False
    return not any(_judges(word.text, mark) for mark in judging for word in command.args)


def _judges(argument: str, mark: str) -> bool:
    return argument.startswith(mark) if mark.startswith("-") else mark in argument


def switched(chain: Chain, options: Options) -> Options:
    """The options after a `set`."""
    command = chain.first.commands[0]
    if chain.rest or not isinstance(command, Simple) or command.name != "set":
        return options
    for index, word in enumerate(command.args):
        on, flags = word.text.startswith("-"), word.text[1:]
        named = command.args[index + 1].text if flags.endswith("o") and index + 1 < len(command.args) else ""
        if not word.text.startswith(("-", "+")):
            continue
        if "e" in flags or named == "errexit":
            options = replace(options, errexit=on)
        if named == "pipefail":
            options = replace(options, pipefail=on)
    return options


def inside(group: Group, options: Options) -> Options:
    """The options in brackets, or in a shell of its own."""
    if group.errexit is None or group.pipefail is None:
        return options
    return Options(group.errexit, group.pipefail)


def ends(script: Script, options: Options = Options()) -> Iterator[End]:
    """The last chain, and the last ones in its brackets: where an exit code is made or lost."""
    chains = [chain for chain in script.chains if not _is_bare_exit(chain)]
    for chain in chains:
        options = switched(chain, options)
    for chain in chains[-1:]:
        yield End(chain, tuple(chains[:-1]), options)
        for pipeline in (chain.first, *(pipeline for _, pipeline in chain.rest)):
            if isinstance(last := pipeline.commands[-1], Group):
                yield from ends(last.body, inside(last, options))


def commands(script: Script) -> Iterator[Command]:
    """Every command of a script, those in brackets, branches and loops among them."""
    for chain in script.chains:
        for pipeline in (chain.first, *(pipeline for _, pipeline in chain.rest)):
            for command in pipeline.commands:
                yield command
                for body in _bodies(command):
                    yield from commands(body)


def _bodies(command: Command) -> tuple[Script, ...]:
    match command:
        case Group() | Loop():
            return (command.body,)
        case Choice():
            return command.asked + command.done
        case Simple() | Unknown():
            return ()


def _exits(chain: Chain) -> Status:
    """What a chain before the last one can do: leave with a code of its own."""
    inner = commands(Script((chain,)))
    leaves = any(isinstance(one, Simple) and one.name in ("exit", "return") and can_fail(one) for one in inner)
    if not leaves:
        return Status(can_fail=False)
    asked = (chain.first, *(pipeline for _, pipeline in chain.rest))
    return Status(can_fail=True, deciders=asked)


def _joined(found: Iterable[Status]) -> Status:
    told = list(found)
    deciders = dict.fromkeys(pipeline for status in told for pipeline in status.deciders)
    return Status(any(status.can_fail for status in told), tuple(deciders))


def _sets_inside(chain: Chain) -> bool:
    """Whether options are changed elsewhere than in a command of its own at the top."""
    found = [one for one in commands(Script((chain,))) if isinstance(one, Simple) and one.name == "set"]
    alone = not chain.rest and len(chain.first.commands) == 1 and not chain.background
    return bool(found) and not (alone and found == [chain.first.commands[0]])


def _is_bare_exit(chain: Chain) -> bool:
    """`exit` alone hands on the code before it."""
    command = chain.first.commands[-1]
    alone = not chain.rest and len(chain.first.commands) == 1
    return alone and isinstance(command, Simple) and command.name == "exit" and len(command.words) == 1


def _always_fails(command: Simple) -> bool:
    """It adds nothing to what is proven."""
    if command.name == "exit":
        return bool(command.args) and command.args[0].text.isdecimal()
    return command.name == "false"


def _is_constant(command: Simple) -> bool:
    """A comparison of what is written with what is written, and it holds."""
    args = [word for word in command.args if word.quoted or word.text not in ("]", "]]")]
    if not all(word.literal for word in args):
        return False
    texts = [word.text for word in args]
    match texts:
        case [text] | ["-n", text]:
            return bool(text)
        case ["-z", text]:
            return not text
        case [left, "=" | "==" | "-eq" | "-le" | "-ge", right]:
            return left == right
    return False
