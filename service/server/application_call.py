"""Call the WSGI application (PEP 3333), and compute its response part by part.

A thread calls these functions. `exchange` schedules them, and sends the parts.
"""

import io
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools

from streetlight.service.inference.tensors import Buffer
from streetlight.service.server.request_parser import ReceivedRequest, RequestRejected
from streetlight.service.web.application import Application
from streetlight.service.web.request import RECEIVED_BODY

# Bytes computed at once, if the response is a stream.
PART_SIZE = 64 * 1024


class _BodyStream(io.RawIOBase):
    """A request body as `wsgi.input`, without a copy; the views read `RECEIVED_BODY` instead."""

    def __init__(self, body: Buffer) -> None:
        self._rest = memoryview(body)

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:  # noqa: ANN401 - any writable buffer
        part, self._rest = self._rest[: len(target)], self._rest[len(target) :]
        target[: len(part)] = part
        return len(part)


def build_environ(
    request: ReceivedRequest, connection: dict[str, Any], forwarded: dict[str, str]
) -> dict[str, Any]:
    """Return the WSGI environment of a request.

    Args:
        request: the request.
        connection: the variables that are the same for all requests of the connection.
        forwarded: the variables that a trusted proxy sets.

    Raises:
        RequestRejected: the request target is invalid.
    """
    try:
        url = httptools.parse_url(request.target)
        path = unquote_to_bytes(url.path or b"/").decode("latin-1")
    except httptools.HttpParserInvalidURLError:
        path = ""
    if not path.startswith("/"):
        raise RequestRejected(400, "invalid request: expected a path as the target")
    body = request.body
    environ = connection | {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": (url.query or b"").decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{request.http_version}",
        "wsgi.version": (1, 0),
        "wsgi.input": io.BytesIO(body) if isinstance(body, bytes) else _BodyStream(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        RECEIVED_BODY: body,
    }
    for name, value in request.headers.items():
        key = name.decode().upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH", "TRANSFER_ENCODING"):
            key = "HTTP_" + key
        environ[key] = value.decode("latin-1")
    # No upgrade is offered, and Werkzeug would answer one to WebSocket with an error.
    environ.pop("HTTP_UPGRADE", None)
    # The body has been decoded, so its length is known.
    if environ.pop("TRANSFER_ENCODING", None):
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ | forwarded


class ApplicationCall:
    """A call of the application.

    Attributes:
        status: the status line, such as `200 OK`; empty before the first part.
        headers: the headers of the response.
        environ: the WSGI environment, to which the application adds; empty after the end.
    """

    def __init__(self, application: Application, environ: dict[str, Any]) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.environ = environ
        self._application = application
        self._parts: Iterator[Buffer] | None = None
        self._close: Callable[[], None] | None = None

    def compute(self) -> tuple[list[Buffer], bool]:
        """Return the next part of the response body, and whether it is the last.

        The first call runs the view. A part has at least `PART_SIZE` bytes, unless it is the last.
        """
        if self._parts is None:
            response = self._application(self.environ, self._start_response)
            self._close = getattr(response, "close", None)
            self._parts = iter(response)
        part: list[Buffer] = []
        size = 0
        for data in self._parts:
            part.append(data)
            size += len(data)
            if size >= PART_SIZE:
                return part, False
        return part, True

    def close(self) -> None:
        """Free what the application holds for the request."""
        close, self._close = self._close, None
        try:
            if close is not None:
                close()
        finally:
            # Werkzeug's request and the environment refer to each other; until the garbage
            # collector runs, they would keep the body in memory.
            self.environ.clear()

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], _error: object = None
    ) -> Callable[[bytes], object]:
        self.status, self.headers = status, headers
        return lambda _data: None  # Flask doesn't call it
