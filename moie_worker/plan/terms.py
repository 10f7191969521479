"""What the approval of a phase needs, and how often a verified job is looked at again, as a document says it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Strict, Tag

from moie_worker.plan.duration import Duration, PositiveDuration
from moie_worker.plan.fields import Value


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
