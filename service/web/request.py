"""Read request bodies, path numbers and idempotency keys.

JSON bodies are parsed by Pydantic whatever their Content-Type, since `curl -d` sends every body as
a form.
"""

import hashlib
from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import IntegerConverter

from streetlight.service.inference.limits import SMALL_BYTES
from streetlight.service.inference.resolution import live_version
from streetlight.service.inference.tensors import Buffer
from streetlight.service.store.idempotency import IdempotentRequest
from streetlight.service.validation.json_bounds import decode
from streetlight.service.validation.problems import Problem, RequestError
from streetlight.service.validation.request_schema import SchemaT, validate_body
from streetlight.service.web.application import services
from streetlight.service.web.compression import decompress
from streetlight.service.web.middleware.admission import admit

# The key, in the WSGI environment, of the complete body, if the server holds it in one buffer.
RECEIVED_BODY = "streetlight.body"

MAX_KEY_LENGTH = 200
MAX_ID = 10**18 - 1


class IdConverter(IntegerConverter):
    """A number in a path: at most 18 digits, to fit a 64-bit integer column; 404 otherwise."""

    regex = "[0-9]{1,18}"


class VersionConverter(IdConverter):
    """The number of a version in a path, or `live`; `resolve_live` replaces the latter."""

    regex = f"live|{IdConverter.regex}"

    def to_python(self, value: str) -> int | None:
        """Return the number; `None` for `live`."""
        return None if value == "live" else super().to_python(value)


def resolve_live() -> None:
    """Replace `live` in the path of the current request by the number of the live version.

    Raises:
        NoLiveVersionError: no version is live, or its file can't be read.
    """
    numbers = request.view_args or {}
    for name, number in numbers.items():
        if number is None:
            numbers[name] = live_version(services().repository).number


def parse_body(schema: type[SchemaT]) -> SchemaT:
    """Return the request's JSON body as a `schema`; an empty body counts as `{}`.

    Raises:
        RequestError, FieldError: the body doesn't match the schema.
        RequestEntityTooLarge: the body is larger than `max_body_bytes`.
    """
    return validate_body(schema, read_json_body())


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
        OverloadedError, ClientDisconnectedError: it is large; see `admission.admit`.
    """
    limit = request.max_content_length or 0
    body: Buffer = request.environ.get(RECEIVED_BODY, b"")
    if not body or len(body) != request.content_length or len(body) > limit:
        body = request.get_data()
    if request.content_length is None and len(body) >= limit:
        # Werkzeug cuts a body without a Content-Length at the limit and raises no error.
        raise RequestEntityTooLarge
    encoding = request.headers.get("Content-Encoding", "")
    try:
        data = decompress(body, encoding, min(limit, SMALL_BYTES))
    except RequestEntityTooLarge:
        admit(request_bytes=limit)
        data = decompress(body, encoding, limit)
    admit(request_bytes=len(data))
    return data


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
