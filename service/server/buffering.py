"""A gunicorn worker whose threads never wait for a client to send.

gthread reads in its threads, so as many slow clients as it has threads stop it. Here its main loop
collects each request, and a thread gets it when it is whole; see `arrival` for when that is.
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

from gunicorn import http
from gunicorn.http import Request, errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from streetlight.service.config import load_settings
from streetlight.service.inference.request_body import Body
from streetlight.service.server import error_responses
from streetlight.service.server.request_buffer import MOST_HEAD, PIECE, Arrival

# A request has so long to arrive, and a second more for so many bytes that have come; but never
# longer from now, so that who stops sending is given up.
PATIENCE = 30.0
PACE = 16 * 1024
# Who is large must hurry where others wait for their turn.
HURRY = 5.0
# They hold this much of the memory, and of the threads.
MOST_LARGE = 4
# How long a client may take what it is sent, and how long it may go on after its last answer.
SEND_SECONDS = 60.0
LEAVE_SECONDS = 2.0


class CollectingWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """gthread, but nobody who sends slowly, or nothing, costs others more than a connection."""

    def init_process(self) -> None:
        """Begin with nobody, and run."""
        self.most_body = load_settings().max_body_bytes
        # In the order in which they began; of them, the large that wait for their turn.
        self.arriving: dict[TConn, None] = {}
        self.waiting: dict[TConn, None] = {}
        self.large: set[TConn] = set()
        # Answered for the last time, and until when they are listened to.
        self.leaving: dict[TConn, float] = {}
        self.next_look = 0.0
        super().init_process()

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; where there are too many, it has the place of one that only waits."""
        super().accept(listener)
        if self.nr_conns < self.worker_connections or not self.alive:
            return
        if (conn := next(chain(self.leaving, self.arriving), None)) is None:
            return
        if conn in self.arriving and conn.arrival.size:
            error_responses.tell(
                conn.sock, 408, "the request was slow to arrive, and others want in"
            )
        self._close(conn)

    def enqueue_req(self, conn: TConn) -> None:
        """Collect the next request of a connection, and give it to a thread when it is whole."""
        rest = conn.arrival.rest if hasattr(conn, "arrival") else b""
        conn.arrival, conn.polled = Arrival(self.most_body), False
        conn.deadline = time.monotonic() + PATIENCE
        conn.sock.setblocking(False)
        self.arriving[conn] = None
        if rest:
            conn.arrival.feed(rest)
        self._collect(conn)

    def _collect(self, conn: TConn, _socket: object = None) -> None:
        if conn not in self.arriving:  # it was closed since the event
            return
        arrival: Arrival = conn.arrival
        try:
            while not arrival.over:
                if arrival.large and conn not in self.large and not self._has_turn(conn):
                    return
                if arrival.expects:
                    arrival.expects = False
                    conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                if (size := self._receive(conn)) is None:
                    return
                if not size:
                    self._refuse(conn, 400, "the connection ended before the request did")
                    return
                now = time.monotonic()
                conn.deadline = min(now + PATIENCE, conn.deadline + size / PACE)
        except BlockingIOError:
            self._poll(conn, self._collect)
            return
        except OSError:
            self._close(conn)
            return
        self._forget(conn)
        conn.data_ready = True
        conn.parser = http.get_parser(self.cfg, arrival.taken(), conn.client)
        super().enqueue_req(conn)

    def _receive(self, conn: TConn) -> int | None:
        """Take what came, and return how many bytes; or `None`, if the request is answered."""
        arrival: Arrival = conn.arrival
        if arrival.has_room:
            size: int = conn.sock.recv_into(arrival.room())
            arrival.fill(size)
            return size
        data = conn.sock.recv(arrival.wanted)
        if data and not arrival.size and self.answer_at_once(conn, data):
            return None
        arrival.feed(data)
        # Many clients send a head and its body apart.
        apart = arrival.small and arrival.size > len(data)
        if apart and self.answer_at_once(conn, bytes(arrival.pieces[0])):
            conn.arrival = Arrival(self.most_body)
            return None
        return len(data)

    def answer_at_once(self, _conn: TConn, _data: bytes) -> bool:
        """Answer what needs no thread, if `data` is such a request; see `quickly`."""
        return False

    def _has_turn(self, conn: TConn) -> bool:
        if len(self.large) < MOST_LARGE:
            self.large.add(conn)
            return True
        self._unpoll(conn)
        self.waiting[conn] = None
        return False

    def handle_request(self, req: Request, conn: TConn) -> bool:
        """Answer a request; what is wrong with how its body came is found before it is begun."""
        conn.sock.settimeout(SEND_SECONDS)
        req._expected_100_continue = False
        arrival: Arrival = conn.arrival
        if not arrival.whole:
            req.force_close()
        if arrival.lump is not None:
            req.body, arrival.lump = Body(arrival.lump), None
        elif arrival.chunked or not arrival.whole:
            self._unchunk(req, arrival)
        try:
            return bool(super().handle_request(req, conn))
        except TimeoutError as error:
            raise BrokenPipeError(errno.EPIPE, "the client doesn't read") from error
        finally:
            # Werkzeug's request and its environment hold each other, and so would they the body.
            if isinstance(req.body, Body):
                req.body.forget()

    def _unchunk(self, req: Request, arrival: Arrival) -> None:
        """Let the application see a body of known length, or only that it is too large."""
        if not arrival.framed:
            raise errors.LimitRequestHeaders(f"expected headers of at most {MOST_HEAD} bytes")
        length = arrival.body
        body = b""
        if length <= self.most_body:
            try:
                body = req.body.read()
            except errors.NoMoreData:
                raise error_responses.UnfitCodingError from None
            if not arrival.whole:
                raise error_responses.UnfitCodingError
            length = len(body)
        req.body = Body(body)
        framing = ("TRANSFER-ENCODING", "CONTENT-LENGTH")
        kept = [header for header in req.headers if header[0] not in framing]
        req.headers = [*kept, ("CONTENT-LENGTH", str(length))]

    def finish_request(self, conn: TConn, fs: Future[bool]) -> None:
        """Keep a connection, or take leave of it without waiting."""
        self.large.discard(conn)
        keep = not fs.cancelled() and fs.exception() is None and fs.result()
        # Bytes that the parser left belong to no request that both of us know.
        if not keep or conn.parser.unreader.take_buffered():
            self._leave(conn)
            return
        if conn.arrival.size > PIECE:
            # The parser may hold the body still, and the connection be idle for long.
            conn.parser = http.get_parser(self.cfg, (), conn.client)
        if conn.arrival.rest:
            self.enqueue_req(conn)
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Let the next in turn come, give up who is too slow; gunicorn calls it after events."""
        now = time.monotonic()
        while self.waiting and len(self.large) < MOST_LARGE:
            conn = next(iter(self.waiting))
            del self.waiting[conn]
            conn.deadline = now + PATIENCE
            self._collect(conn)
        if now < self.next_look:
            return
        self.next_look = now + 0.5
        for conn in [conn for conn, until in self.leaving.items() if until < now]:
            self._close(conn)
        for conn in [conn for conn in self.arriving if conn not in self.waiting]:
            if not self.alive and not conn.arrival.size:
                conn.deadline = min(conn.deadline, now + HURRY)
            hurry = PATIENCE - HURRY if self.waiting and conn in self.large else 0
            if conn.deadline < now + hurry:
                self._refuse(conn, 408, "the request took too long to arrive")

    def handle_error(
        self,
        req: Request,
        client: socket.socket,
        _addr: tuple[str, int],
        exc: Exception,
    ) -> None:
        """Answer what never reached the application, in the shape of all errors."""
        if (status := error_responses.status(exc)) < 500:
            error_responses.tell(client, status, str(exc)[:300])
        else:
            self.log.error("Error handling %.300s", getattr(req, "uri", "?"), exc_info=exc)
            error_responses.tell(client, status, "something went wrong here; the log says what")

    def _refuse(self, conn: TConn, status: int, sentence: str) -> None:
        if not conn.arrival.size:
            self._close(conn)
            return
        error_responses.tell(conn.sock, status, sentence)
        self._leave(conn)

    def _leave(self, conn: TConn) -> None:
        """Say that nothing more is sent, and let the client read that in peace."""
        self._forget(conn)
        self.large.discard(conn)
        conn.arrival.pieces.clear()
        conn.arrival.lump = None
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        self.leaving[conn] = time.monotonic() + LEAVE_SECONDS
        self._poll(conn, self._ignore)

    def _ignore(self, conn: TConn, _socket: object) -> None:
        if conn not in self.leaving:
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

    def _forget(self, conn: TConn) -> None:
        self.arriving.pop(conn, None)
        self.waiting.pop(conn, None)
        self.leaving.pop(conn, None)
        self._unpoll(conn)

    def _close(self, conn: TConn) -> None:
        self._forget(conn)
        self.large.discard(conn)
        self.nr_conns -= 1
        conn.close()
