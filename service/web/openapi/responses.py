"""The responses of an operation: those of its view, and the errors of the service and the server.

An error that any request can get is a component, to which the operations refer.
"""

from collections.abc import Sequence
from http import HTTPStatus
from inspect import getdoc
from typing import NamedTuple

from werkzeug.exceptions import HTTPException, RequestedRangeNotSatisfiable

from streetlight.model.registry.repository import NothingToRollBackToError, VersionNotFoundError
from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.inference.codecs.v2_request import NotSupportedError
from streetlight.service.inference.limits import OverloadedError, TooExpensiveError
from streetlight.service.inference.messages import UnsupportedMediaTypeError
from streetlight.service.inference.resolution import ModelNotFoundError, NoLiveVersionError
from streetlight.service.learning.queue import JobFinishedError, JobNotFoundError
from streetlight.service.ledger.queries import ObservationNotFoundError
from streetlight.service.prediction_log.queries import PredictionLogOffError
from streetlight.service.store.idempotency import KeyReusedError
from streetlight.service.store.schema import SchemaError
from streetlight.service.versions.comparison import IncomparableError
from streetlight.service.versions.verification import VerificationBusyError
from streetlight.service.web.middleware.errors import STATUS, ErrorResponse
from streetlight.service.web.openapi import examples
from streetlight.service.web.openapi.operation import Operation, ResponseSpec
from streetlight.service.web.openapi.schemas import MEDIA_TYPES, Json, Schemas
from streetlight.service.webhook.outbox import (
    DeliveredError,
    DeliveryNotFoundError,
    WebhookOffError,
)

HEADERS = {
    "X-Request-ID": "The id of the request: the client's, or a generated one.",
    "Location": "The address of the created job or observation, relative to that of the request.",
    "Content-Disposition": "The name of the file.",
    "Content-Range": "The bytes that the body has, and the size of the file.",
    "ETag": "The version of the file, for `If-None-Match`.",
    "Inference-Header-Content-Length": "The length of the JSON in bytes; absent if all is JSON.",
    "Retry-After": "The seconds after which the request can succeed.",
    "WWW-Authenticate": "The authentication scheme, `Bearer`.",
}
# Response headers that are absent at times.
OPTIONAL = {"ETag", "Inference-Header-Content-Length"}


class Error(NamedTuple):
    """When a request gets a status, and an example of the message."""

    reason: str
    message: str


# The errors that any request can get.
ANY = {
    400: Error(
        "The request is invalid; the message names the field and what was expected.",
        "lights: required, but missing",
    ),
    408: Error(
        "The request took too long to arrive.",
        "the request took too long to arrive; send at least 16 KiB per second",
    ),
    414: Error(
        "The request line is longer than 4094 bytes.",
        "expected a request line of at most 4094 bytes",
    ),
    417: Error(
        "The header `Expect` has another value than `100-continue`.",
        "expected no expectation but 100-continue",
    ),
    431: Error(
        "The headers are too many, or too large.",
        "expected at most 100 headers, each of at most 8190 bytes, together of at most 65536",
    ),
    500: Error(
        "The server failed; its log has the details.",
        "internal server error; the server's log has the details",
    ),
    503: Error(
        "The server is overloaded, or can't use the data directory or the database.",
        "the server answers as many clients as it can; try again later",
    ),
}
WITH_BODY = {
    413: Error(
        "The body, as sent or decompressed, is larger than the server's limit.",
        "the body is larger than 33554432 bytes, the limit of this server",
    ),
    415: Error(
        "The server can't read the body's `Content-Encoding` or media type.",
        "Content-Encoding: expected gzip, deflate, got 'br'",
    ),
}
WITH_KEY = {
    401: Error(
        "The server has API keys, and the request doesn't send one of them.",
        "this request requires an API key with the right admin: expected the header "
        "Authorization: Bearer <the API key>, got no key",
    ),
    403: Error(
        "The API key lacks the right, or the request was sent by a page of another origin.",
        "requests that change state are accepted from pages of the same origin only, and with an "
        "API key from those of STREETLIGHT_CORS_ORIGINS",
    ),
}
COMMON = ANY | WITH_BODY | WITH_KEY

