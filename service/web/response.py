"""JSON responses."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from flask import Response
from pydantic import TypeAdapter


def json_response(payload: Any, status: int = 200) -> Response:  # noqa: ANN401 - any type that Pydantic serialises
    """Return a JSON response with `payload`, a dataclass or plain data, and a line feed."""
    return Response(dump_json(payload) + b"\n", status, mimetype="application/json")


def json_lines_response(pages: Iterable[Iterable[Any]]) -> Response:
    """Return a streamed response with each object of `pages` as a line of JSON."""
    parts = (b"".join(dump_json(row) + b"\n" for row in rows) for rows in pages)
    return Response(parts, mimetype="application/x-ndjson")


def dump_json(payload: Any) -> bytes:  # noqa: ANN401 - any type that Pydantic serialises
    """Return `payload`, a dataclass or plain data, as one line of JSON."""
    # No warnings: objects loaded from JSON hold lists where tuples are declared, and both
    # serialise alike.
    payload_type: Any = type(payload)
    return _adapter(payload_type).dump_json(payload, warnings=False)


@cache
def _adapter(payload_type: type) -> TypeAdapter[Any]:
    return TypeAdapter(payload_type)
