"""The access log: a line for each request, when all of its answer is sent; never its body.

It goes to standard output. gunicorn's own lines go to standard error, in the same shape.
"""

import logging
from datetime import timedelta
from typing import Any

from gunicorn.glogging import Logger

from service.logs import LOGGED, about, formatter

# A line must go into a pipe in one piece, which 4096 bytes do. The path is in it twice, and at
# worst each character is six.
LONGEST_PATH = 300


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
        """Log a request."""
        # Without the query, which may hold light states. It is as it was sent, still quoted.
        path = environ["RAW_URI"].partition("?")[0]
        if len(path) > LONGEST_PATH:
            path = path[:LONGEST_PATH] + "…"
        method = environ["REQUEST_METHOD"]
        known = environ.get(LOGGED, {})
        # What the kernel sends by itself, a file, gunicorn doesn't count.
        sent = resp.sent or (method != "HEAD" and resp.response_length) or 0
        fields: dict[str, object] = {
            "request_id": known.get("request_id"),
            "method": method,
            "route": known.get("route"),
            "path": path,
            "status": resp.status_code,
            "duration_ms": round(request_time / timedelta(milliseconds=1), 3),
            "bytes": sent,
        }
        if known.get("version"):
            fields["version"] = known["version"]
        self.access_log.info("%s %s %s", method, path, resp.status_code, extra=about(**fields))
