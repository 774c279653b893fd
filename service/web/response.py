"""Responses: from dataclasses to bytes by Pydantic's serialiser."""

from functools import cache
from typing import Any

from flask import Response
from pydantic import TypeAdapter


def answer(payload: Any, status: int = 200) -> Response:  # noqa: ANN401 - whatever is JSON
    """Return `payload`, a dataclass or plain data, as a JSON response that ends its line."""
    return Response(as_json(payload) + b"\n", status, mimetype="application/json")


def as_json(payload: Any) -> bytes:  # noqa: ANN401 - whatever is JSON
    """Return `payload`, a dataclass or plain data, as JSON in one line."""
    # What came out of JSON has lists where tuples are declared; nobody sees the difference.
    kind: Any = type(payload)
    return _adapter(kind).dump_json(payload, warnings=False)


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
