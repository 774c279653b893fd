"""A gunicorn worker that receives each request in its main loop, and only then uses a thread.

gthread receives requests in its threads, so as many slow clients as there are threads stop a
worker. Here the main loop receives each request with non-blocking reads, and passes it to a thread
when it is complete; `request_buffer` detects that. `worker` adds the shutdown.

A connection is in one of these states:

- receiving: a request is received, or awaited on a new connection;
- queued: receiving, but paused until one of the `MAX_LARGE` slots for large requests is free;
- in a thread, which calls the application and sends the response;
- kept alive: idle between two requests, watched by gthread, or by `fast_worker` as receiving;
- lingering: half-closed after the last response, until the client closes it.
"""

import errno
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from itertools import chain
from selectors import EVENT_READ
from typing import Any

from gunicorn import http
from gunicorn.http import Request, errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from streetlight.service.config import load_settings
from streetlight.service.server import error_responses
from streetlight.service.server.request_body import RequestBody
from streetlight.service.server.request_buffer import MAX_HEAD, SEGMENT_SIZE, RequestBuffer
from streetlight.service.web.application import Application
from streetlight.service.web.request import RECEIVED_BODY

# The deadline of a request is RECEIVE_TIMEOUT seconds after its start, and is extended by 1 s for
# each MIN_BYTES_PER_SECOND received, to at most RECEIVE_TIMEOUT seconds after the last bytes.
RECEIVE_TIMEOUT = 30.0
MIN_BYTES_PER_SECOND = 16 * 1024
# Replaces RECEIVE_TIMEOUT for a large request while others are queued, and for an idle connection
# of a stopping worker.
QUEUED_TIMEOUT = 5.0
# Large requests received or handled at the same time; bounds the memory and the threads they use.
MAX_LARGE = 4
# Seconds that one send may block, and seconds that a half-closed connection stays open.
SEND_TIMEOUT = 60.0
LINGER_TIMEOUT = 2.0
TIMEOUT_CHECK_INTERVAL = 0.5


class BufferingWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """gthread, in which a slow or idle client occupies a connection, but no thread."""

    wsgi: Any

    def init_process(self) -> None:
        """Set the initial state, then run the main loop."""
        self.max_body = load_settings().max_body_bytes
        # In the order in which the requests began; `queued` is a subset of `receiving`.
        self.receiving: dict[TConn, None] = {}
        self.queued: dict[TConn, None] = {}
        # The connections that occupy a slot for large requests.
        self.large: set[TConn] = set()
        # The half-closed connections, and when each is closed.
        self.lingering: dict[TConn, float] = {}
        self.next_timeout_check = 0.0
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application; pass it each received body in the environment as well."""
        super().load_wsgi()
        self.application: Application = self.wsgi

        def with_body(environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401 - WSGI
            if isinstance(body := environ["wsgi.input"], RequestBody):
                environ[RECEIVED_BODY] = body.data
            try:
                return self.application(environ, start_response)
            finally:
                # The environment outlives the request, and would keep the body in memory.
                environ.pop(RECEIVED_BODY, None)

        self.wsgi = with_body

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection; at the connection limit, close the oldest that only waits."""
        super().accept(listener)
        if self.nr_conns < self.worker_connections or not self.alive:
            return
        if (conn := next(chain(self.lingering, self.receiving), None)) is None:
            return
        if conn in self.receiving and conn.request.size:
            error_responses.send_error(
                conn.sock,
                408,
                "the request was still incomplete when the server reached its connection limit; "
                "send the request again",
            )
        self._close(conn)

    def enqueue_req(self, conn: TConn) -> None:
        """Start to receive the next request of a connection."""
        pipelined = conn.request.pipelined if hasattr(conn, "request") else b""
        conn.request, conn.polled = RequestBuffer(self.max_body), False
        conn.deadline = time.monotonic() + RECEIVE_TIMEOUT
        conn.sock.setblocking(False)
        self.receiving[conn] = None
        if pipelined:
            conn.request.feed(pipelined)
        self._receive_request(conn)

    def _receive_request(self, conn: TConn, _socket: object = None) -> None:
        """Receive what is available; submit the request to the thread pool when it is done."""
        if conn not in self.receiving:  # an earlier event of the same batch closed it
            return
        request: RequestBuffer = conn.request
        try:
            while not request.done:
                if request.large and conn not in self.large and not self._reserve_large_slot(conn):
                    return
                if request.expects_continue:
                    request.expects_continue = False
                    conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                if (size := self._receive(conn)) is None:
                    return
                if not size:
                    self._reject(
                        conn,
                        400,
                        "the request is incomplete: the connection ended before all of it arrived",
                    )
                    return
                now = time.monotonic()
                conn.deadline = min(
                    now + RECEIVE_TIMEOUT, conn.deadline + size / MIN_BYTES_PER_SECOND
                )
        except BlockingIOError:
            self._poll(conn, self._receive_request)
            return
        except OSError:
            self._close(conn)
            return
        self._unregister(conn)
        conn.data_ready = True
        conn.parser = http.get_parser(self.cfg, request.take_segments(), conn.client)
        super().enqueue_req(conn)

    def _receive(self, conn: TConn) -> int | None:
        """Return the number of bytes received, or `None` if the fast path sent a response."""
        request: RequestBuffer = conn.request
        if request.uses_body_buffer:
            size: int = conn.sock.recv_into(request.free_space())
            request.mark_received(size)
            return size
        data = conn.sock.recv(request.read_size)
        if data and not request.size and self.try_fast_path(conn, data):
            return None
        request.feed(data)
        # Many clients send the head and the body in two packets.
        split = request.single_segment and request.size > len(data)
        if split and self.try_fast_path(conn, bytes(request.segments[0])):
            conn.request = RequestBuffer(self.max_body)
            return None
        return len(data)

    def try_fast_path(self, _conn: TConn, _data: bytes) -> bool:
        """Return whether the request in `data` was answered without a thread; see `fast_worker`."""
        return False

    def _reserve_large_slot(self, conn: TConn) -> bool:
        if len(self.large) < MAX_LARGE:
            self.large.add(conn)
            return True
        self._unpoll(conn)
        self.queued[conn] = None
        return False

    def handle_request(self, req: Request, conn: TConn) -> bool:
        """Call the application with a received request, in a thread; return whether to keep alive.

        A body that can't be decoded raises an error before the application is called.
        """
        conn.sock.settimeout(SEND_TIMEOUT)
        # The main loop has sent `100 Continue` already.
        req._expected_100_continue = False
        request: RequestBuffer = conn.request
        if not request.complete:
            req.force_close()
        if request.body_buffer is not None:
            req.body, request.body_buffer = RequestBody(request.body_buffer), None
        elif request.chunked or not request.complete:
            self._replace_framing(req, request)
        try:
            return bool(super().handle_request(req, conn))
        except TimeoutError as error:
            # gthread logs a broken pipe at the level debug, any other error with a traceback.
            raise BrokenPipeError(errno.EPIPE, "the client doesn't read the response") from error
        finally:
            # Werkzeug's request and the environment refer to each other; until the garbage
            # collector runs, they would keep the body in memory.
            if isinstance(req.body, RequestBody):
                req.body.clear()

    def _replace_framing(self, req: Request, request: RequestBuffer) -> None:
        """Give the application a decoded body with a `Content-Length`.

        A body above the limit is replaced by its announced length alone, which the application
        answers with 413.
        """
        if not request.head_parsed:
            raise errors.LimitRequestHeaders(f"expected headers of at most {MAX_HEAD} bytes")
        length = request.body_size
        body = b""
        if length <= self.max_body:
            try:
                body = req.body.read()
            except errors.NoMoreData:
                raise error_responses.UnsupportedCodingError from None
            if not request.complete:
                raise error_responses.UnsupportedCodingError
            length = len(body)
        req.body = RequestBody(body)
        framing = ("TRANSFER-ENCODING", "CONTENT-LENGTH")
        other_headers = [header for header in req.headers if header[0] not in framing]
        req.headers = [*other_headers, ("CONTENT-LENGTH", str(length))]

    def finish_request(self, conn: TConn, fs: Future[bool]) -> None:
        """Keep the connection for its next request, or half-close it; called in the main loop."""
        self.large.discard(conn)
        keep_alive = not fs.cancelled() and fs.exception() is None and fs.result()
        # Unparsed bytes: the parser and the buffer disagree about where the request ends.
        if not keep_alive or conn.parser.unreader.take_buffered():
            self._linger(conn)
            return
        if conn.request.size > SEGMENT_SIZE:
            # The old parser may still hold the body, and the connection may be idle for long.
            conn.parser = http.get_parser(self.cfg, (), conn.client)
        if conn.request.pipelined:
            self.enqueue_req(conn)
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Resume queued requests and close connections that timed out.

        gunicorn calls this after each round of events.
        """
        now = time.monotonic()
        while self.queued and len(self.large) < MAX_LARGE:
            conn = next(iter(self.queued))
            del self.queued[conn]
            conn.deadline = now + RECEIVE_TIMEOUT
            self._receive_request(conn)
        if now < self.next_timeout_check:
            return
        self.next_timeout_check = now + TIMEOUT_CHECK_INTERVAL
        for conn in [conn for conn, deadline in self.lingering.items() if deadline < now]:
            self._close(conn)
        for conn in [conn for conn in self.receiving if conn not in self.queued]:
            if not self.alive and not conn.request.size:
                conn.deadline = min(conn.deadline, now + QUEUED_TIMEOUT)
            delays_others = self.queued and conn in self.large
            reduction = RECEIVE_TIMEOUT - QUEUED_TIMEOUT if delays_others else 0
            if conn.deadline < now + reduction:
                self._reject(
                    conn,
                    408,
                    "the request took too long to arrive; send at least 16 KiB per second",
                )

    def handle_error(
        self,
        req: Request,
        client: socket.socket,
        _addr: tuple[str, int],
        exc: Exception,
    ) -> None:
        """Send an error response for a request that didn't reach the application."""
        if (status := error_responses.status_for(exc)) < 500:
            error_responses.send_error(client, status, str(exc)[:300])
        else:
            self.log.error("Error handling %.300s", getattr(req, "uri", "?"), exc_info=exc)
            error_responses.send_error(client, status, error_responses.INTERNAL_ERROR)

    def _reject(self, conn: TConn, status: int, message: str) -> None:
        """Send an error and half-close; close at once if no byte of a request was received."""
        if not conn.request.size:
            self._close(conn)
            return
        error_responses.send_error(conn.sock, status, message)
        self._linger(conn)

    def _linger(self, conn: TConn) -> None:
        """Shut down writing, and discard what the client sends for up to `LINGER_TIMEOUT` seconds.

        If the socket were closed with unread input, the kernel would reset the connection, and the
        client might lose the response.
        """
        self._unregister(conn)
        self.large.discard(conn)
        conn.request.segments.clear()
        conn.request.body_buffer = None
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        self.lingering[conn] = time.monotonic() + LINGER_TIMEOUT
        self._poll(conn, self._discard_input)

    def _discard_input(self, conn: TConn, _socket: object) -> None:
        if conn not in self.lingering:
            return
        try:
            if conn.sock.recv(64 * 1024):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close(conn)

    def _poll(self, conn: TConn, callback: Callable[..., None]) -> None:
        if not conn.polled:
            self.poller.register(conn.sock, EVENT_READ, partial(callback, conn))
            conn.polled = True

    def _unpoll(self, conn: TConn) -> None:
        if conn.polled:
            self.poller.unregister(conn.sock)
            conn.polled = False

    def _unregister(self, conn: TConn) -> None:
        self.receiving.pop(conn, None)
        self.queued.pop(conn, None)
        self.lingering.pop(conn, None)
        self._unpoll(conn)

    def _close(self, conn: TConn) -> None:
        self._unregister(conn)
        self.large.discard(conn)
        self.nr_conns -= 1
        conn.close()
