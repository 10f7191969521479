"""The kinds of field a plan has, each with its limits; shared by the models."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError


class Value(BaseModel):
    """The base of every part of a plan: frozen, strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, serialize_by_alias=True)


# Control characters but tab and newline: they forge log lines and terminal output, and a NUL cannot be executed.
CONTROLS = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
TEXT = rf"^[^{CONTROLS}]*$"
LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"
COMMAND_MAX = 100_000  # Linux gives one argument 128 KiB
ID_MAX = 200
VISIBLE = r"[^\s\x00-\x1f\x7f-\x9f]"
NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"

Text = Annotated[str, StringConstraints(max_length=10_000, pattern=TEXT)]
LongText = Annotated[str, StringConstraints(max_length=100_000, pattern=TEXT)]
Title = Annotated[str, StringConstraints(max_length=2_000, pattern=LINE)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=ID_MAX, pattern=rf"^{VISIBLE}+$")]
Argument = Annotated[str, StringConstraints(max_length=COMMAND_MAX, pattern=TEXT)]
PhaseId = Annotated[int, Strict(), Field(ge=0, le=1_000_000)]
PhaseIds = Annotated[tuple[PhaseId, ...], Field(max_length=10_000)]
JobIds = Annotated[tuple[Id, ...], Field(max_length=10_000)]
Priority = Annotated[int, Strict(), Field(ge=-1000, le=1000)]
Files = Annotated[tuple[Argument, ...], Field(max_length=1000)]
Risks = Annotated[tuple[Text, ...], Field(max_length=1000)]
QueueName = Annotated[str, StringConstraints(max_length=100, pattern=NAME)]
UserName = Annotated[str, StringConstraints(max_length=100, pattern=NAME)]
ActionName = Annotated[str, StringConstraints(max_length=100, pattern=NAME)]


def refuse(field: str, message: str) -> PydanticCustomError:
    """The error of a model as a whole that belongs to one of its fields ("" for the model itself)."""
    return PydanticCustomError("refused", "{message}", {"field": field, "message": message})


def parse_time(value: Any) -> datetime:
    """An ISO 8601 text or a datetime, in UTC; naive times are taken as UTC. Raises ValueError."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError(f"{value[:60]!r} is not a time; write it as 2025-12-31T06:00:00Z") from error
    if not isinstance(value, datetime):
        raise ValueError("is not a time; write it as text, 2025-12-31T06:00:00Z")
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{value} is out of range") from error


def format_time(value: datetime) -> str:
    """ISO 8601 in UTC, ending in Z."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


Time = Annotated[
    datetime,
    BeforeValidator(parse_time),
    PlainSerializer(format_time, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


def _runnable(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; write the command that proves the job done")
    if len(text.encode()) > COMMAND_MAX:
        raise ValueError(f"is longer than {COMMAND_MAX} bytes; put it into a script")
    return text


def _not_reserved(name: str) -> str:
    if name in {"MOIE_TOKEN", "MOIE_SLOT", "MOIE_CHECK"}:
        raise ValueError(f"{name} is reserved: every command is given its own")
    return name


def _program_named(words: tuple[str, ...]) -> tuple[str, ...]:
    _runnable(words[0])
    return words


Shell = Annotated[Argument, AfterValidator(_runnable)]
Words = Annotated[tuple[Argument, ...], Field(min_length=1, max_length=10_000), AfterValidator(_program_named)]
EnvName = Annotated[
    str, StringConstraints(max_length=200, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(_not_reserved)
]
