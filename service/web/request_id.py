"""X-Request-ID: every answer bears one, the caller's where it is fit to be logged."""

import re
import uuid

from flask import Flask, Response, g, request

FIT = re.compile(r"[\x21-\x7e]{1,128}")


def init_app(app: Flask) -> None:
    """Let every answer of `app` bear a request id."""
    app.before_request(_take_or_make)
    app.after_request(_tell)


def _take_or_make() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if FIT.fullmatch(given) else uuid.uuid4().hex


def _tell(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    return response
