"""py-amqp behind a guard: properties that it cannot read are set aside, and the message goes its way without them.

py-amqp reads the properties of a message while it takes a frame, before anybody is asked. What it raises there ends the
worker; the broker delivers the message again, and the next worker ends too.
"""

# mypy: disable-error-code="no-untyped-call"

import base64
from typing import Any

from amqp import Message, method_framing

from moie_worker.doors.poison_rules import UnfitError
from moie_worker.doors.poison_schema import DEEPEST
from moie_worker.heart.measure import describe

UNREADABLE = "moie_unreadable"  # the header that says why
PROPERTIES = "moie_properties"  # the header with the bytes that could not be read, in base64


class GuardedMessage(Message):  # type: ignore[misc]
    """A message of a broker, whatever its properties are."""

    properties: dict[str, Any]

    def _load_properties(self, class_id: Any, buf: Any, offset: int) -> int:
        try:
            end: int = super()._load_properties(class_id, buf, offset)
            _check_plain(self.properties, DEEPEST)
        except Exception as error:  # noqa: BLE001 - readers of properties raise whatever they like
            raw = base64.b64encode(bytes(buf[offset:])).decode("ascii")
            self.properties = {"application_headers": {UNREADABLE: describe(error), PROPERTIES: raw}}
            return len(buf)
        return end


def guard_amqp() -> None:
    """Let py-amqp make such messages. Holds for the whole process."""
    method_framing.Message = GuardedMessage


def unreadable(message: Any) -> str | None:
    """Why the properties of a message were set aside, or None."""
    why = message.headers.get(UNREADABLE) if isinstance(message.headers, dict) else None
    return None if why is None else f"its properties cannot be read: {why}"


def _check_plain(value: Any, left: int) -> None:
    """What can be written as JSON: names are texts, nothing is nested too deeply."""
    if not left:
        raise UnfitError(f"nested deeper than {DEEPEST} levels")
    if isinstance(value, dict) and not all(isinstance(name, str) for name in value):
        raise UnfitError("a name is no UTF-8")
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_plain(one, left - 1)
