"""The access log: a line for each request, when all of its answer is sent; never its body.

It goes to standard output. gunicorn's own lines go to standard error, in the same shape.
"""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from gunicorn.glogging import Logger

from streetlight.service.observability.logs import LOG_FIELDS, formatter, log_fields

# A line must go into a pipe in one piece, which 4096 bytes do. The path is in it twice, and at
# worst each character is six.
MAX_PATH_LENGTH = 300


class AccessLog(Logger):  # type: ignore[misc] # gunicorn has no types
    """What gunicorn logs with."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn's Config has no types
        """Open the logs as gunicorn does, and give them our shape."""
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
        """Log a request that gunicorn has answered."""
        method = environ["REQUEST_METHOD"]
        # What the kernel sends by itself, a file, gunicorn doesn't count.
        sent = resp.sent or (method != "HEAD" and resp.response_length) or 0
        took = request_time / timedelta(milliseconds=1)
        application_fields = environ.get(LOG_FIELDS, {})
        uri = environ["RAW_URI"]
        self.record(
            application_fields,
            method=method,
            uri=uri,
            status=resp.status_code,
            sent=sent,
            took=took,
        )

    def record(
        self,
        application_fields: Mapping[str, Any],
        *,
        method: str,
        uri: str,
        status: int,
        sent: int,
        took: float,
    ) -> None:
        """Log a request.

        Args:
            application_fields: what the application knows of it.
            method: its method.
            uri: as it was sent, still quoted.
            status: of the answer.
            sent: bytes of the answer's body.
            took: milliseconds.
        """
        # Without the query, which may hold light states.
        path = uri.partition("?")[0]
        if len(path) > MAX_PATH_LENGTH:
            path = path[:MAX_PATH_LENGTH] + "…"
        fields: dict[str, object] = {
            "request_id": application_fields.get("request_id"),
            "method": method,
            "route": application_fields.get("route"),
            "path": path,
            "status": status,
            "duration_ms": round(took, 3),
            "bytes": sent,
        }
        if application_fields.get("version"):
            fields["version"] = application_fields["version"]
        self.access_log.info("%s %s %s", method, path, status, extra=log_fields(**fields))
