"""What the approval of a phase needs, as a document says it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Strict, Tag

from moie_worker.plan.duration import PositiveDuration
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
