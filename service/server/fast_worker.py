"""A gunicorn worker that answers in its main loop what takes no longer than giving it to a thread.

What that is, the application says; see `web.fast_path`. A connection on which it was done goes on
 waiting as if nothing had come yet, so that a client that keeps it costs three system calls a
request.
"""

import sys
import time
from concurrent.futures import Future
from functools import partial

from gunicorn.util import http_date
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn

from streetlight.service.server.buffering import SEND_TIMEOUT, BufferingWorker
from streetlight.service.web.response import FastPath

# How often the parent is shown a sign of life, which is a system call; it waits for 30 s.
HEARTBEAT_INTERVAL = 1.0

# How long a thread may compute while the main loop wants to go on; Python's own is 5 ms.
SWITCH_INTERVAL = 0.0005

KEEP, CLOSE = b"Connection: keep-alive\r\n", b"Connection: close\r\n"


class FastPathWorker(BufferingWorker):
    """The collecting worker, which asks the application for quick answers."""

    fast_path: FastPath

    def init_process(self) -> None:
        """Begin with no head of an answer."""
        self.head, self.head_until, self.next_heartbeat = b"", 0.0, 0.0
        sys.setswitchinterval(SWITCH_INTERVAL)
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application and its fast path."""
        super().load_wsgi()
        self.fast_path = self.application.fast_path

    def notify(self) -> None:
        """Show a sign of life, but not with each event."""
        now = time.monotonic()
        if now >= self.next_heartbeat:
            self.next_heartbeat = now + HEARTBEAT_INTERVAL
            super().notify()

    def try_fast_path(self, conn: TConn, data: bytes) -> bool:
        """Answer a request that is whole and plain; tell whether it was."""
        if not self.alive:
            return False
        started = time.perf_counter()
        if (response := self.fast_path(data)) is None:
            return False
        answer = (
            self._head()
            + (KEEP if response.keep_alive else CLOSE)
            + response.headers
            + response.body
        )
        try:
            sent_bytes = conn.sock.send(answer)
        except BlockingIOError:
            sent_bytes = 0  # it has had many answers and read none
        if sent_bytes < len(answer):
            self._unregister(conn)
            future = self.tpool.submit(self._send_rest, conn, answer[sent_bytes:])
            future.add_done_callback(
                partial(self.method_queue.defer, self._rest_sent, conn, response.keep_alive)
            )
        else:
            self._keep_or_close(conn, response.keep_alive)
        took = (time.perf_counter() - started) * 1000
        self.log.record(
            response.log_fields,
            method="POST",
            uri=response.uri,
            status=200,
            sent=len(response.body),
            took=took,
        )
        return True

    def _head(self) -> bytes:
        """What gunicorn says first, with a date that is made once a second."""
        now = time.time()
        if now >= self.head_until:
            self.head_until = int(now) + 1
            self.head = (
                b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: %s\r\n" % http_date(now).encode()
            )
        return self.head

    def _keep_or_close(self, conn: TConn, keep: bool) -> None:
        if not keep:
            self._linger(conn)
            return
        # To the end of the line: who is first in it leaves first where there are too many.
        self.receiving[conn] = self.receiving.pop(conn, None)
        linger = self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER
        conn.deadline = time.monotonic() + linger
        self._poll(conn, self._receive_request)

    def _send_rest(self, conn: TConn, pipelined: bytes) -> None:
        conn.sock.settimeout(SEND_TIMEOUT)
        conn.sock.sendall(pipelined)
        conn.sock.setblocking(False)

    def _rest_sent(self, conn: TConn, keep: bool, future: Future[None]) -> None:
        if future.exception():
            self._close(conn)
        else:
            self._keep_or_close(conn, keep)
