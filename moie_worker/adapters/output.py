"""The output of a command: a little of it kept, all of it counted and hashed, whatever is printed."""

import codecs
import hashlib
import re

# Whole escape sequences (CSI, OSC and other strings, two-character ones) say nothing without a terminal.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]"
)
# What is left of control characters, and what reorders or breaks lines unseen; a run of it becomes one mark.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffd]+")
_NOTHING = hashlib.sha256().hexdigest()


def clean(text: str) -> str:
    """A text that is safe to show: no terminal escapes, no control characters but tab and newline."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


class Capture:
    """Keeps the first `head` and the last `tail` bytes of a stream of any length."""

    __slots__ = ("_hash", "_head", "_head_size", "_tail", "_tail_size", "size")

    def __init__(self, head: int = 4096, tail: int = 4096) -> None:
        self._head = b""
        self._head_size = head
        self._tail = b""
        self._tail_size = tail
        self._hash: hashlib._Hash | None = None  # most commands print nothing
        self.size = 0  # bytes fed so far

    def feed(self, chunk: bytes) -> None:
        """Take the next part of the stream."""
        self.size += len(chunk)
        self._hash = self._hash or hashlib.sha256()
        self._hash.update(chunk)
        room = self._head_size - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if chunk and self._tail_size > 0:
            kept = chunk if len(chunk) >= self._tail_size else self._tail + chunk
            self._tail = kept[-self._tail_size :]

    def sha256(self) -> str:
        """The digest of everything fed, in hexadecimal."""
        return self._hash.hexdigest() if self._hash else _NOTHING

    def texts(self) -> tuple[str, str]:
        """Head and tail as clean texts; no character is cut in two where they touch or where something is left out."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        head = decoder.decode(self._head)
        rest, _ = decoder.getstate()
        if self.size > len(self._head) + len(self._tail):
            tail = _after_a_cut(self._tail)
        elif self._tail:
            tail = rest + self._tail
        else:
            head, tail = head + decoder.decode(b"", final=True), b""
        return clean(head), clean(tail.decode("utf-8", errors="replace"))


def _after_a_cut(tail: bytes) -> bytes:
    """Without the rest of a character whose beginning was left out."""
    start = 0
    while start < min(3, len(tail)) and tail[start] & 0xC0 == 0x80:
        start += 1
    return tail[start:]
