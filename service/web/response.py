"""JSON responses, and the keys by which a view and the server agree on others."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from flask import Response
from pydantic import TypeAdapter

# Keys in the WSGI environment. The server sets the number of clients that follow jobs. If a view
# sets the number of a job and its last known revision, the server sends the events of the job
# behind the response.
FOLLOWER_COUNT = "streetlight.follower_count"
FOLLOWED_JOB = "streetlight.followed_job"


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
