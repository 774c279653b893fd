"""Error responses: the status of each exception, and the JSON body that all errors share.

The body is `{"error": "<a sentence>"}`, with `"details"` if fields of the request are invalid.
"""

import operator
from dataclasses import dataclass, field
from typing import Annotated

from flask import Flask, Response, current_app, request
from pydantic import Field
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from streetlight.model.registry.file_lock import LockedError
from streetlight.model.registry.repository import NothingToRollBackToError, VersionNotFoundError
from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.inference.codecs.v2_request import NotSupportedError
from streetlight.service.inference.limits import (
    NO_MEMORY,
    ClientDisconnectedError,
    OverloadedError,
    TooExpensiveError,
)
from streetlight.service.inference.messages import UnsupportedMediaTypeError
from streetlight.service.inference.resolution import ModelNotFoundError, NoLiveVersionError
from streetlight.service.learning.queue import JobFinishedError, JobNotFoundError
from streetlight.service.ledger.queries import ObservationNotFoundError
from streetlight.service.ledger.training_set import LedgerError
from streetlight.service.prediction_log.queries import PredictionLogOffError
from streetlight.service.store.engine import describe
from streetlight.service.store.idempotency import KeyReusedError
from streetlight.service.store.schema import SchemaError
from streetlight.service.validation.json_bounds import TooManyValuesError
from streetlight.service.validation.problems import FieldError, Problem, RequestError
from streetlight.service.versions.comparison import IncomparableError
from streetlight.service.versions.verification import VerificationBusyError
from streetlight.service.web.response import json_response
from streetlight.service.webhook.outbox import (
    DeliveredError,
    DeliveryNotFoundError,
    WebhookOffError,
)

NO_CONNECTION = (
    "the database can't be used: all connections of this worker are in use; try again in a second"
)
# As nginx logs it: the client doesn't receive this status.
CLIENT_CLOSED_REQUEST = 499

STATUS: dict[type[Exception], int] = {
    ClientDisconnectedError: CLIENT_CLOSED_REQUEST,
    IncomparableError: 409,
    NoLiveVersionError: 503,
    JobFinishedError: 409,
    JobNotFoundError: 404,
    KeyReusedError: 409,
    DeliveredError: 409,
    DeliveryNotFoundError: 404,
    LedgerError: 409,
    LockedError: 503,
    ModelNotFoundError: 404,
    NotSupportedError: 501,
    NothingToRollBackToError: 409,
    ObservationNotFoundError: 404,
    OverloadedError: 503,
    PredictionLogOffError: 409,
    SchemaError: 503,
    TooExpensiveError: 413,
    TooManyValuesError: 413,
    VerificationBusyError: 503,
    UnsupportedMediaTypeError: 415,
    VersionDamagedError: 409,
    VersionNotFoundError: 404,
    WebhookOffError: 409,
}


@dataclass(frozen=True)
class ErrorResponse:
    """The error in one sentence, and the invalid fields of the request, if any."""

    error: str
    details: Annotated[list[Problem], Field(exclude_if=operator.not_)] = field(default_factory=list)


def init_app(app: Flask) -> None:
    """Register handlers that return every error of `app` as JSON."""
    for kind in STATUS:
        app.register_error_handler(kind, _domain_error)
    app.register_error_handler(RequestError, lambda error: _bad_request(error.problems))
    app.register_error_handler(FieldError, lambda error: _bad_request([error.problem]))
    app.register_error_handler(OSError, _storage_error)
    app.register_error_handler(DBAPIError, _database_error)
    app.register_error_handler(PoolTimeoutError, lambda _: _error(NO_CONNECTION, 503))
    app.register_error_handler(MemoryError, _memory_error)
    app.register_error_handler(HTTPException, _http_error)


def _domain_error(error: Exception) -> Response:
    return _error(str(error), STATUS[type(error)])


def _error(message: str, status: int) -> Response:
    response = json_response(ErrorResponse(message), status)
    if status == 503:
        response.headers["Retry-After"] = "1"
    return response


def _bad_request(problems: list[Problem]) -> Response:
    details = problems if any(problem.field for problem in problems) else []
    return json_response(ErrorResponse("; ".join(map(str, problems)), details), 400)


def _storage_error(error: OSError) -> Response:
    current_app.logger.exception("storage failed")
    return _error(f"the data directory can't be used: {error.strerror or error}", 503)


def _database_error(error: DBAPIError) -> Response:
    current_app.logger.exception("the database failed")
    if getattr(error.orig, "sqlstate", "") is None:
        # An error of psycopg itself names the host, the user and the database.
        return _error("the database can't be used: it doesn't answer; the log says why", 503)
    return _error(describe(error), 503)


def _memory_error(_: MemoryError) -> Response:
    current_app.logger.exception("a request failed")
    return _error(NO_MEMORY, 503)


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    message = error.description or error.name
    if status == 404:
        message = f"there is no route {request.path}; try GET /predict?lights=1,0,1"
    elif isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or []))
        message = f"{request.path} doesn't accept {request.method}; use one of {allowed}"
    elif isinstance(error, RequestEntityTooLarge):
        limit = current_app.config["MAX_CONTENT_LENGTH"]
        message = f"the body is larger than {limit} bytes, the limit of this server"
    elif status == 500:
        message = "internal server error; the server's log has the details"
    response = json_response(ErrorResponse(message), status)
    for name, value in error.get_headers():
        if name not in ("Content-Type", "Content-Length"):
            response.headers[name] = value
    return response
