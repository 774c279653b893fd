"""What every view does: take the services, parse what came, answer with JSON.

Bodies go from bytes through Pydantic whatever their Content-Type: curl's `-d` calls everything a
form. Answers go from dataclasses to bytes by Pydantic's serialiser.
"""

import hashlib
from functools import cache
from typing import Annotated, Any, TypeVar, cast

from flask import Response, current_app, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import IntegerConverter

from service.body import Body, Buffer
from service.bootstrap import Services
from service.decoding import bounded, decode
from service.idempotency import Replayed
from service.validation import Problem, problems
from service.web.compression import decompress

MOST_KEY = 200
# Of all objects together: each that is unknown is a complaint to build.
MOST_FIELDS = 10_000
MOST_NUMBER = 10**18 - 1

# What goes into the database: PostgreSQL has no place for a NUL.
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]


def _whole(number: object) -> object:
    # To JSON, 2.0 is the same whole number as 2.
    return int(number) if isinstance(number, float) and number.is_integer() else number


WHOLE = BeforeValidator(_whole)
Whole = Annotated[int, WHOLE]


class Number(IntegerConverter):
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


def services() -> Services:
    """Return what the application was created with."""
    return cast(Services, current_app.extensions["streetlight"])


def parse_body(schema: type[SchemaT]) -> SchemaT:
    """Return the request's body as `schema`; an empty body counts as `{}`.

    Raises:
        RequestError, FieldError: it isn't one.
        RequestEntityTooLarge: it is larger than the settings allow.
    """
    body = bounded(read_body())
    if body.count(b":") > MOST_FIELDS:
        raise RequestError([Problem("", f"expected at most {MOST_FIELDS} fields in all")])
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
    stream, limit = request.environ["wsgi.input"], request.max_content_length or 0
    body: Buffer
    if isinstance(stream, Body) and request.content_length == len(stream.data) <= limit:
        body = stream.data
    else:
        body = request.get_data()
    if request.content_length is None and len(body) >= limit:
        # Werkzeug cuts a body of unannounced length at the limit, and says nothing.
        raise RequestEntityTooLarge
    return decompress(body, request.headers.get("Content-Encoding", ""), limit)


def replayed(scope: str) -> Replayed | None:
    """Return what the header Idempotency-Key says of this request, if there is one.

    Raises:
        RequestError: the key is too long.
    """
    key = request.headers.get("Idempotency-Key")
    if not key:
        return None
    if len(key) > MOST_KEY:
        message = f"expected at most {MOST_KEY} characters, got {len(key)}"
        raise RequestError([Problem("Idempotency-Key", message)])
    return Replayed(scope, key, hashlib.sha256(read_body()).hexdigest())


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
