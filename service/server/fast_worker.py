"""A gunicorn worker that answers in its main loop what takes no longer than giving it to a thread.

What that is, the application says; see `web.fast_path`. A connection on which it was done goes on
 waiting as if nothing had come yet, so that a client that keeps it costs three system calls a
request.
"""

import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn.util import http_date
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn

from streetlight.service.server.buffering import SEND_SECONDS, CollectingWorker

# How often the parent is shown a sign of life, which is a system call; it waits for 30 s.
SIGN_SECONDS = 1.0

# How long a thread may compute while the main loop wants to go on; Python's own is 5 ms.
TURN_SECONDS = 0.0005

KEEP, CLOSE = b"Connection: keep-alive\r\n", b"Connection: close\r\n"


class QuickWorker(CollectingWorker):
    """The collecting worker, which asks the application for quick answers."""

    quick: Callable[[bytes], Any] | None = None

    def init_process(self) -> None:
        """Begin with no head of an answer."""
        self.head, self.head_until, self.next_sign = b"", 0.0, 0.0
        sys.setswitchinterval(TURN_SECONDS)
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, and its quick door if it has one."""
        super().load_wsgi()
        self.quick = getattr(self.wsgi, "extensions", {}).get("quick")

    def notify(self) -> None:
        """Show a sign of life, but not with each event."""
        now = time.monotonic()
        if now >= self.next_sign:
            self.next_sign = now + SIGN_SECONDS
            super().notify()

    def answer_at_once(self, conn: TConn, data: bytes) -> bool:
        """Answer a request that is whole and plain; tell whether it was."""
        if not (self.quick and self.alive):
            return False
        began = time.perf_counter()
        if (told := self.quick(data)) is None:
            return False
        answer = self._head() + (KEEP if told.keep else CLOSE) + told.headers + told.body
        try:
            gone = conn.sock.send(answer)
        except BlockingIOError:
            gone = 0  # it has had many answers and read none
        if gone < len(answer):
            self._forget(conn)
            future = self.tpool.submit(self._send, conn, answer[gone:])
            future.add_done_callback(partial(self.method_queue.defer, self._sent, conn, told.keep))
        else:
            self._go_on(conn, told.keep)
        took = (time.perf_counter() - began) * 1000
        self.log.record(
            told.known,
            method="POST",
            uri=told.uri,
            status=200,
            sent=len(told.body),
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

    def _go_on(self, conn: TConn, keep: bool) -> None:
        if not keep:
            self._leave(conn)
            return
        # To the end of the line: who is first in it leaves first where there are too many.
        self.arriving[conn] = self.arriving.pop(conn, None)
        linger = self.cfg.keepalive if self.alive else STOP_KEEPALIVE_LINGER
        conn.deadline = time.monotonic() + linger
        self._poll(conn, self._collect)

    def _send(self, conn: TConn, rest: bytes) -> None:
        conn.sock.settimeout(SEND_SECONDS)
        conn.sock.sendall(rest)
        conn.sock.setblocking(False)

    def _sent(self, conn: TConn, keep: bool, future: Future[None]) -> None:
        if future.exception():
            self._close(conn)
        else:
            self._go_on(conn, keep)
