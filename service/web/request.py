"""What every view does: take the services, parse what came, answer with JSON.

Bodies go from bytes through Pydantic whatever their Content-Type: curl's `-d` calls everything a
form. Answers go from dataclasses to bytes by Pydantic's serialiser.
"""

import hashlib
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import IntegerConverter

from streetlight.service.inference.tensors import Buffer
from streetlight.service.ledger.idempotency import IdempotentRequest
from streetlight.service.validation.json_bounds import check_bounds, decode
from streetlight.service.validation.problems import Problem, problems
from streetlight.service.web.middleware.compression import decompress

# In the WSGI environment: the whole body, where the server has it in one buffer.
RECEIVED_BODY = "streetlight.body"

MAX_KEY_LENGTH = 200
# Of all objects together: each that is unknown is a complaint to build.
MAX_FIELDS = 10_000
MAX_ID = 10**18 - 1


class IdConverter(IntegerConverter):
    """A number in a path: one that every database can compare; there is nothing at any other."""

    regex = "[0-9]{1,18}"


class Schema(BaseModel):
    """A request: exact types, finite numbers, and no field that it doesn't know."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class RequestError(ValueError):
    """What came can't be understood; `problems` says where."""

    def __init__(self, found: list[Problem]) -> None:
        super().__init__("; ".join(map(str, found)))
        self.problems = found


SchemaT = TypeVar("SchemaT", bound=Schema)


def parse_body(schema: type[SchemaT]) -> SchemaT:
    """Return the request's body as `schema`; an empty body counts as `{}`.

    Raises:
        RequestError, FieldError: it isn't one.
        RequestEntityTooLarge: it is larger than the settings allow.
    """
    body = check_bounds(read_body())
    if body.count(b":") > MAX_FIELDS:
        raise RequestError([Problem("", f"expected at most {MAX_FIELDS} fields in all")])
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise RequestError(problems(error, schema.model_fields)) from None


def parse_json() -> Any:  # noqa: ANN401 - whatever is JSON
    """Return the request's body, whatever JSON it is; an empty body counts as `{}`.

    Raises:
        FieldError: it isn't JSON.
        RequestEntityTooLarge: it is larger than the settings allow.
    """
    return decode(read_body())


def read_body() -> bytes:
    """Return the request's body, decompressed; `{}` where it is empty."""
    return read_bytes() or b"{}"


def read_bytes() -> bytes:
    """Return the request's body, decompressed; raises as `read_buffer`."""
    return bytes(read_buffer())


def read_buffer() -> Buffer:
    """Return the request's body, decompressed, without a copy where it came whole.

    Raises:
        RequestEntityTooLarge: it is larger than the settings allow, before or after.
        FieldError, UnsupportedMediaType: it can't be decompressed.
    """
    limit = request.max_content_length or 0
    body: Buffer = request.environ.get(RECEIVED_BODY, b"")
    if not body or len(body) != request.content_length or len(body) > limit:
        body = request.get_data()
    if request.content_length is None and len(body) >= limit:
        # Werkzeug cuts a body of unannounced length at the limit, and says nothing.
        raise RequestEntityTooLarge
    return decompress(body, request.headers.get("Content-Encoding", ""), limit)


def idempotent_request(scope: str) -> IdempotentRequest | None:
    """Return what the header Idempotency-Key says of this request, if there is one.

    Raises:
        RequestError: the key is too long.
    """
    key = request.headers.get("Idempotency-Key")
    if not key:
        return None
    if len(key) > MAX_KEY_LENGTH:
        message = f"expected at most {MAX_KEY_LENGTH} characters, got {len(key)}"
        raise RequestError([Problem("Idempotency-Key", message)])
    return IdempotentRequest(scope, key, hashlib.sha256(read_body()).hexdigest())


def parse_query(schema: type[SchemaT]) -> SchemaT:
    """Return the query string as `schema`; a name that comes twice is an error.

    Raises:
        RequestError: it isn't one.
    """
    twice = [name for name, values in request.args.lists() if len(values) > 1]
    if twice:
        raise RequestError([Problem(name, "expected once, got more") for name in twice])
    try:
        # A query string is all text, so numbers may come as text here, and only here.
        return schema.model_validate(request.args.to_dict(), strict=False)
    except ValidationError as error:
        raise RequestError(problems(error, schema.model_fields)) from None
