"""X-Request-ID: every answer and log line bears one, the caller's where it is fit to be logged."""

import logging
import re
import uuid

from flask import Flask, Response, g, has_request_context, request

from streetlight.service.observability.logs import log_fields

VALID_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


def init_app(app: Flask) -> None:
    """Let every answer of `app`, and all that it logs meanwhile, bear a request id."""
    app.before_request(_take_or_make)
    app.after_request(_tell)
    app.logger.addFilter(_log)


def _take_or_make() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if VALID_REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _log(record: logging.LogRecord) -> bool:
    if has_request_context():
        vars(record).update(log_fields(request_id=g.get("request_id")))
    return True


def _tell(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    return response
