"""From the words of a shell text to its shape."""

from collections.abc import Sequence
from itertools import dropwhile

from moie_worker.plan.lint.shapes import Chain, Choice, Command, Group, Loop, Pipeline, Script, Simple, Unknown
from moie_worker.plan.lint.words import Operator, Token, UnreadableScriptError, Word, tokens

DEEPEST = 40  # groups in groups
ENDS = frozenset({"then", "elif", "else", "fi", "do", "done", "}"})
SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})
WRAPPERS = {"exec": 0, "command": 0, "nohup": 0, "time": 0, "env": 0, "sudo": 0, "nice": 0, "timeout": 1}
NOT_FOLLOWED = frozenset({"case", "function", "select", "esac"})


def parse(command: str | Sequence[str]) -> Script:
    """The shape of a text for the shell, or of a list of program and arguments.

    Raises UnreadableScriptError for what a shell would not understand either.
    """
    if isinstance(command, str):
        return _parse(command, 0)
    called = _called([Word(text, quoted=True) for text in command], writes=False, depth=0)
    return Script((Chain(Pipeline((called,))),))


def _parse(text: str, depth: int) -> Script:
    parser = _Parser(list(tokens(text)))
    script = parser.script(depth)
    if parser.peek() is not None:
        raise UnreadableScriptError(f"{parser.shown()} stands where no command can end")
    return script


class _Parser:
    def __init__(self, found: Sequence[Token]) -> None:
        self.tokens = found
        self.at = 0

    def peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def shown(self) -> str:
        token = self.peek()
        return "the end" if token is None else repr(token.text)

    def operator(self, *texts: str) -> str:
        """The operator that is next, taken, if it is one of these."""
        token = self.peek()
        if isinstance(token, Operator) and token.text in texts:
            self.at += 1
            return token.text
        return ""

    def reserved(self, *texts: str) -> str:
        """The reserved word that is next, taken, if it is one of these."""
        token = self.peek()
        if isinstance(token, Word) and not token.quoted and token.text in texts:
            self.at += 1
            return token.text
        return ""

    def expect(self, *texts: str) -> str:
        if found := self.reserved(*texts) or self.operator(*texts):
            return found
        raise UnreadableScriptError(f"{self.shown()} stands where {' or '.join(texts)} is needed")

    def script(self, depth: int) -> Script:
        chains: list[Chain] = []
        while True:
            while self.operator(";", "\n"):
                pass
            if not self._begins():
                return Script(tuple(chains))
            chains.append(self.chain(depth))

    def _begins(self) -> bool:
        token = self.peek()
        if isinstance(token, Word):
            return token.quoted or token.text not in ENDS
        return token is not None and (token.text == "(" or token.text[0] in "<>" or token.text in ("&>", "&>>"))

    def chain(self, depth: int) -> Chain:
        first = self.pipeline(depth)
        rest: list[tuple[str, Pipeline]] = []
        while joint := self.operator("&&", "||"):
            self.lines()
            rest.append((joint, self.pipeline(depth)))
        return Chain(first, tuple(rest), background=bool(self.operator("&")))

    def lines(self) -> None:
        while self.operator("\n"):
            pass

    def pipeline(self, depth: int) -> Pipeline:
        negated = False
        while self.reserved("!"):
            negated = not negated
        commands = [self.command(depth)]
        while self.operator("|", "|&"):
            self.lines()
            commands.append(self.command(depth))
        return Pipeline(tuple(commands), negated)

    def command(self, depth: int) -> Command:
        if depth > DEEPEST:
            raise UnreadableScriptError(f"commands are nested deeper than {DEEPEST}")
        made: Command
        if self.operator("("):
            made = Group(self._body(depth, ")"))
        elif self.reserved("{"):
            made = Group(self._body(depth, "}"))
        elif self.reserved("if"):
            made = self._choice(depth)
        elif self.reserved("while", "until"):
            self.script(depth + 1)
            made = self._loop(depth)
        elif self.reserved("for"):
            self._past(Word("do"))
            self.at -= 1
            made = self._loop(depth)
        elif self.reserved(*NOT_FOLLOWED):
            self.at = len(self.tokens)
            return Unknown()
        else:
            return self._simple(depth)
        while self._redirection() is not None:
            pass
        return made

    def _body(self, depth: int, close: str) -> Script:
        body = self.script(depth + 1)
        self.expect(close)
        return body

    def _choice(self, depth: int) -> Choice:
        asked, done = [self.script(depth + 1)], []
        self.expect("then")
        while True:
            done.append(self.script(depth + 1))
            match self.expect("elif", "else", "fi"):
                case "elif":
                    asked.append(self.script(depth + 1))
                    self.expect("then")
                case "fi":
                    return Choice(tuple(asked), tuple(done))

    def _loop(self, depth: int) -> Loop:
        self.expect("do")
        return Loop(self._body(depth, "done"))

    def _past(self, end: Word) -> None:
        while (token := self.peek()) is not None:
            self.at += 1
            if token == end:
                return
        raise UnreadableScriptError(f"{end.text} is missing")

    def _simple(self, depth: int) -> Command:
        words: list[Word] = []
        begun, writes = self.at, False
        while True:
            if (target := self._redirection()) is not None:
                writes = writes or target
            elif isinstance(token := self.peek(), Word):
                words.append(token)
                self.at += 1
            else:
                break
        if self.at == begun:
            raise UnreadableScriptError(f"{self.shown()} stands where a command is needed")
        if isinstance(token, Operator) and token.text == "(":  # name() {…}
            self.at = len(self.tokens)
            return Unknown()
        return _called(list(dropwhile(_is_assignment, words)), writes, depth)

    def _redirection(self) -> bool | None:
        """Past a redirection; whether it writes a file. None when there is none."""
        at = self.at
        if isinstance(number := self.peek(), Word) and number.text.isdecimal() and not number.quoted:
            self.at += 1
        operator = self.peek()
        if not isinstance(operator, Operator) or not (operator.text[0] in "<>" or operator.text in ("&>", "&>>")):
            self.at = at
            return None
        self.at += 1
        target = self.peek()
        if not isinstance(target, Word):
            raise UnreadableScriptError(f"{self.shown()} stands where a file is needed")
        self.at += 1
        return ">" in operator.text and operator.text != ">&" and not target.text.startswith("/dev/")


