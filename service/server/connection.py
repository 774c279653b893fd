"""A client's connection: it receives requests, has them answered in order, and sends the responses.

A connection costs memory for one request and one response, and no thread, however slowly its client
sends or reads. `request_parser` parses the requests, `worker` has what all connections share, and
`exchange` has the application called in a thread.
"""

import asyncio
import time
from collections.abc import Sequence
from time import perf_counter
from typing import Any, cast

from streetlight.service.inference.tensors import Buffer
from streetlight.service.observability import spans
from streetlight.service.observability.trace_context import Trace
from streetlight.service.server.application_call import build_environ
from streetlight.service.server.error_responses import error_response
from streetlight.service.server.exchange import Exchange
from streetlight.service.server.request_parser import (
    ReceivedRequest,
    RequestParser,
    RequestRejected,
)
from streetlight.service.server.worker_state import WorkerState
from streetlight.service.web.event_stream import STREAM_COUNT
from streetlight.service.web.middleware.cors import cors_headers

# The deadline of a request is RECEIVE_TIMEOUT seconds after its start, and is extended by 1 s for
# each MIN_BYTES_PER_SECOND received, to at most RECEIVE_TIMEOUT seconds after the last bytes.
RECEIVE_TIMEOUT = 30.0
MIN_BYTES_PER_SECOND = 16 * 1024
# Replaces RECEIVE_TIMEOUT for a large request while others are queued.
QUEUED_TIMEOUT = 5.0
# While others are queued, a large request that has occupied its place for HELD_TIMEOUT seconds must
# arrive at this rate.
HELD_TIMEOUT = 10.0
HELD_BYTES_PER_SECOND = 256 * 1024
# A client must read what is buffered for it in SEND_TIMEOUT seconds, and 1 s more for each
# MIN_BYTES_PER_SECOND. Seconds beyond that rate count for the whole response, so that a long one,
# such as an export, isn't read more slowly.
SEND_TIMEOUT = 30.0
# Seconds that a connection stays open after its last response.
LINGER_TIMEOUT = 2.0
# Bytes of requests that wait for the response to an earlier one; then the connection isn't read.
MAX_PIPELINED = 64 * 1024

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
INCOMPLETE = "the request is incomplete: the connection ended before all of it arrived"
TOO_SLOW = "the request took too long to arrive; send at least 16 KiB per second"
DELAYS_OTHERS = "other large requests wait for this one; send at least 256 KiB per second"
TOO_MANY = (
    "the request was still incomplete when the server reached its connection limit; "
    "send the request again"
)
ALL_BUSY = "the server answers as many clients as it can; try again later"
TOO_BUSY = "the server is receiving other large requests; try again later"