# Examples of the messages of the errors that a view may raise.
MESSAGES: dict[type[Exception], str] = {
    DeliveredError: "delivery 1 can't be repeated: it was delivered",
    DeliveryNotFoundError: "no delivery 99",
    IncomparableError: (
        "can't compare version 1, which takes 3 lights, with version 2, which takes 2"
    ),
    JobFinishedError: "job 1 can't be cancelled: its state is cancelled",
    JobNotFoundError: "no job 99",
    KeyReusedError: 'Idempotency-Key: "k" was used before with another body; use a new key',
    ModelNotFoundError: "no model 'other'; the model's name is 'streetlight'",
    NoLiveVersionError: "no version is live; train one with `streetlight train`, or promote one",
    NotSupportedError: "shared memory is not supported; send the data in the request",
    NothingToRollBackToError: "nothing to roll back to: no other version was live before",
    ObservationNotFoundError: "no observation 99",
    OverloadedError: "16 large requests are waiting; try again later",
    PredictionLogOffError: (
        "the server keeps no prediction log; set STREETLIGHT_PREDICTION_LOG=true and restart it"
    ),
    RequestedRangeNotSatisfiable: "The server cannot provide the requested range.",
    SchemaError: (
        "the database can't be used: it has a table jobs and no table observations; restore a "
        "backup, or use an empty database"
    ),
    TooExpensiveError: (
        "the request needs 196000000000 multiplications, expected at most 500000000; use fewer "
        "rows or iterations, or raise the setting STREETLIGHT_MAX_MULTIPLICATIONS"
    ),
    UnsupportedMediaTypeError: (
        "Content-Type: expected application/json or text/csv, got 'text/xml'"
    ),
    VerificationBusyError: "another verification is running; try again when it has finished",
    VersionDamagedError: "version-2.npz: File is not a zip file",
    VersionNotFoundError: "no version 99; existing versions: 1, 2",
    WebhookOffError: (
        "the server has no webhook; set STREETLIGHT_WEBHOOK_URL and STREETLIGHT_WEBHOOK_SECRET and "
        "restart it"
    ),
}


def describe(operation: Operation, requires_key: bool, schemas: Schemas, components: Json) -> Json:
    """Return the OpenAPI response objects of an operation, by status.

    Errors are added to `components`, which all operations share.
    """
    common = ANY | (WITH_BODY if operation.body else {}) | (WITH_KEY if requires_key else {})
    raised: dict[int, list[type[Exception]]] = {status: [] for status in common}
    for kind in operation.raises:
        raised.setdefault(status_of(kind), []).append(kind)
    responses: dict[int, Json] = {}
    for status, kinds in raised.items():
        causes = ["any"] * (status in common) + [kind.__name__ for kind in kinds]
        name = "-".join([f"Error{status}", *causes])
        if name not in components:
            components[name] = _error(status, common.get(status), kinds, schemas)
        responses[status] = {"$ref": f"#/components/responses/{name}"}
    if invalid := examples.invalid(operation):
        content = {"schema": schemas[ErrorResponse, "serialization"], "example": invalid}
        responses[400] = _error_response(400, ANY[400].reason, content)
    for status, spec in operation.responses.items():
        responses[status] = _response(status, spec, schemas)
    return {str(status): responses[status] for status in sorted(responses)}


def _error(
    status: int, common: Error | None, kinds: Sequence[type[Exception]], schemas: Schemas
) -> Json:
    reasons = [common.reason] if common else []
    values = {kind.__name__: {"value": {"error": MESSAGES[kind]}} for kind in kinds}
    if common:
        values = {"any": {"value": {"error": common.message}}} | values
    content = {"schema": schemas[ErrorResponse, "serialization"], "examples": values}
    return _error_response(status, " ".join([*reasons, *map(_reason, kinds)]), content)


def _reason(error: type[Exception]) -> str:
    text = error.description if issubclass(error, HTTPException) else getdoc(error)
    return (text or "").partition("\n")[0]


def status_of(error: type[Exception]) -> int:
    """Return the status of the response to a request whose view raises `error`."""
    return (issubclass(error, HTTPException) and error.code) or STATUS[error]


def _response(status: int, spec: ResponseSpec, schemas: Schemas) -> Json:
    content: Json = {}
    if spec.model:
        content["application/json"] = {"schema": schemas[spec.model, "serialization"]}
        if spec.example:
            content["application/json"]["example"] = spec.example
    content |= {media: {"schema": MEDIA_TYPES[media]} for media in spec.media_types}
    result = {"description": HTTPStatus(status).phrase, "headers": _headers(spec.headers)}
    links = {
        name: {"operationId": name, "parameters": dict(parameters)}
        for name, parameters in spec.links.items()
    }
    return result | ({"content": content} if content else {}) | ({"links": links} if links else {})


def _error_response(status: int, reason: str, content: Json) -> Json:
    names = {401: ["WWW-Authenticate"], 503: ["Retry-After"]}.get(status, [])
    headers = _headers(names)
    return {"description": reason, "headers": headers, "content": {"application/json": content}}


def _headers(names: Sequence[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ["X-Request-ID", *names]}
