"""A gunicorn worker that answers cheap requests in its main loop, without a thread or Flask.

`web.fast_path` decides which requests those are, and returns their responses. After a response, the
connection stays registered in the selector, so a client that keeps its connection costs few system
calls a request.
"""

import sys
import time
from concurrent.futures import Future
from functools import partial

from gunicorn.util import http_date
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn

from streetlight.service.server.buffering import SEND_TIMEOUT, BufferingWorker
from streetlight.service.web.response import FastPath

# Seconds. A heartbeat is a system call; gunicorn's arbiter kills a worker after 30 s without one.
HEARTBEAT_INTERVAL = 1.0

# Seconds a thread may compute while the main loop waits for the interpreter; Python's default is
# 0.005.
SWITCH_INTERVAL = 0.0005

KEEP_ALIVE, CLOSE = b"Connection: keep-alive\r\n", b"Connection: close\r\n"


class FastPathWorker(BufferingWorker):
    """`BufferingWorker`, which tries the application's fast path before it uses a thread."""

    fast_path: FastPath

    def init_process(self) -> None:
        """Set the initial state, then run the main loop."""
        self.head, self.head_expires, self.next_heartbeat = b"", 0.0, 0.0
        sys.setswitchinterval(SWITCH_INTERVAL)
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application and its fast path."""
        super().load_wsgi()
        self.fast_path = self.application.fast_path

    def notify(self) -> None:
        """Send a heartbeat to the arbiter, at most once in `HEARTBEAT_INTERVAL` seconds."""
        now = time.monotonic()
        if now >= self.next_heartbeat:
            self.next_heartbeat = now + HEARTBEAT_INTERVAL
            super().notify()

    def try_fast_path(self, conn: TConn, data: bytes) -> bool:
        """Return whether the fast path answered the request in `data`; if so, send the response."""
        if not self.alive:
            return False
        started = time.perf_counter()
        if (response := self.fast_path(data)) is None:
            return False
        message = (
            self._head()
            + (KEEP_ALIVE if response.keep_alive else CLOSE)
            + response.headers
            + response.body
        )
        try:
            sent = conn.sock.send(message)
        except BlockingIOError:
            sent = 0  # the send buffer is full: the client doesn't read its responses
        if sent < len(message):
            self._unregister(conn)
            future = self.tpool.submit(self._send_remaining, conn, message[sent:])
            future.add_done_callback(
                partial(self.method_queue.defer, self._remaining_sent, conn, response.keep_alive)
            )
        else:
            self._keep_or_close(conn, response.keep_alive)
        self.log.record(
            response.log_fields,
            method="POST",
            uri=response.uri,
            status=200,
            sent=len(response.body),
            duration_ms=(time.perf_counter() - started) * 1000,
        )
        return True

    def _head(self) -> bytes:
        """Return the status line and gunicorn's own headers; `Date` is formatted once a second."""
        now = time.time()
        if now >= self.head_expires:
            self.head_expires = int(now) + 1
            self.head = (
                b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: %s\r\n" % http_date(now).encode()
            )
        return self.head

    def _keep_or_close(self, conn: TConn, keep_alive: bool) -> None:
        if not keep_alive:
            self._linger(conn)
            return
        # Moved to the end: at the connection limit, `accept` closes the first.
        self.receiving[conn] = self.receiving.pop(conn, None)
        idle_timeout = self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER
        conn.deadline = time.monotonic() + idle_timeout
        self._poll(conn, self._receive_request)

    def _send_remaining(self, conn: TConn, data: bytes) -> None:
        conn.sock.settimeout(SEND_TIMEOUT)
        conn.sock.sendall(data)
        conn.sock.setblocking(False)

    def _remaining_sent(self, conn: TConn, keep_alive: bool, future: Future[None]) -> None:
        if future.exception():
            self._close(conn)
        else:
            self._keep_or_close(conn, keep_alive)
