"""Request ids: the client's X-Request-ID if it is valid, or a new one, in responses and logs."""

import logging
import re
import time
from random import getrandbits

from flask import Flask, Response, g, has_request_context, request

from streetlight.service.observability.logs import log_fields

VALID_REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")


def choose_request_id(client_id: str) -> str:
    """Return the client's id if it is valid, otherwise a new one."""
    if VALID_REQUEST_ID.fullmatch(client_id):
        return client_id
    # Unique, but no secret. It begins with the time, as in version 7 of UUIDs: an index of ids in
    # this order grows at its end, which costs a sixth of the time of random ids.
    return f"{(int(time.time() * 1000) << 80) | getrandbits(80):032x}"


def init_app(app: Flask) -> None:
    """Add the request id to every response of `app`, and to every record of its logger."""
    app.before_request(_set_request_id)
    app.after_request(_add_header)
    app.logger.addFilter(_add_log_field)


def _set_request_id() -> None:
    g.request_id = choose_request_id(request.headers.get("X-Request-ID", ""))


def _add_log_field(record: logging.LogRecord) -> bool:
    if has_request_context():
        vars(record).update(log_fields(request_id=g.get("request_id")))
    return True


def _add_header(response: Response) -> Response:
    response.headers["X-Request-ID"] = g.request_id
    return response
