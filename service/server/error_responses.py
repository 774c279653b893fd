"""Responses to requests that the server rejects before they reach the application.

They have the JSON body of all errors. They are logged as warnings and counted in the metrics under
the route and method `other`, because the request may not have been parsed.
"""

import json
import logging
import socket
import uuid
from contextlib import suppress
from http import HTTPStatus

from gunicorn.http import errors

from streetlight.service.observability import metrics
from streetlight.service.observability.logs import log_fields

logger = logging.getLogger(__name__)

STATUS_CODES: dict[type[Exception], int] = {
    errors.LimitRequestLine: 414,
    errors.LimitRequestHeaders: 431,
    errors.ExpectationFailed: 417,
    errors.ForbiddenProxyRequest: 403,
}
# Parse errors in gunicorn's class tree whose cause is the application's response.
SERVER_ERRORS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)
INTERNAL_ERROR = "internal server error; the server's log has the details"


class UnsupportedCodingError(errors.ParseException):  # type: ignore[misc] # gunicorn has no types
    """The transfer coding of a body is not supported, or its chunks are too small."""

    def __str__(self) -> str:
        """Return the message for the client."""
        return "expected the transfer coding `chunked` alone, in chunks of 64 bytes or more"


def status_for(error: Exception) -> int:
    """Return the status for an error raised outside the application.

    A parse error is the client's: 400, or the entry in `STATUS_CODES`. Any other error is 500.
    """
    if isinstance(error, errors.ParseException) and not isinstance(error, SERVER_ERRORS):
        return STATUS_CODES.get(type(error), 400)
    return 500


def send_error(client: socket.socket, status: int, message: str) -> None:
    """Send an error response, log it and count it.

    The send doesn't block, because the caller may be the worker's main loop. Bytes that don't fit
    into the socket's send buffer are dropped.
    """
    request_id = uuid.uuid4().hex
    body = json.dumps({"error": message}, ensure_ascii=False).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-ID: {request_id}\r\n\r\n"
    )
    with suppress(OSError):
        client.setblocking(False)
        client.send(head.encode() + body)
    logger.warning(
        "rejected: %d %s", status, message, extra=log_fields(request_id=request_id, status=status)
    )
    try:
        metrics.count_rejection(status)
    except Exception:
        # Counting can fail, for example if the disk is full; the response is sent anyway.
        logger.exception("could not count a rejected request in the metrics")
