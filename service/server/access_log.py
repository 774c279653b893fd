"""The access log: one line for each request, written when the response was sent.

A line never contains the body or the query, which may hold light states. The access log goes to
standard output; gunicorn's own messages go to standard error in the same format.
"""

import logging
from collections.abc import Mapping
from typing import Any

from gunicorn.glogging import Logger

from streetlight.service.observability.logs import RepeatedErrors, formatter, log_fields
from streetlight.service.observability.spans import end_request
from streetlight.service.observability.trace_context import Trace

# Characters. A line contains the path twice, and JSON escapes a character with up to six bytes, so
# a line stays below 4096 bytes: the size up to which Linux writes to a pipe atomically.
MAX_PATH_LENGTH = 300
LOGGER = "gunicorn.access"


class AccessLog(Logger):  # type: ignore[misc] # gunicorn has no types
    """The `logger_class` of gunicorn."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn's Config has no types
        """Open gunicorn's logs, and set the service's formatter on them."""
        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            if isinstance(handler, logging.StreamHandler):
                handler.setFormatter(formatter(handler.stream))
        self.error_log.addFilter(RepeatedErrors())

    def info(self, msg: str, *args: object, **kwargs: object) -> None:
        """Log a message of gunicorn; add the address if it says only that it listens."""
        if msg.startswith("Listening at") and args and not args[0]:
            # With SO_REUSEPORT, gunicorn's main process has no socket.
            scheme = "https" if self.cfg.is_ssl else "http"
            addresses = [_url(scheme, address) for address in self.cfg.address]
            args = (", ".join(addresses), *args[1:])
        super().info(msg, *args, **kwargs)

    def record(
        self,
        application_fields: Mapping[str, Any],
        *,
        client: str,
        method: str,
        uri: bytes,
        status: int,
        sent: int,
        duration_ms: float,
        trace: Trace | None,
    ) -> None:
        """Log a request, unless its level is below that of the log; end its span.

        Args:
            application_fields: `request_id`, `route`, `version`, `key`, the name of the API key,
                and `level` if it isn't INFO, where the application set them.
            client: the address of the client.
            method: the request method.
            uri: the request target, as received.
            status: the status of the response.
            sent: the length of the response body in bytes.
            duration_ms: milliseconds from the complete request to the end of the response.
            trace: the trace that the request belongs to.
        """
        path = uri.partition(b"?")[0].decode("latin-1")
        if len(path) > MAX_PATH_LENGTH:
            path = path[:MAX_PATH_LENGTH] + "…"
        if trace:
            attributes = {
                "url.path": path,
                "client.address": client,
                "http.response.body.size": sent,
                "streetlight.request_id": application_fields.get("request_id"),
                "streetlight.version": application_fields.get("version"),
            }
            end_request(trace, method, application_fields.get("route"), status, attributes)
        level = application_fields.get("level", logging.INFO)
        if level < self.loglevel:
            return
        fields: dict[str, object] = {
            "request_id": application_fields.get("request_id"),
            "client": client,
            "method": method,
            "route": application_fields.get("route"),
            "path": path,
            "status": status,
            "duration_ms": round(duration_ms, 3),
            "bytes": sent,
        }
        for name in ("version", "key"):
            if application_fields.get(name):
                fields[name] = application_fields[name]
        if trace:
            fields |= trace.log_fields()
        # `info` would also look for the line of code that logs, which takes a third of the time.
        arguments = (method, path, status)
        line = logging.LogRecord(LOGGER, level, "", 0, "%s %s %s", arguments, None)
        vars(line).update(log_fields(**fields))
        self.access_log.handle(line)


def _url(scheme: str, address: tuple[str, int] | str) -> str:
    if isinstance(address, str):
        return address
    host, port = address
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