def _is_assignment(word: Word) -> bool:
    name, equals, _ = word.text.partition("=")
    return bool(equals) and name.isidentifier()


def _called(words: Sequence[Word], writes: bool, depth: int) -> Command:
    """What is called in the end: behind `timeout 5`, inside `sh -c '…'`."""
    words = _unwrapped(words)
    plain = Simple(tuple(words), writes)
    if plain.name not in SHELLS:
        return plain
    for number, word in enumerate(words[1:], 1):
        if word.text.startswith("-") and word.text.endswith("c") and not word.text.startswith("--"):
            return _shell(words[1 : number + 1], words[number + 1 :], depth) or plain
    return plain


def _shell(options: Sequence[Word], rest: Sequence[Word], depth: int) -> Group | None:
    """The script that a shell is given, None when it is known at run time only."""
    text = next((word for word in rest if word.text != "--"), None)
    if text is None or not text.literal:
        return None
    flags = "".join(word.text[1:] for word in options if word.text.startswith("-"))
    return Group(_parse(text.text, depth + 1), "e" in flags, "pipefail" in [word.text for word in options])


def _unwrapped(words: Sequence[Word]) -> Sequence[Word]:
    """Without the programs that only run another one, and end as it ends."""
    while words and words[0].literal and (count := WRAPPERS.get(words[0].text.rpartition("/")[2])) is not None:
        rest = words[1:]
        if rest and rest[0].text.startswith("-"):
            return words  # its options are not followed: `command -v` runs nothing
        rest = list(dropwhile(_is_assignment, rest[count:]))
        if not rest:
            return words
        words = rest
    return words
