"""A gunicorn worker whose threads never wait for a client to send.

gthread reads in its threads, so as many slow clients as it has threads stop it. Here its main loop
collects each request, and a thread gets it when it is whole; see `request` for when that is.
Stopping is in `draining`.
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
from streetlight.service.server.request_buffer import CHUNK, MAX_HEAD, RequestBuffer
from streetlight.service.web.application import Application
from streetlight.service.web.request import RECEIVED_BODY

# A request has so long to arrive, and a second more for so many bytes that have come; but never
# longer from now, so that who stops sending is given up.
RECEIVE_TIMEOUT = 30.0
MIN_BYTES_PER_SECOND = 16 * 1024
# Who is large must hurry where others wait for their turn.
QUEUED_TIMEOUT = 5.0
# They hold this much of the memory, and of the threads.
MAX_LARGE = 4
# How long a client may take what it is sent, and how long it may go on after its last answer.
SEND_TIMEOUT = 60.0
LINGER_TIMEOUT = 2.0


class BufferingWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """gthread, but nobody who sends slowly, or nothing, costs others more than a connection."""

    wsgi: Any

    def init_process(self) -> None:
        """Begin with nobody, and run."""
        self.max_body = load_settings().max_body_bytes
        # In the order in which they began; of them, the large that wait for their turn.
        self.receiving: dict[TConn, None] = {}
        self.queued: dict[TConn, None] = {}
        self.large: set[TConn] = set()
        # Answered for the last time, and until when they are listened to.
        self.lingering: dict[TConn, float] = {}
        self.next_timeout_check = 0.0
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, and pass it each body that is received in one buffer as such."""
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
        """Take a connection; where there are too many, it has the place of one that only waits."""
        super().accept(listener)
        if self.nr_conns < self.worker_connections or not self.alive:
            return
        if (conn := next(chain(self.lingering, self.receiving), None)) is None:
            return
        if conn in self.receiving and conn.request.size:
            error_responses.send_error(
                conn.sock, 408, "the request was slow to arrive, and others want in"
            )
        self._close(conn)

    def enqueue_req(self, conn: TConn) -> None:
        """Collect the next request of a connection, and give it to a thread when it is whole."""
        pipelined = conn.request.pipelined if hasattr(conn, "request") else b""
        conn.request, conn.polled = RequestBuffer(self.max_body), False
        conn.deadline = time.monotonic() + RECEIVE_TIMEOUT
        conn.sock.setblocking(False)
        self.receiving[conn] = None
        if pipelined:
            conn.request.feed(pipelined)
        self._receive_request(conn)

    def _receive_request(self, conn: TConn, _socket: object = None) -> None:
        if conn not in self.receiving:  # it was closed since the event
            return
        request: RequestBuffer = conn.request
        try:
            while not request.done:
                if request.large and conn not in self.large and not self._reserve_large_slot(conn):
                    return
                if request.expects:
                    request.expects = False
                    conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                if (size := self._receive(conn)) is None:
                    return
                if not size:
                    self._reject(conn, 400, "the connection ended before the request did")
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
        conn.parser = http.get_parser(self.cfg, request.take_chunks(), conn.client)
        super().enqueue_req(conn)

    def _receive(self, conn: TConn) -> int | None:
        """Take what came, and return how many bytes; or `None`, if the request is answered."""
        request: RequestBuffer = conn.request
        if request.has_free_space:
            size: int = conn.sock.recv_into(request.free_space())
            request.mark_received(size)
            return size
        data = conn.sock.recv(request.read_size)
        if data and not request.size and self.try_fast_path(conn, data):
            return None
        request.feed(data)
        # Many clients send a head and its body apart.
        split = request.single_chunk and request.size > len(data)
        if split and self.try_fast_path(conn, bytes(request.chunks[0])):
            conn.request = RequestBuffer(self.max_body)
            return None
        return len(data)

    def try_fast_path(self, _conn: TConn, _data: bytes) -> bool:
        """Answer what needs no thread, if `data` is such a request; see `quickly`."""
        return False

    def _reserve_large_slot(self, conn: TConn) -> bool:
        if len(self.large) < MAX_LARGE:
            self.large.add(conn)
            return True
        self._unpoll(conn)
        self.queued[conn] = None
        return False

    def handle_request(self, req: Request, conn: TConn) -> bool:
        """Answer a request; what is wrong with how its body came is found before it is begun."""
        conn.sock.settimeout(SEND_TIMEOUT)
        req._expected_100_continue = False
        request: RequestBuffer = conn.request
        if not request.complete:
            req.force_close()
        if request.body_buffer is not None:
            req.body, request.body_buffer = RequestBody(request.body_buffer), None
        elif request.chunked or not request.complete:
            self._unchunk(req, request)
        try:
            return bool(super().handle_request(req, conn))
        except TimeoutError as error:
            raise BrokenPipeError(errno.EPIPE, "the client doesn't read") from error
        finally:
            # Werkzeug's request and its environment hold each other, and so would they the body.
            if isinstance(req.body, RequestBody):
                req.body.clear()

    def _unchunk(self, req: Request, request: RequestBuffer) -> None:
        """Let the application see a body of known length, or only that it is too large."""
        if not request.framed:
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
        kept = [header for header in req.headers if header[0] not in framing]
        req.headers = [*kept, ("CONTENT-LENGTH", str(length))]

    def finish_request(self, conn: TConn, fs: Future[bool]) -> None:
        """Keep a connection, or take leave of it without waiting."""
        self.large.discard(conn)
        keep = not fs.cancelled() and fs.exception() is None and fs.result()
        # Bytes that the parser left belong to no request that both of us know.
        if not keep or conn.parser.unreader.take_buffered():
            self._linger(conn)
            return
        if conn.request.size > CHUNK:
            # The parser may hold the body still, and the connection be idle for long.
            conn.parser = http.get_parser(self.cfg, (), conn.client)
        if conn.request.pipelined:
            self.enqueue_req(conn)
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Let the next in turn come, give up who is too slow; gunicorn calls it after events."""
        now = time.monotonic()
        while self.queued and len(self.large) < MAX_LARGE:
            conn = next(iter(self.queued))
            del self.queued[conn]
            conn.deadline = now + RECEIVE_TIMEOUT
            self._receive_request(conn)
        if now < self.next_timeout_check:
            return
        self.next_timeout_check = now + 0.5
        for conn in [conn for conn, until in self.lingering.items() if until < now]:
            self._close(conn)
        for conn in [conn for conn in self.receiving if conn not in self.queued]:
            if not self.alive and not conn.request.size:
                conn.deadline = min(conn.deadline, now + QUEUED_TIMEOUT)
            hurry = RECEIVE_TIMEOUT - QUEUED_TIMEOUT if self.queued and conn in self.large else 0
            if conn.deadline < now + hurry:
                self._reject(conn, 408, "the request took too long to arrive")

    def handle_error(
        self,
        req: Request,
        client: socket.socket,
        _addr: tuple[str, int],
        exc: Exception,
    ) -> None:
        """Answer what never reached the application, in the shape of all errors."""
        if (status := error_responses.status_for(exc)) < 500:
            error_responses.send_error(client, status, str(exc)[:300])
        else:
            self.log.error("Error handling %.300s", getattr(req, "uri", "?"), exc_info=exc)
            error_responses.send_error(
                client, status, "something went wrong here; the log says what"
            )

    def _reject(self, conn: TConn, status: int, sentence: str) -> None:
        if not conn.request.size:
            self._close(conn)
            return
        error_responses.send_error(conn.sock, status, sentence)
        self._linger(conn)

    def _linger(self, conn: TConn) -> None:
        """Say that nothing more is sent, and let the client read that in peace."""
        self._unregister(conn)
        self.large.discard(conn)
        conn.request.chunks.clear()
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
