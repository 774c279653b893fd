"""Responses to requests that the server rejects before they reach the application.

They have the JSON body of all errors. They are logged as warnings and counted in the metrics under
the route and method `other`, because the request may not have been parsed.
"""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus

from streetlight.service.observability import metrics
from streetlight.service.observability.logs import log_fields
from streetlight.service.observability.spans import end_request
from streetlight.service.observability.trace_context import Trace
from streetlight.service.web.middleware.request_id import choose_request_id
from streetlight.service.web.middleware.security_headers import HEADER_LINES

logger = logging.getLogger(__name__)

INTERNAL_ERROR = "internal server error; the server's log has the details"


def error_response(
    status: int, message: str, client: str, trace: Trace | None, more: Mapping[str, str]
) -> bytes:
    """Return the bytes of an error response that ends the connection; log it and count it.

    Args:
        status: the HTTP status.
        message: the error in a sentence.
        client: the address of the client, for the log.
        trace: the trace that the request belongs to, if it is known.
        more: further headers.
    """
    request_id = choose_request_id("")
    body = json.dumps({"error": message}, ensure_ascii=False).encode() + b"\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
    if status == 503:
        lines += "Retry-After: 1\r\n"
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\n{lines}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"{HEADER_LINES}X-Request-ID: {request_id}\r\n\r\n"
    )
    fields = log_fields(request_id=request_id, status=status, client=client)
    if trace:
        fields["log_fields"] |= trace.log_fields()
        end_request(trace, "", None, status, {"client.address": client})
    logger.warning("rejected: %d %s", status, message, extra=fields)
    metrics.count_rejection(status)
    return head.encode() + body
