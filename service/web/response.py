"""Responses: JSON through Flask, and the raw responses of the fast path."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from flask import Response
from pydantic import TypeAdapter


class RawResponse(NamedTuple):
    """A response that the server sends without Flask.

    Attributes:
        headers: the header lines that the application adds, and the empty line after them.
        body: of the response.
        uri: of the request, for the access log.
        log_fields: the other fields of the access log line.
        keep_alive: whether the connection stays open.
    """

    headers: bytes
    body: bytes
    uri: str
    log_fields: dict[str, Any]
    keep_alive: bool


# Takes the bytes of a request; returns `None` for a request that Flask must answer.
FastPath = Callable[[bytes], RawResponse | None]


def json_response(payload: Any, status: int = 200) -> Response:  # noqa: ANN401 - whatever is JSON
    """Return `payload`, a dataclass or plain data, as a JSON response that ends its line."""
    return Response(dump_json(payload) + b"\n", status, mimetype="application/json")


def dump_json(payload: Any) -> bytes:  # noqa: ANN401 - whatever is JSON
    """Return `payload`, a dataclass or plain data, as JSON in one line."""
    # What came out of JSON has lists where tuples are declared; nobody sees the difference.
    kind: Any = type(payload)
    return _adapter(kind).dump_json(payload, warnings=False)


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
