"""Field types that requests, settings and jobs share."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, FailFast, Field, Strict

from streetlight.model.dataset import Outcome

# What goes into the database: PostgreSQL has no place for a NUL.
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]


def _whole(number: object) -> object:
    # To JSON, 2.0 is the same whole number as 2.
    return int(number) if isinstance(number, float) and number.is_integer() else number


WHOLE = BeforeValidator(_whole)
Whole = Annotated[int, WHOLE]


@dataclass(frozen=True)
class MustHold:
    """A light pattern, and how every version that goes live must decide it."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    lights: tuple[Annotated[float, Strict()], ...]
    outcome: Outcome


# The first pattern at fault is enough to say: a request may bring hundreds of thousands.
MustHolds = Annotated[tuple[MustHold, ...], Field(max_length=1024), FailFast()]
