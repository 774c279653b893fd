"""Parse request bodies, query strings, path numbers and idempotency keys.

JSON bodies are parsed by Pydantic whatever their Content-Type, since `curl -d` sends every body as
a form.
"""

import hashlib
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import IntegerConverter

from streetlight.service.inference.tensors import Buffer
from streetlight.service.store.idempotency import IdempotentRequest
from streetlight.service.validation.json_bounds import check_bounds, decode
from streetlight.service.validation.problems import Problem, problems
from streetlight.service.web.compression import decompress

# The key, in the WSGI environment, of the complete body, if the server holds it in one buffer.
RECEIVED_BODY = "streetlight.body"

MAX_KEY_LENGTH = 200
# For all objects of a body together: validation builds an error for each unknown field.
MAX_FIELDS = 10_000
MAX_ID = 10**18 - 1


class IdConverter(IntegerConverter):
    """A number in a path: at most 18 digits, to fit a 64-bit integer column; 404 otherwise."""

    regex = "[0-9]{1,18}"


class Schema(BaseModel):
    """Base class of request schemas: strict types, finite numbers, no unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class RequestError(ValueError):
    """The request is invalid; `problems` names the fields."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


SchemaT = TypeVar("SchemaT", bound=Schema)


def parse_body(schema: type[SchemaT]) -> SchemaT:
    """Return the request's JSON body as a `schema`; an empty body counts as `{}`.

    Raises:
        RequestError, FieldError: the body doesn't match the schema.
        RequestEntityTooLarge: the body is larger than `max_body_bytes`.
    """
    body = check_bounds(read_json_body())
    if body.count(b":") > MAX_FIELDS:
        raise RequestError([Problem("", f"expected at most {MAX_FIELDS} fields in all")])
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise RequestError(problems(error, schema.model_fields)) from None


def parse_json() -> Any:  # noqa: ANN401 - any JSON value
    """Return the request's JSON body without a schema; an empty body counts as `{}`.

    Raises:
        FieldError: the body isn't JSON.
        RequestEntityTooLarge: the body is larger than `max_body_bytes`.
    """
    return decode(read_json_body())


def read_json_body() -> bytes:
    """Return the request's body, decompressed and unparsed; `{}` for an empty body."""
    return read_body() or b"{}"


def read_body() -> bytes:
    """Return the request's body, decompressed. Raises the errors of `read_body_buffer`."""
    return bytes(read_body_buffer())


def read_body_buffer() -> Buffer:
    """Return the request's body, decompressed, without a copy if the server holds it in one buffer.

    Raises:
        RequestEntityTooLarge: the body, as sent or decompressed, is larger than `max_body_bytes`.
        FieldError, UnsupportedMediaType: the body can't be decompressed.
    """
    limit = request.max_content_length or 0
    body: Buffer = request.environ.get(RECEIVED_BODY, b"")
    if not body or len(body) != request.content_length or len(body) > limit:
        body = request.get_data()
    if request.content_length is None and len(body) >= limit:
        # Werkzeug cuts a body without a Content-Length at the limit and raises no error.
        raise RequestEntityTooLarge
    return decompress(body, request.headers.get("Content-Encoding", ""), limit)


def idempotent_request(scope: str) -> IdempotentRequest | None:
    """Return the request's Idempotency-Key in `scope`, with the body's digest; `None` without one.

    Raises:
        RequestError: the key is longer than `MAX_KEY_LENGTH`.
    """
    key = request.headers.get("Idempotency-Key")
    if not key:
        return None
    if len(key) > MAX_KEY_LENGTH:
        message = f"expected at most {MAX_KEY_LENGTH} characters, got {len(key)}"
        raise RequestError([Problem("Idempotency-Key", message)])
    return IdempotentRequest(scope, key, hashlib.sha256(read_json_body()).hexdigest())


def parse_query(schema: type[SchemaT]) -> SchemaT:
    """Return the query string as a `schema`; a repeated parameter is an error.

    Raises:
        RequestError: the query string doesn't match the schema.
    """
    repeated = [name for name, values in request.args.lists() if len(values) > 1]
    if repeated:
        raise RequestError([Problem(name, "expected once, got more") for name in repeated])
    try:
        # The values of a query string are text, so only here numbers are parsed from text.
        return schema.model_validate(request.args.to_dict(), strict=False)
    except ValidationError as error:
        raise RequestError(problems(error, schema.model_fields)) from None
