"""Instant: a moment by the database's clock, a number inside and ISO 8601 in an answer."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import PlainSerializer, WithJsonSchema


def _as_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


# Seconds since 1970.
Timestamp = Annotated[
    float,
    PlainSerializer(_as_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
