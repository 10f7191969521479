"""What a document says in more than one form: approvals, missed slots, how often a verified job is looked at again."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Strict, Tag, model_serializer, model_validator

from moie_worker.plan.duration import Duration, PositiveDuration
from moie_worker.plan.fields import Value, refuse
from moie_worker.plan.states import CatchUp


class ApprovalTerms(Value):
    """What the approval of a phase needs."""

    expires: PositiveDuration = Field(
        timedelta(hours=1), description="Without an answer for so long, the answer is no."
    )
    two_persons: Annotated[bool, Strict()] = Field(
        False, description="Two people must approve, neither of them the one who loaded it."
    )


def _approval_form(value: Any) -> str:
    return "terms" if isinstance(value, Mapping | ApprovalTerms) else "word"


Asking = Annotated[
    Annotated[Literal["required"], Tag("word")] | Annotated[ApprovalTerms, Tag("terms")],
    Discriminator(_approval_form),
]


def _as_written(schema: dict[str, Any]) -> None:
    """The JSON Schema of the forms that a document has for a catch-up policy."""
    limit = {"type": "object", "properties": {"all": schema["properties"]["limit"]}, "required": ["all"]}
    schema.clear()
    schema["anyOf"] = [{"enum": [policy.value for policy in CatchUp]}, limit | {"additionalProperties": False}]


class CatchUpPolicy(Value):
    """What is done about missed slots: `none`, `once`, `all`, or `{all: 10}`, the most that `all` runs."""

    policy: CatchUp = CatchUp.ONCE
    limit: Annotated[int, Strict()] = Field(10, ge=1, le=1000)

    model_config = ConfigDict(json_schema_extra=_as_written)

    @model_validator(mode="before")
    @classmethod
    def _from_document(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"policy": value}
        if isinstance(value, Mapping) and set(value) == {"all"}:
            return {"policy": CatchUp.ALL, "limit": value["all"]}
        if isinstance(value, Mapping) and not set(value) <= {"policy", "limit"}:
            raise refuse("", "must be none, once, all, or {all: 10}")
        return value

    @model_serializer
    def _to_document(self) -> str | dict[str, int]:
        if self.policy is CatchUp.ALL and self.limit != CatchUpPolicy().limit:
            return {"all": self.limit}
        return str(self.policy)


def _reverify_form(value: Any) -> str:
    return "word" if value == "never" else "period"


def _at_least_a_second(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1):
        raise ValueError("must be at least 1s: every run takes a place from work that is not done yet")
    return value


ReverifyPeriod = Annotated[Duration, AfterValidator(_at_least_a_second)]
Reverify = Annotated[
    Annotated[Literal["never"], Tag("word")] | Annotated[ReverifyPeriod, Tag("period")],
    Discriminator(_reverify_form),
]
