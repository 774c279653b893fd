"""The type of a timestamp: seconds since 1970 in Python, ISO 8601 in UTC in JSON."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import PlainSerializer, WithJsonSchema


def _iso_format(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


Timestamp = Annotated[
    float,
    PlainSerializer(_iso_format, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
