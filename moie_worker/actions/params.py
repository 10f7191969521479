"""Parameters of actions: frozen models, whose complaints name the place below `with`."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails


class Params(BaseModel):
    """The base of every action's parameters: frozen, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=False, validate_by_alias=True)


P = TypeVar("P", bound=Params)


class BadParamsError(ValueError):
    """The parameters cannot be meant; the text names each place."""


def problems(model: type[Params], params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(path below `with`, message) of everything wrong."""
    try:
        model.model_validate(dict(params))
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            yield _path(detail), _message(model, detail)


def parse(model: type[P], params: Mapping[str, Any]) -> P:
    """The parameters as a value; BadParamsError when something is wrong."""
    wrong = [f"{path}: {message}" if path else message for path, message in problems(model, params)]
    if wrong:
        raise BadParamsError("; ".join(wrong))
    return model.model_validate(dict(params))


def _path(detail: ErrorDetails) -> str:
    path = ""
    for part in detail["loc"]:
        if part == "[key]":  # the library's word for: the name itself is wrong
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def _message(model: type[Params], detail: ErrorDetails) -> str:
    if detail["type"] != "extra_forbidden":
        return detail["msg"].removeprefix("Value error, ")
    unknown = str(detail["loc"][-1])
    known = _names(model, detail["loc"][:-1])
    near = get_close_matches(unknown, known, n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
    return f"unknown field; {hint}"


def _names(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        nested = [field for name, field in model.model_fields.items() if (field.alias or name) == part]
        if nested and isinstance(nested[0].annotation, type) and issubclass(nested[0].annotation, BaseModel):
            model = nested[0].annotation
    return [field.alias or name for name, field in model.model_fields.items()]