class Connection(asyncio.BufferedProtocol):
    """A connection; the event loop of the worker calls all methods.

    Attributes:
        peer: the address of the client or of a proxy, empty for a Unix socket.
        exchange: the request that the application answers, if any.
        paused: whether the client reads too slowly to be sent more.
        ended: whether the client has closed the connection, or its half of it.
        queued: whether a large request waits for one of the places of the worker.
        lingering: whether the last response was sent; what the client still sends is discarded.
    """

    transport: asyncio.Transport

    def __init__(self, worker: WorkerState) -> None:
        self._worker = worker
        self.peer = ""
        self._peer_is_proxy = False
        self.exchange: Exchange | None = None
        self.paused = self.queued = self.lingering = False
        self._parser = RequestParser(worker.max_body)
        # Received behind a request that isn't answered yet.
        self._unparsed = b""
        self._reading, self.ended = True, False
        self._deadline = time.monotonic() + RECEIVE_TIMEOUT
        # Since when a large request occupies a place; 0 if it doesn't.
        self._large_since = 0.0
        self._send_deadline = 0.0
        # Seconds that the client of this response may still read more slowly than it must.
        self._patience = SEND_TIMEOUT
        self._paused_at, self._paused_with = 0.0, 0
        self._environ: dict[str, Any] = {}

    @property
    def busy(self) -> bool:
        """Whether the next request has to wait."""
        return self.paused or self.exchange is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Add the connection to those of the worker."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's isn't derived from it
        peer = transport.get_extra_info("peername")
        server = transport.get_extra_info("sockname")
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        self._peer_is_proxy = self._worker.proxies.include(self.peer)
        is_unix = not isinstance(server, tuple)
        self._environ = {
            "REMOTE_ADDR": self.peer,
            "SERVER_NAME": "localhost" if is_unix else server[0],
            "SERVER_PORT": "" if is_unix else str(server[1]),
            "wsgi.url_scheme": "https" if transport.get_extra_info("sslcontext") else "http",
        }
        self._worker.limits.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Free what the connection holds."""
        self.ended = True
        self._worker.limits.remove(self)
        self._parser.close()
        self._unparsed = b""
        if self.exchange is not None:
            self.exchange.abandon()  # releases the place of a large request when it is freed
        else:
            self._worker.limits.release_large(self)

    def get_buffer(self, _size: int) -> Buffer:
        """Return where the next bytes are received."""
        return self._body_space() or self._worker.receive_buffer

    def _body_space(self) -> memoryview | None:
        """Return where a large body is received, once all that came before it is parsed."""
        if self.busy or self._unparsed or self.lingering:
            return None
        return self._parser.free_space()

    def buffer_updated(self, size: int) -> None:
        """Parse the bytes received, and answer the requests that are complete."""
        if self.lingering:
            return
        now = time.monotonic()
        if not self._parser.in_message:
            self._deadline = now + RECEIVE_TIMEOUT
        self._deadline = min(now + RECEIVE_TIMEOUT, self._deadline + size / MIN_BYTES_PER_SECOND)
        if self._body_space() is not None:
            self._parser.received(size)
            self._serve_completed()
            return
        data = self._worker.receive_buffer[:size]
        if self.busy or self._unparsed:
            self._unparsed += data
            if len(self._unparsed) > MAX_PIPELINED:
                self._set_reading(False)
            return
        self._parse(data)

    def eof_received(self) -> bool:
        """Answer an incomplete request; return whether responses are still to be sent."""
        self.ended = True
        if self.lingering:
            return False
        if not self.busy:
            self._end_or_wait()
        # With TLS, a connection can't be half-closed.
        return self.transport.can_write_eof() and not self.transport.is_closing()

    def pause_writing(self) -> None:
        """Send no more until the client has read what is buffered."""
        self.paused = True
        self._paused_at, self._paused_with = time.monotonic(), self.unsent
        self._set_send_deadline()
        self._worker.limits.pause(self)

    def resume_writing(self) -> None:
        """Go on with the response, or with the next request."""
        self.paused = False
        allowed = (self._paused_with - self.unsent) / MIN_BYTES_PER_SECOND
        late = time.monotonic() - self._paused_at - allowed
        self._patience = min(SEND_TIMEOUT, self._patience - late)
        self._worker.limits.resume(self)
        if self.exchange is not None:
            self.exchange.resume()
        elif not self.lingering:
            self._await_request()
            self._continue()

    @property
    def unsent(self) -> int:
        """The number of bytes that are buffered for the client."""
        return self.transport.get_write_buffer_size()

    def abort(self) -> None:
        """End the connection at once, and discard what is buffered."""
        self.transport.abort()

    def write(self, parts: Sequence[Buffer]) -> None:
        """Send a part of a response; what the kernel doesn't take yet is buffered."""
        self.transport.writelines(parts)

    def response_ended(self, keep_alive: bool) -> None:
        """Go on with the next request, or end the connection."""
        self.exchange = None
        if self.transport.is_closing():
            return
        if not keep_alive:
            self._linger()
            return
        self._await_request()
        if not self.paused:
            self._continue()

    def receive_large(self) -> None:
        """Receive the large request that was queued."""
        self.queued = False
        self._deadline = time.monotonic() + RECEIVE_TIMEOUT
        self._set_reading(True)
        self._begin_body()

    def check_deadlines(self, now: float) -> None:
        """End the connection if its client is too slow."""
        if self.paused:
            if now > self._send_deadline:
                self._worker.log.warning("%s doesn't read its response; disconnected", self.peer)
                self.transport.abort()
        elif self.lingering:
            if now > (self._send_deadline if self.unsent else self._deadline):
                self.transport.abort()
            elif self.unsent:
                self._deadline = now + LINGER_TIMEOUT
        elif self.exchange is not None:
            self.exchange.check_deadline(now)
        elif self.queued:
            if now > self._deadline:
                self.reject(RequestRejected(503, TOO_BUSY))
        elif self._large_since and self._holds_up_others(now):
            self.reject(RequestRejected(408, DELAYS_OTHERS))
        elif now > self._deadline - self._reduction():
            if self._parser.in_message:
                self.reject(RequestRejected(408, TOO_SLOW))
            else:
                self._end()

    def _reduction(self) -> float:
        return RECEIVE_TIMEOUT - QUEUED_TIMEOUT if self._worker.limits.delays_others(self) else 0.0

    def _holds_up_others(self, now: float) -> bool:
        allowed = HELD_TIMEOUT + self._parser.body_size / HELD_BYTES_PER_SECOND
        return now > self._large_since + allowed and self._worker.limits.delays_others(self)

    def evict(self) -> None:
        """End a connection that isn't busy; answer an incomplete request with 408."""
        if self._parser.in_message and not self.lingering:
            self._send_error(RequestRejected(408, TOO_MANY), self._parser.headers)
        self._end()

    def refuse(self) -> None:
        """Answer a new connection with 503, since all others are busy."""
        self._send_error(RequestRejected(503, ALL_BUSY), {})
        self._end()

    def reject(
        self,
        rejection: RequestRejected,
        headers: dict[bytes, bytes] | None = None,
        trace: Trace | None = None,
    ) -> None:
        """Send an error, and end the connection.

        Args:
            rejection: the error.
            headers: those of the request; by default, those of the request being received.
            trace: the trace of the request, if it has begun.
        """
        self.exchange = None
        self._send_error(rejection, self._parser.headers if headers is None else headers, trace)
        self._linger()

    def _send_error(
        self, rejection: RequestRejected, headers: dict[bytes, bytes], trace: Trace | None = None
    ) -> None:
        origin = headers[b"origin"].decode("latin-1") if b"origin" in headers else None
        forwarded = self._forwarded(headers)
        response = error_response(
            rejection.status,
            str(rejection),
            forwarded.get("REMOTE_ADDR", self.peer),
            trace or self._begin_trace("", headers, forwarded),
            cors_headers(self._worker.cors_origins, origin),
        )
        self.transport.write(response)

    def stop(self) -> None:
        """End the connection soon, since the worker stops: after its response, or when idle."""
        if not (self.busy or self._parser.in_message):
            self._deadline = min(self._deadline, time.monotonic() + LINGER_TIMEOUT)

    def _parse(self, data: Buffer) -> None:
        parser = self._parser
        while data and not (self.busy or self.lingering):
            size = parser.step
            parser.feed(data[:size])
            data = data[size:]
            if parser.completed or parser.rejection:
                self._serve_completed()
        if self.lingering:
            return
        self._unparsed = bytes(data)
        self._begin_body()

    def _begin_body(self) -> None:
        """Let the client send a body, when all requests before it are answered."""
        parser = self._parser
        if not parser.in_message or self.lingering or self.queued:
            return
        if self.busy:
            if parser.large:
                self._set_reading(False)
        elif parser.large and not self._worker.limits.reserve_large(self):
            self.queued = True
            self._set_reading(False)
        else:
            if parser.large and not self._large_since:
                self._large_since = time.monotonic()
            if parser.expects_continue:
                parser.expects_continue = False
                self.transport.write(CONTINUE)

    def _serve_completed(self) -> None:
        parser = self._parser
        while parser.completed and not (self.busy or self.lingering):
            self._serve(parser.completed.popleft())
        if parser.rejection and not (parser.completed or self.busy or self.lingering):
            self.reject(parser.rejection)

    def _serve(self, request: ReceivedRequest) -> None:
        started = perf_counter()
        worker = self._worker
        forwarded = self._forwarded(request.headers)
        trace = self._begin_trace(request.method, request.headers, forwarded)
        try:
            response = worker.fast_path(request)
            if response is None:
                variables = {STREAM_COUNT: len(worker.event_streams)}
                environ = build_environ(request, self._environ | variables, forwarded)
                self.exchange = Exchange(worker, self, request, environ, started, trace=trace)
                return
        except RequestRejected as rejection:
            self.reject(rejection, request.headers, trace)
            return
        keep_alive = request.keep_alive and not worker.stopping
        self.transport.write(
            worker.heads.get(b"200 OK", keep_alive) + response.headers + response.body
        )
        if keep_alive:
            self._await_request()
        else:
            self._linger()
        worker.log.record(
            response.log_fields,
            client=forwarded.get("REMOTE_ADDR", self.peer),
            method=request.method,
            uri=request.target,
            status=200,
            sent=len(response.body),
            duration_ms=(perf_counter() - started) * 1000,
            trace=trace,
        )

    def _forwarded(self, headers: dict[bytes, bytes]) -> dict[str, str]:
        """Return the variables that a trusted proxy sets for a request with `headers`."""
        return self._worker.proxies.variables(headers, self.peer) if self._peer_is_proxy else {}

    def _begin_trace(
        self, method: str, headers: dict[bytes, bytes], forwarded: dict[str, str]
    ) -> Trace | None:
        """Return the trace of a request; its method is empty if it isn't known."""
        header = headers.get(b"traceparent")
        if header is None and not spans.is_on():
            return None
        scheme = (self._environ | forwarded)["wsgi.url_scheme"]
        return spans.begin_request(method, header, scheme)

    def _continue(self) -> None:
        self._serve_completed()
        if self._unparsed and not (self.busy or self.lingering):
            data, self._unparsed = self._unparsed, b""
            self._parse(data)
        self._begin_body()
        if self.busy or self.lingering or self.queued:
            return
        self._set_reading(True)
        if self.ended:
            self._end_or_wait()

    def _end_or_wait(self) -> None:
        """End the connection, which the client has half-closed, unless a response is being sent."""
        if self._parser.in_message or self._parser.idle_bytes:
            self.reject(RequestRejected(400, INCOMPLETE))
        else:
            self._end()

    def _await_request(self) -> None:
        timeout = LINGER_TIMEOUT if self._worker.stopping else self._worker.keep_alive
        if self._parser.in_message:
            timeout = RECEIVE_TIMEOUT
        self._deadline = time.monotonic() + timeout
        self._patience = SEND_TIMEOUT
        self._large_since = 0.0
        self._worker.limits.touch(self)

    def _linger(self) -> None:
        """Shut down writing, and discard what the client sends for up to `LINGER_TIMEOUT` seconds.

        If the socket were closed with unread input, the kernel would reset the connection, and the
        client might lose the response.
        """
        if self.ended or not self.transport.can_write_eof():
            self._end()
        else:
            self._leave()
            self.transport.write_eof()
            self._set_reading(True)

    def _end(self) -> None:
        """Close the connection when what is buffered for the client is sent."""
        self._leave()
        self.transport.close()

    def _leave(self) -> None:
        self.lingering = True
        self._worker.limits.release_large(self)
        self._unparsed = b""
        self._deadline = time.monotonic() + LINGER_TIMEOUT
        self._set_send_deadline()

    def _set_send_deadline(self) -> None:
        seconds = self._patience + self.unsent / MIN_BYTES_PER_SECOND
        self._send_deadline = time.monotonic() + seconds

    def _set_reading(self, reading: bool) -> None:
        if reading != self._reading:
            self._reading = reading
            if reading:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()
