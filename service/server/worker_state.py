"""What the connections of a worker share; `worker` creates it."""

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from gunicorn.util import http_date

from streetlight.service.server.access_log import AccessLog
from streetlight.service.server.event_streams import EventStreams
from streetlight.service.server.fast_path import FastPath
from streetlight.service.server.limits import Limits
from streetlight.service.server.proxy import TrustedProxies
from streetlight.service.server.threads import Threads
from streetlight.service.web.application import Application

RECEIVE_BUFFER_SIZE = 64 * 1024


class ResponseHeads:
    """Status lines and the headers of the server, formatted once a second."""

    def __init__(self) -> None:
        self._second = 0.0
        self._date = b""
        self._heads: dict[tuple[bytes, bool], bytes] = {}

    def get(self, status: bytes, keep_alive: bool) -> bytes:
        """Return the status line and the headers, without the empty line behind them."""
        now = time.time()
        if not 0 <= now - self._second < 1:  # below 0 if the clock was set back
            self._second = float(int(now))
            self._date = http_date(now).encode()
            self._heads.clear()
        if (head := self._heads.get((status, keep_alive))) is None:
            connection = b"keep-alive" if keep_alive else b"close"
            head = b"HTTP/1.1 %s\r\nServer: gunicorn\r\nDate: %s\r\nConnection: %s\r\n" % (
                status,
                self._date,
                connection,
            )
            self._heads[status, keep_alive] = head
        return head


@dataclass
class WorkerState:
    """The shared objects of a worker.

    Attributes:
        max_body: the largest request body in bytes.
        keep_alive: seconds that a connection may be idle between two requests.
        stopping: whether the worker stops; it then keeps no connection open.
        receive_buffer: where all connections receive, but for large bodies: what is received is
            parsed at once.
    """

    loop: asyncio.AbstractEventLoop
    application: Application
    fast_path: FastPath
    threads: Threads
    event_streams: EventStreams
    limits: Limits
    proxies: TrustedProxies
    cors_origins: Collection[str]
    log: AccessLog
    max_body: int
    keep_alive: float
    stopping: bool = False
    heads: ResponseHeads = field(default_factory=ResponseHeads)
    receive_buffer: memoryview = field(
        default_factory=lambda: memoryview(bytearray(RECEIVE_BUFFER_SIZE))
    )
