"""The access log: one line for each request, written when the response was sent.

A line never contains the body or the query, which may hold light states. The access log goes to
standard output; gunicorn's own messages go to standard error in the same format.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from gunicorn.glogging import Logger

from streetlight.service.observability.logs import LOG_FIELDS, formatter, log_fields

# Characters. A line contains the path twice, and JSON escapes a character with up to six bytes, so
# a line stays below 4096 bytes: the size up to which Linux writes to a pipe atomically.
MAX_PATH_LENGTH = 300


class AccessLog(Logger):  # type: ignore[misc] # gunicorn has no types
    """The `logger_class` of gunicorn."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn's Config has no types
        """Open gunicorn's logs, and set the service's formatter on them."""
        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            if isinstance(handler, logging.StreamHandler):
                handler.setFormatter(formatter(handler.stream))

    def access(
        self,
        resp: Any,  # noqa: ANN401 - gunicorn's Response has no types
        _req: object,
        environ: dict[str, Any],
        request_time: timedelta,
    ) -> None:
        """Log a request that was answered through WSGI; gunicorn calls this."""
        method = environ["REQUEST_METHOD"]
        # gunicorn doesn't count the bytes of a file that it sends by sendfile.
        sent = resp.sent or (method != "HEAD" and resp.response_length) or 0
        self.record(
            environ.get(LOG_FIELDS, {}),
            method=method,
            uri=environ["RAW_URI"],
            status=resp.status_code,
            sent=sent,
            duration_ms=request_time / timedelta(milliseconds=1),
        )

    def record(
        self,
        application_fields: Mapping[str, Any],
        *,
        method: str,
        uri: str,
        status: int,
        sent: int,
        duration_ms: float,
    ) -> None:
        """Log a request.

        Args:
            application_fields: `request_id`, `route` and `version`, where the application set them.
            method: the request method.
            uri: the request target, percent-encoded as received.
            status: the status of the response.
            sent: the length of the response body in bytes.
            duration_ms: milliseconds from the complete request to the end of the response.
        """
        path = uri.partition("?")[0]
        if len(path) > MAX_PATH_LENGTH:
            path = path[:MAX_PATH_LENGTH] + "…"
        fields: dict[str, object] = {
            "request_id": application_fields.get("request_id"),
            "method": method,
            "route": application_fields.get("route"),
            "path": path,
            "status": status,
            "duration_ms": round(duration_ms, 3),
            "bytes": sent,
        }
        if application_fields.get("version"):
            fields["version"] = application_fields["version"]
        self.access_log.info("%s %s %s", method, path, status, extra=log_fields(**fields))
