"""The words and operators of a shell text, as POSIX divides them.

`shlex` cannot be used here: it does not tell a quoted `||` from the operator, and knows neither lines nor `$(…)`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

OPERATORS = ("&&", "||", "|&", ";;", "<<-", "<<<", "<<", "<&", "<>", ">>", ">&", ">|", "&>>", "&>")
SINGLE = frozenset("|&;()<>\n")
_LONGEST_FIRST = sorted(OPERATORS, key=len, reverse=True)
_CLOSES = {"$(": ")", "${": "}", "`": "`"}
_PLAIN = re.compile(r"[^\s|&;()<>'\"\\$`*?\[#]+")  # read at once: texts may be long
_DEEPEST = 50  # substitutions in substitutions


class UnreadableScriptError(ValueError):
    """The shell would not understand the text either: a quote or a bracket is never closed."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word without its quotes."""

    text: str
    literal: bool = True  # nothing in it is replaced by the shell: no variable, substitution or pattern
    quoted: bool = False  # a part of it was, so that it is no reserved word


@dataclass(frozen=True, slots=True)
class Operator:
    """What stands between words; a line end is one."""

    text: str


Token = Word | Operator


def tokens(text: str) -> Iterator[Token]:
    """All of a text in order, without comments and here-documents. Raises UnreadableScriptError."""
    return _Lexer(text).run()


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.heredocs: list[tuple[str, bool]] = []  # delimiters whose text begins on the next line; tabs stripped

    def run(self) -> Iterator[Token]:
        while self._skip_blanks():
            if operator := self._operator():
                self.at += len(operator)
                yield Operator(operator)
                if operator == "\n":
                    self._skip_heredocs()
                elif operator in ("<<", "<<-"):
                    self._skip_blanks()
                    delimiter = self._word()
                    self.heredocs.append((delimiter.text, operator == "<<-"))
                    yield delimiter
            else:
                yield self._word()

    def _skip_blanks(self) -> bool:
        """To what is next; False at the end."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if self.text.startswith("\\\n", self.at):
                self.at += 2
            elif char == "#":
                end = self.text.find("\n", self.at)
                self.at = end if end >= 0 else len(self.text)
            elif char != "\n" and char.isspace():
                self.at += 1
            else:
                return True
        return False

    def _operator(self) -> str:
        for operator in _LONGEST_FIRST:
            if self.text.startswith(operator, self.at):
                return operator
        char = self.text[self.at]
        return char if char in SINGLE else ""

    def _skip_heredocs(self) -> None:
        for delimiter, tabs in self.heredocs:
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = end if end >= 0 else len(self.text)
                line, self.at = self.text[self.at : end], end + 1
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
        self.heredocs.clear()

    def _word(self) -> Word:
        parts: list[str] = []
        literal, quoted = True, False
        while self.at < len(self.text):
            char = self.text[self.at]
            if plain := _PLAIN.match(self.text, self.at):
                parts.append(plain[0])
                self.at = plain.end()
            elif char.isspace() or char in SINGLE:
                break
            elif char == "'":
                parts.append(self._until("'"))
                quoted = True
            elif char == '"':
                part, plainly = self._double()
                parts.append(part)
                literal, quoted = literal and plainly, True
            elif char == "\\":
                parts.append(self.text[self.at + 1 : self.at + 2].replace("\n", ""))
                self.at += 2
                quoted = True
            elif char in "$`":
                parts.append(self._expansion(0))
                literal = False
            else:
                parts.append(char)
                literal = literal and char == "#"
                self.at += 1
        text = "".join(parts)
        return Word(text, literal or text in ("[", "[["), quoted)

    def _until(self, close: str) -> str:
        end = self.text.find(close, self.at + 1)
        if end < 0:
            raise UnreadableScriptError(f"{close} is never closed")
        part, self.at = self.text[self.at + 1 : end], end + 1
        return part

    def _double(self) -> tuple[str, bool]:
        """What is between double quotes, and whether the shell leaves it as it is."""
        parts: list[str] = []
        literal = True
        self.at += 1
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return "".join(parts), literal
            if char == "\\":
                parts.append(_unescaped(self.text[self.at : self.at + 2]))
                self.at += 2
            elif char in "$`":
                parts.append(self._expansion(0))
                literal = False
            else:
                parts.append(char)
                self.at += 1
        raise UnreadableScriptError('" is never closed')

    def _expansion(self, depth: int) -> str:
        """`$name`, `${…}`, `$(…)` or a command between backticks, as it is written."""
        begin = self.at
        opener = "`" if self.text[begin] == "`" else self.text[begin : begin + 2]
        close = _CLOSES.get(opener)
        self.at += len(opener) if close else 1
        if close:
            self._skip_to(close, depth)
        return self.text[begin : self.at]

    def _skip_to(self, close: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise UnreadableScriptError(f"substitutions are nested deeper than {_DEEPEST}")
        opened = 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == close and not opened:
                self.at += 1
                return
            if char == "'" and close == ")":
                self._until("'")
                continue
            if char == '"' and close != "`":
                self._double_inside(depth)
                continue
            if char == "$" or (char == "`" and close != "`"):
                self._expansion(depth + 1)
                continue
            opened += (char == "(") - (char == ")") if close == ")" else 0
            self.at += 2 if char == "\\" else 1
        raise UnreadableScriptError(f"{close} is missing")

    def _double_inside(self, depth: int) -> None:
        """Past a quoted part of a substitution, which may hold substitutions again."""
        self.at += 1
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return
            if char in "$`":
                self._expansion(depth + 1)
            else:
                self.at += 2 if char == "\\" else 1
        raise UnreadableScriptError('" is never closed')


def _unescaped(pair: str) -> str:
    """A backslash between double quotes protects only these."""
    if pair == "\\\n":
        return ""
    return pair[1:] if pair[1:] in ("$", "`", '"', "\\") else pair
