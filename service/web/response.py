"""Responses: JSON through Flask, and the raw responses of the fast path."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from flask import Response
from pydantic import TypeAdapter


class RawResponse(NamedTuple):
    """A response with status 200 that the server sends without Flask.

    Attributes:
        headers: the header lines after those of the server, and the empty line that ends them.
        body: the response body.
        uri: the target of the request, for the access log.
        log_fields: the fields `request_id`, `route` and `version` of the access log line.
        keep_alive: whether the connection stays open.
    """

    headers: bytes
    body: bytes
    uri: str
    log_fields: dict[str, Any]
    keep_alive: bool


# Returns the response to the bytes of a request, or `None` if Flask must answer the request.
FastPath = Callable[[bytes], RawResponse | None]


def json_response(payload: Any, status: int = 200) -> Response:  # noqa: ANN401 - any type that Pydantic serialises
    """Return a JSON response with `payload`, a dataclass or plain data, and a line feed."""
    return Response(dump_json(payload) + b"\n", status, mimetype="application/json")


def dump_json(payload: Any) -> bytes:  # noqa: ANN401 - any type that Pydantic serialises
    """Return `payload`, a dataclass or plain data, as one line of JSON."""
    # No warnings: objects loaded from JSON hold lists where tuples are declared, and both
    # serialise alike.
    payload_type: Any = type(payload)
    return _adapter(payload_type).dump_json(payload, warnings=False)


@cache
def _adapter(payload_type: type) -> TypeAdapter[Any]:
    return TypeAdapter(payload_type)
