"""JSON responses."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from flask import Response
from pydantic import TypeAdapter

from streetlight.service.web.compression import compress

# A shorter response fits into two packets, and compressing it takes longer than it saves.
MIN_COMPRESSED_BYTES = 2048


def json_response(payload: Any, status: int = 200) -> Response:  # noqa: ANN401 - any type that Pydantic serialises
    """Return a JSON response with `payload`, a dataclass or plain data, and a line feed."""
    response = Response(dump_json(payload) + b"\n", status, mimetype="application/json")
    is_large = (response.content_length or 0) >= MIN_COMPRESSED_BYTES
    return compress(response) if is_large and status < 400 else response


def json_lines_response(pages: Iterable[Iterable[Any]]) -> Response:
    """Return a streamed response with each object of `pages` as a line of JSON."""
    parts = (b"".join(dump_json(row) + b"\n" for row in rows) for rows in pages)
    return compress(Response(parts, mimetype="application/x-ndjson"))


def dump_json(payload: Any) -> bytes:  # noqa: ANN401 - any type that Pydantic serialises
    """Return `payload`, a dataclass or plain data, as one line of JSON."""
    # No warnings: objects loaded from JSON hold lists where tuples are declared, and both
    # serialise alike.
    payload_type: Any = type(payload)
    return _adapter(payload_type).dump_json(payload, warnings=False)


@cache
def _adapter(payload_type: type) -> TypeAdapter[Any]:
    return TypeAdapter(payload_type)
