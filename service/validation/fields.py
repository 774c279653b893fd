"""Field types for requests, settings and jobs."""

import operator
from dataclasses import dataclass
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    Strict,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from streetlight.model.dataset import Outcome
from streetlight.model.exam import MAX_EXAM
from streetlight.service.validation.problems import NO_NUL, TIME

# Text that is stored in the database: PostgreSQL can't store a NUL character.
Text = Annotated[str, Field(pattern=NO_NUL)]

# In the annotation of a field that a response omits if it is empty.
OMIT_IF_EMPTY = Field(exclude_if=operator.not_)


def _reject_number(text: str) -> str:
    # Pydantic would read a number as seconds since 1970, or as milliseconds if it is large.
    if ":" not in text:
        raise PydanticCustomError("no_time", TIME)
    return text


# A time in a query string.
Time = Annotated[AwareDatetime, BeforeValidator(_reject_number)]

# The parameters of every list: the `next` of the page before, and the length of the page. Below
# 2**31 where the column of the database is as wide.
After = Annotated[int, Field(ge=0, lt=2**63)]
AfterNewest = Annotated[int, Field(ge=0, lt=2**31)]
Limit = Annotated[int, Field(ge=1, le=1000)]

# The lights of an observation, and of a pattern that trained versions must keep.
MAX_LIGHTS = 64


def _to_int(number: object) -> object:
    # JSON doesn't distinguish 2.0 from 2.
    return int(number) if isinstance(number, float) and number.is_integer() else number


WHOLE = BeforeValidator(_to_int)
Whole = Annotated[int, WHOLE]


def _check_amount(amount: float) -> float:
    if 0 <= amount < 1 or (amount.is_integer() and 1 <= amount <= MAX_EXAM):
        return amount
    raise PydanticCustomError(
        "exam", f"a share from 0 to below 1, or a whole number from 1 to {MAX_EXAM}"
    )


# Below 1 a share of the observations that the live version hasn't learnt from, else a number.
SHARE = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
NUMBER = {"type": "integer", "minimum": 1, "maximum": MAX_EXAM}
ExamAmount = Annotated[
    float,
    AfterValidator(_check_amount),
    WithJsonSchema({"anyOf": [SHARE, NUMBER]}),
]


@dataclass(frozen=True)
class MustHold:
    """A light pattern, and the outcome that a version must decide for it to go live."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    lights: Annotated[tuple[Annotated[float, Strict()], ...], Field(max_length=MAX_LIGHTS)]
    outcome: Outcome


# Validation stops at the first invalid pattern, because a request can have hundreds of thousands.
MustHolds = Annotated[tuple[MustHold, ...], Field(max_length=1024), FailFast()]
