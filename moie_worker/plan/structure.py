"""Plain values to the models of version 3; what the models refuse becomes problems with path, line and suggestion."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from moie_worker.errors import DocumentError, Problem
from moie_worker.plan.documents import Document
from moie_worker.plan.model import Plan
from moie_worker.plan.paths import Path, did_you_mean, kind_of, problem, show_value
from moie_worker.plan.report import MAX_LINES, shortened

# What the models add to the place of an error, below these fields, and no document says.
UNSAID = {"verification_cmd": {"shell", "words"}, "catch_up": {"policy", "limit"}, "approval": {"word", "terms"}}
COMPUTED = {
    ("meta", "current_phase"): "is computed, not written; remove it",
    ("phases", "status"): "is computed from the jobs, not written; remove it",
}
OTHER_WORDS = {
    "command": "verification_cmd", "cmd": "verification_cmd", "check": "verification_cmd", "run": "verification_cmd",
    "verify": "verification_cmd", "title": "task", "name": "task", "cron": "schedule: {cron: …}",
    "every": "schedule: {every: …}", "interval": "schedule: {every: …}", "retries": "retry: {max: …}",
    "needs": "depends_on", "requires": "depends_on", "environment": "env", "tz": "timezone", "time_limit": "timeout",
    "params": "with", "steps": "jobs", "tasks": "jobs",
}  # fmt: skip
PATTERNS = {
    "id": "may not hold spaces or control characters",
    "depends_on": "may not hold spaces or control characters",
    "queue": "is not a queue name; use letters, digits, _ . and -",
    "use": "is not the name of an action; use letters, digits, _ . and -",
    "env": "is not the name of an environment variable",
    "pass_env": "is not the name of an environment variable",
}


def build(raw: Any, document: Document) -> Plan:
    """The plan of a document of version 3, its phases in the order of the document. Raises DocumentError."""
    try:
        return Plan.model_validate(raw, by_alias=True, by_name=False)
    except ValidationError as error:
        raise DocumentError(listed(error, document)) from error


def listed(error: ValidationError, document: Document) -> list[Problem]:
    """The problems in the order of the document, as many as people read."""
    details = error.errors(include_url=False)
    places = [_place(detail) for detail in details[: MAX_LINES + 1]]
    found = [
        problem(path, _message(detail, path, document), document.line(path))
        for path, detail in zip(places, details, strict=False)
    ]
    return shortened(found, len(details))


def _place(detail: ErrorDetails) -> Path:
    loc = detail["loc"]
    path = tuple(part for before, part in zip((None, *loc), loc, strict=False) if _is_said(before, part))
    field = detail.get("ctx", {}).get("field", "")
    return (*path, field) if field else path


def _is_said(before: str | int | None, part: str | int) -> bool:
    return part != "[key]" and part not in UNSAID.get(str(before), ())


def _message(detail: ErrorDetails, path: Path, document: Document) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    match kind:
        case "refused":
            return str(context["message"])
        case "value_error":
            return str(context["error"])
        case "missing":
            return f"is missing: {_description(path)}"
        case "extra_forbidden":
            return _unknown(path)
        case "enum" | "literal_error":
            return _not_one_of(str(context["expected"]), value)
        case "string_too_short" | "too_short":
            return "is empty"
        case "string_too_long":
            return f"is longer than {context['max_length']} characters"
        case "too_long":
            return f"has more than {context['max_length']} entries"
        case "string_pattern_mismatch":
            return f"{show_value(value)} {_pattern(path)}"
        case "string_type" | "int_type" | "int_from_float" | "float_type" | "tuple_type" | "dict_type" | "model_type":
            return _wrong_kind(kind, value, document.written(path))
        case "greater_than_equal" | "less_than_equal" if path[-1:] == ("every",):
            return f"{show_value(value)} is too short; a cyclic job runs at most once a second"
        case _:
            return f"{detail['msg'].replace('Input should', 'must')}, not {show_value(value)}"


def _wrong_kind(kind: str, value: Any, written: str | None) -> str:
    wanted = {
        "string_type": "text", "int_type": "a whole number",
        "int_from_float": "a whole number", "float_type": "a number",
        "tuple_type": "a list", "dict_type": "a mapping", "model_type": "a mapping",
    }[kind]  # fmt: skip
    shown = written or show_value(value)
    message = f"must be {wanted}, not {kind_of(value)}" + ("" if value is None else f" ({shown})")
    if kind == "string_type" and isinstance(value, int | float):
        message += f'; write it in quotes: "{shown}"'
    return message


def _not_one_of(expected: str, value: Any) -> str:
    words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
    near = did_you_mean(value, words) if isinstance(value, str) else ""
    return f"must be {' or '.join(words)}, not {show_value(value)}{near}"


def _pattern(path: Path) -> str:
    names = [part for part in path if isinstance(part, str) and part in PATTERNS]
    return PATTERNS[names[-1]] if names else "holds a control character; remove it"


def _unknown(path: Path) -> str:
    names = tuple(part for part in path if isinstance(part, str))
    if names in COMPUTED:
        return COMPUTED[names]
    word, known = names[-1], fields_at(names[:-1])
    if near := did_you_mean(word, known):
        return f"is not a known field{near}"
    if (other := OTHER_WORDS.get(word.lower(), "")) and other.split(":")[0] in known:
        return f"is not a known field; did you mean {other!r}?"
    return f"is not a known field; known are {', '.join(known)}"


def _description(path: Path) -> str:
    parent = _model_at(tuple(part for part in path[:-1] if isinstance(part, str)))
    for name, info in parent.model_fields.items():
        if path[-1] in (name, info.alias):
            text = (info.description or "").rstrip(".")
            return text[:1].lower() + text[1:]
    return "it is required"


def fields_at(names: tuple[str, ...]) -> list[str]:
    """The names a document may use in the mapping at this place."""
    return [info.alias or name for name, info in _model_at(names).model_fields.items()]


def _model_at(names: tuple[str, ...]) -> type[BaseModel]:
    model: type[BaseModel] = Plan
    for name in names:
        fields: Mapping[str, Any] = model.model_fields
        info = fields.get(name)
        if info is None or (inner := _model_in(info.annotation)) is None:
            break
        model = inner
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
