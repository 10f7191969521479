"""The breakers of queues and the requests of phases, as the scripts write them.

Somebody may have written something else there. That is named and hides nothing else; scripts look by the same rules
(`sound_breaker`, `sound_request`) and go on as if it were not there: a queue takes work, a phase is not approved.
"""

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from moie_worker.adapters.redis.base import UNFIT
from moie_worker.plan.flow import Approval, Breaker, Unreadable, Vote

Kept = TypeVar("Kept")
BREAKER = "breaker:"  # the fields of the plan that hold the breakers of its queues


def breakers(plan: Mapping[str, str]) -> tuple[dict[str, Breaker], list[Unreadable]]:
    """By queue, from the fields of the plan."""
    texts = {field: text for field, text in plan.items() if field.startswith(BREAKER)}
    found, faults = _each(texts, _breaker)
    kept = {field.removeprefix(BREAKER): breaker for field, breaker in found.items()}
    return kept, [_of_queue(field.removeprefix(BREAKER), fault) for field, fault in faults.items()]


def requests(raw: Mapping[str, str], asking: Collection[str], key: str) -> tuple[dict[int, Approval], list[Unreadable]]:
    """By phase; `asking` are the phases that ask for an approval, `key` is where the requests are kept.

    An answer of an earlier release, which was no request, is not there: its phase asks again.
    """
    found, faults = _each(raw, _request)
    kept = {phase: request for phase, request in found.items() if request is not None}
    others = {field: "is the answer of no phase" for field in kept if not field.isdecimal()}
    return (
        {int(phase): request for phase, request in kept.items() if phase not in others},
        [_of_phase(phase, fault, phase in asking, key) for phase, fault in (faults | others).items()],
    )


def is_request(phase: str, text: str) -> bool:
    """Whether a text is the request of a phase, or an answer of an earlier release."""
    return phase.isdecimal() and not _each({phase: text}, _request)[1]


def _each(texts: Mapping[str, str], read: Callable[[Any], Kept]) -> tuple[dict[str, Kept], dict[str, str]]:
    """What could be read, and what is wrong with the rest."""
    found, faults = dict[str, Kept](), dict[str, str]()
    for field, text in texts.items():
        try:
            found[field] = read(_object(json.loads(text)))
        except json.JSONDecodeError as error:
            faults[field] = f"is no JSON ({error})"
        except UNFIT as error:
            faults[field] = f"has not the fields that it should ({type(error).__name__}: {error})"
    return found, faults


def _of_queue(queue: str, fault: str) -> Unreadable:
    told = f"{fault}: queue {queue} is taken for one in which all is well"
    return Unreadable("plan", f"{BREAKER}{queue}", told, f"`moie resume --queue {queue}` takes it away")


def _of_phase(phase: str, fault: str, asks: bool, key: str) -> Unreadable:
    if not asks:
        return Unreadable("approvals", phase, f"{fault}, and nobody asks for it", f"redis-cli: `HDEL {key} {phase}`")
    told = f"{fault}: phase {phase} is taken for one that nobody answered"
    return Unreadable("approvals", phase, told, f"`moie approve {phase}` or `moie reject {phase}` writes it anew")


def _object(value: Any) -> dict[str, Any]:
    return _a(dict, value)


def _a(kind: type[Kept], value: Any) -> Kept:
    if not isinstance(value, kind):
        raise TypeError(f"{str(value)[:40]!r} is no {kind.__name__}")
    return value


def _number(value: Any) -> int:
    """Lua writes whole numbers of more than 14 digits as 1e+14."""
    if isinstance(value, bool):
        raise TypeError(f"{value} is no number")
    return int(value) if isinstance(value, float) else _a(int, value)


def _list(value: Any) -> list[Any]:
    """Lua writes an empty list as {}."""
    return [] if value == {} else _a(list, value)


def _breaker(raw: dict[str, Any]) -> Breaker:
    recent = tuple((_a(str, job), _a(bool, bad)) for job, bad in _list(raw["recent"]))
    times = {name: _number(raw[name]) for name in ("opened", "pause_ms", "retry_at")}
    return Breaker(recent, canary=_a(str, raw["canary"]), reason=_a(str, raw["reason"]), **times)


def _request(raw: dict[str, Any]) -> Approval | None:
    if "yes" not in raw:
        return None
    return Approval(
        digest=_a(str, raw["digest"]),
        author=_a(str, raw["author"]),
        asked=_number(raw["asked"]),
        yes=tuple(_vote(vote) for vote in _list(raw["yes"])),
        no=None if raw.get("no") is None else _vote(raw["no"]),
        told=_a(bool, raw.get("told", False)),
    )


def _vote(raw: Any) -> Vote:
    fields = _object(raw)
    return Vote(_a(str, fields["who"]), _a(str, fields["why"]), _number(fields["at"]))
