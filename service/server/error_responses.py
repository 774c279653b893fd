"""Refusals: what is answered to a request that never reaches the application, and how.

They are counted and logged like all others, as far as it is known what they were.
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
SERVER_ERRORS = (errors.InvalidResponseHeader, errors.InvalidResponseHeaderName)


class UnsupportedCodingError(errors.ParseException):  # type: ignore[misc] # gunicorn has no types
    """A body can't be taken as it is framed."""

    def __str__(self) -> str:
        """Say what can."""
        return "expected the transfer coding `chunked` alone, in chunks of 64 bytes or more"


def status_for(error: Exception) -> int:
    """Return what an error of gunicorn's is answered with: 500 only where it is our own."""
    if isinstance(error, errors.ParseException) and not isinstance(error, SERVER_ERRORS):
        return STATUS_CODES.get(type(error), 400)
    return 500


def send_error(client: socket.socket, status: int, sentence: str) -> None:
    """Send an error in the shape of all errors, as far as that goes without waiting."""
    request_id = uuid.uuid4().hex
    body = json.dumps({"error": sentence}, ensure_ascii=False).encode() + b"\n"
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-Request-ID: {request_id}\r\n\r\n"
    )
    with suppress(OSError):
        client.setblocking(False)
        client.send(head.encode() + body)
    logger.warning(
        "refused: %d %s", status, sentence, extra=log_fields(request_id=request_id, status=status)
    )
    try:
        metrics.count_rejection(status)
    except Exception:
        # Such as a full disk: it is refused all the same.
        logger.exception("a refusal was not counted")
