"""Parse the bytes of a connection into requests, with limits on what a request may contain.

httptools, which is llhttp, reads HTTP; this module collects what it reports, and rejects what it
leaves to its user. `connection` receives the bytes.
"""

from collections import deque
from dataclasses import dataclass, field

import httptools
import numpy as np

from streetlight.service.inference.limits import NO_MEMORY
from streetlight.service.inference.tensors import Buffer

# Bytes of the request line and of a header line: the documented defaults of gunicorn.
MAX_REQUEST_LINE = 4094
MAX_HEADER_LINE = 8190
MAX_HEADERS = 100
# Bytes of all header lines together.
MAX_HEAD = 64 * 1024
# A body above this many bytes is large: few may be received at once, to bound the memory.
LARGE_BODY = 256 * 1024
# The bytes of a chunked body that aren't data, its chunk sizes, extensions and trailers, may be as
# many as MAX_HEAD and this part of the data. That allows chunks of 64 bytes.
MAX_FRAMING = 1 / 8
# Bytes passed to httptools at once. It parses all requests in them, also those that have to wait.
STEP = 4096

# Fields that must not be repeated: a proxy might use another of the values than the application.
SINGLE_FIELDS = frozenset((b"content-type", b"host", b"transfer-encoding"))


class RequestRejected(Exception):  # noqa: N818 - it is a response as well
    """The request is rejected by the server, with `status` and a message for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class ReceivedRequest:
    """A request, or the part of it that was received.

    Attributes:
        method: the request method.
        target: the request target, as received.
        http_version: `1.0` or `1.1`.
        headers: the header values by name in lower case. The values of a repeated field are joined
            by commas; a name with an underscore is left out, since WSGI would take it for another.
        body: the body, without its transfer coding.
        keep_alive: whether the client keeps the connection open.
    """

    method: str = ""
    target: bytes = b""
    http_version: str = ""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: Buffer = b""
    keep_alive: bool = False


class RequestParser:
    """The parser of a connection.

    Attributes:
        completed: the requests that were received in full, in order.
        rejection: the reason why the request after those is rejected; nothing more is parsed.
        in_message: whether a request was received in part.
        idle_bytes: the number of bytes received since the last request, at most one line end.
        expects_continue: whether the client waits for `100 Continue` before it sends the body.
    """

    def __init__(self, max_body: int) -> None:
        self.max_body = max_body
        self.completed: deque[ReceivedRequest] = deque()
        self.rejection: RequestRejected | None = None
        self.in_message = self.expects_continue = False
        self._parser = httptools.HttpRequestParser(self)
        self._request = ReceivedRequest()
        self._in_body = False
        self._body: bytes | bytearray = b""
        self._header_count = self._header_size = 0
        # Bytes received of a head that isn't complete.
        self._head_size = 0
        self.idle_bytes = 0
        self._content_length: int | None = None
        # Replaces `_body` if the body is large and its length is known; the part that was received.
        self._buffer: memoryview | None = None
        self._filled = 0
        # Whether httptools has skipped the body of the current request.
        self._skipped_body = False
        # Bytes received since the head of a chunked request.
        self._coded_size = 0

    @property
    def headers(self) -> dict[bytes, bytes]:
        """The headers of the current request that were parsed; none between requests."""
        return self._request.headers if self.in_message else {}

    @property
    def large(self) -> bool:
        """Whether the body of the current request has, or announces, over `LARGE_BODY` bytes."""
        return self._in_body and max(self._content_length or 0, self.body_size) > LARGE_BODY

    @property
    def step(self) -> int:
        """The number of bytes that may be passed to `feed`."""
        return max(STEP, (self._content_length or 0) - self.body_size)

    @property
    def body_size(self) -> int:
        """The number of bytes of the current body that were received."""
        return self._filled if self._buffer is not None else len(self._body)

    def feed(self, data: Buffer) -> None:
        """Parse the next bytes received, at most `step` of them."""
        rest: Buffer = data
        while rest:
            part, rest = rest, b""
            try:
                self._parser.feed_data(part)
            except httptools.HttpParserUpgrade as upgrade:
                # No upgrade is offered, so what follows is HTTP/1.1.
                self._parser = httptools.HttpRequestParser(self)
                rest = part[upgrade.args[0] :]
                if self._skipped_body:
                    self._expect_body()
            except httptools.HttpParserCallbackError as error:
                cause = error.__context__
                if isinstance(cause, MemoryError):
                    cause = RequestRejected(503, NO_MEMORY)
                if not isinstance(cause, RequestRejected):
                    raise
                self.rejection = cause
            except httptools.HttpParserError as error:
                # What follows a request with `Connection: close` is ignored.
                if not self.completed or self.completed[-1].keep_alive:
                    status = 413 if "overflow" in str(error) else 400
                    self.rejection = RequestRejected(status, f"invalid request: {error}")
        if self.rejection is None:
            self._check_size(len(data))

    def free_space(self) -> memoryview | None:
        """Return where the rest of a large body of known length belongs; `None` for other bytes.

        The socket writes into the buffer directly, and the application reads it without a copy.
        """
        return None if self._buffer is None else self._buffer[self._filled :]

    def received(self, size: int) -> None:
        """Record that `size` bytes were written into `free_space()`."""
        self._filled += size
        if self._filled == self._content_length:
            # The old parser still waits for the body.
            self._parser = httptools.HttpRequestParser(self)
            self.on_message_complete()

    def close(self) -> None:
        """Release the memory of an incomplete request, and of the parser, which refers to this."""
        self._request, self._buffer, self._body = ReceivedRequest(), None, b""
        del self._parser

    def _expect_body(self) -> None:
        """Make a new parser expect the body of a request whose head another one has parsed."""
        framing = b"Transfer-Encoding: chunked"
        if self._content_length is not None:
            framing = b"Content-Length: %d" % self._content_length
        self._parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n\r\n" % framing)
        self._skipped_body = False

    def _check_size(self, size: int) -> None:
        if not self.in_message:
            self.idle_bytes = 0 if self.completed else self.idle_bytes + size
            if self.idle_bytes > len(b"\r\n"):
                self.rejection = RequestRejected(400, "invalid request: expected a request line")
        elif not self._in_body:
            # A line that never ends reaches no callback.
            self._head_size += size
            if self._head_size > MAX_REQUEST_LINE + MAX_HEAD + STEP:
                self.rejection = _too_long_head()
        elif self._content_length is None:
            self._coded_size += size
            if self._coded_size - self.body_size > MAX_HEAD + MAX_FRAMING * self.body_size:
                message = "the body consists of too small chunks; send chunks of 64 bytes or more"
                self.rejection = RequestRejected(400, message)

    # httptools calls the following methods.

    def on_message_begin(self) -> None:
        """Start a request."""
        if self._skipped_body:
            return
        self._request, self._body = ReceivedRequest(), b""
        self.in_message, self._in_body = True, False
        self._header_count = self._header_size = self._head_size = self.idle_bytes = 0

    def on_url(self, part: bytes) -> None:
        """Add a part of the request target."""
        if self._skipped_body:
            return
        request = self._request
        request.target += part
        if len(request.target) > MAX_REQUEST_LINE:
            raise _too_long_line()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header line; ignore a trailer."""
        if self._in_body:
            return
        size = len(name) + len(value) + len(": ")
        self._header_count += 1
        self._header_size += size
        if (
            size > MAX_HEADER_LINE
            or self._header_count > MAX_HEADERS
            or self._header_size > MAX_HEAD
        ):
            raise _too_long_head()
        if b"_" in name:
            return
        name, value, headers = name.lower(), value.rstrip(), self._request.headers
        if name not in headers:
            headers[name] = value
        elif name in SINGLE_FIELDS:
            raise RequestRejected(400, f"invalid request: repeated header {name.decode()}")
        else:
            headers[name] += b"," + value

    def on_headers_complete(self) -> None:
        """Check the head, and prepare to receive the body."""
        if self._skipped_body:
            return
        request, parser = self._request, self._parser
        request.method = parser.get_method().decode()
        request.http_version = parser.get_http_version()
        # httptools keeps an HTTP/1.0 connection for `close, keep-alive`, too.
        request.keep_alive = parser.should_keep_alive() and (
            request.http_version == "1.1"
            or request.headers.get(b"connection", b"").lower() == b"keep-alive"
        )
        if len(request.method) + len(request.target) + len("  HTTP/1.1") > MAX_REQUEST_LINE:
            raise _too_long_line()
        if request.http_version not in ("1.0", "1.1") or request.method == "CONNECT":
            raise RequestRejected(400, "invalid request: expected HTTP/1.1 and no CONNECT")
        headers = request.headers
        if request.http_version == "1.1" and b"host" not in headers:
            raise RequestRejected(400, "invalid request: expected a Host header")
        coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length")
        if coding is not None and (coding.lower() != b"chunked" or request.http_version == "1.0"):
            message = "invalid request: expected no transfer coding but chunked, in HTTP/1.1"
            raise RequestRejected(400, message)
        self._in_body = True
        self._content_length = None if coding else int(length or 0)
        self._filled = self._coded_size = 0
        # httptools takes what follows a request for an upgrade for another protocol.
        self._skipped_body = parser.should_upgrade() and self._content_length != 0
        self._check_body_size(self._content_length or 0)
        if (expectation := headers.get(b"expect")) is not None:
            if expectation.lower() != b"100-continue":
                raise RequestRejected(417, "expected no expectation but 100-continue")
            self.expects_continue = request.http_version == "1.1"
        if self._content_length and self._content_length > LARGE_BODY:
            # Unlike a bytearray, numpy's memory isn't zeroed first, and may be in huge pages.
            self._buffer = np.empty(self._content_length, np.uint8).data

    def on_body(self, part: bytes) -> None:
        """Add a part of the body."""
        if self._buffer is not None:
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
        elif not self._body:
            self._body = part
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += part
            self._check_body_size(len(self._body))

    def on_message_complete(self) -> None:
        """Add the request to `completed`."""
        if self._skipped_body:
            return
        request = self._request
        if self._content_length is None:
            # httptools accepts no further request after a trailer `Connection: close`.
            request.keep_alive = request.keep_alive and self._parser.should_keep_alive()
        request.body = bytes(self._body) if self._buffer is None else self._buffer
        self._buffer, self._body = None, b""
        self.completed.append(request)
        self.in_message = self._in_body = self.expects_continue = False
        self._content_length = None

    def _check_body_size(self, size: int) -> None:
        if size > self.max_body:
            message = f"the body is larger than {self.max_body} bytes, the limit of this server"
            raise RequestRejected(413, message)


def _too_long_line() -> RequestRejected:
    return RequestRejected(414, f"expected a request line of at most {MAX_REQUEST_LINE} bytes")


def _too_long_head() -> RequestRejected:
    message = (
        f"expected at most {MAX_HEADERS} headers, each of at most {MAX_HEADER_LINE} bytes, "
        f"together of at most {MAX_HEAD}"
    )
    return RequestRejected(431, message)
