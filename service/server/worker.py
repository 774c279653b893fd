"""The gunicorn worker: an event loop that receives requests and sends responses.

gunicorn starts and stops the worker, and opens its sockets. `connection` has what belongs to one
client, `threads` the threads that run the application.
"""

import asyncio
import ctypes
import gc
import os
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import uvloop
from gunicorn.sock import ssl_context
from gunicorn.workers.base import Worker

from streetlight.service.observability import spans
from streetlight.service.server.connection import Connection
from streetlight.service.server.event_streams import EventStreams
from streetlight.service.server.fast_path import FastPath
from streetlight.service.server.limits import Limits
from streetlight.service.server.proxy import TrustedProxies
from streetlight.service.server.threads import Threads
from streetlight.service.server.worker_state import WorkerState
from streetlight.service.web.application import Application
from streetlight.service.wiring import initialize_later

# Seconds between two checks of the deadlines, each with a heartbeat to gunicorn's arbiter.
CHECK_INTERVAL = 0.5
STOP_INTERVAL = 0.02
# Bytes of a connection that the kernel buffers before it sends them.
MAX_UNSENT_KERNEL = 64 * 1024
# Seconds. Until the handshake is done, a connection isn't counted in any limit. The end of one has
# the deadlines of `connection`.
TLS_TIMEOUTS: dict[str, Any] = {"ssl_handshake_timeout": 10.0, "ssl_shutdown_timeout": 3600.0}
# The option of glibc's mallopt, in malloc.h.
M_MMAP_THRESHOLD = -3
# Seconds a thread may compute while the event loop waits for the interpreter; Python's default is
# 0.005.
SWITCH_INTERVAL = 0.0005


class EventLoopWorker(Worker):  # type: ignore[misc] # gunicorn has no types
    """The `worker_class` of gunicorn."""

    alive: bool
    sockets: list[socket.socket]
    state: WorkerState

    def init_process(self) -> None:
        """Create the event loop, then run it."""
        self.loop = uvloop.new_event_loop()
        # Set when `_wait` has to end early.
        self._wake = asyncio.Event()
        sys.setswitchinterval(SWITCH_INTERVAL)
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, and create what the connections share."""
        super().load_wsgi()
        application: Application = self.wsgi
        services, threads = application.services, Threads(self.loop)
        if not services.ledger_ready.is_set():
            initialize_later(services)
        self.state = WorkerState(
            loop=self.loop,
            application=application,
            fast_path=FastPath(services),
            threads=threads,
            event_streams=EventStreams(self.loop, threads, services.engine, services.repository),
            limits=Limits(self.cfg.worker_connections),
            proxies=TrustedProxies(services.settings.trusted_proxies),
            cors_origins=services.settings.cors_origins,
            log=self.log,
            max_body=services.settings.max_body_bytes,
            keep_alive=self.cfg.keepalive,
        )
        if services.model.recorder:
            services.model.recorder.start()
        services.keys.follow_file(self._end_event_streams)
        spans.start()
        _return_freed_blocks()
        # What exists by now stays. Otherwise a request that makes many objects has the garbage
        # collector visit all of it, for 50 ms in which nothing else runs.
        gc.freeze()

    def _end_event_streams(self) -> None:
        """End the event streams if they need a key; the thread that reads the keys calls it."""
        if self.state.application.services.keys.guards_all:
            self.loop.call_soon_threadsafe(self.state.event_streams.end)

    def handle_exit(self, _signal: int, _frame: object) -> None:
        """Stop gracefully; a signal handler."""
        self.alive = False
        self.loop.call_soon_threadsafe(self._wake.set)

    # gunicorn's own stops at once.
    handle_quit = handle_exit

    def run(self) -> None:
        """Serve until a signal stops the worker, or until gunicorn's arbiter is gone.

        Then write the rest of the prediction log, and export the last spans.
        """
        self.loop.run_until_complete(self._serve())
        if recorder := self.state.application.services.model.recorder:
            recorder.stop()
        spans.stop()

    async def _serve(self) -> None:
        context = ssl_context(self.cfg) if self.cfg.is_ssl else None
        servers = []
        for listener in self.sockets:
            is_unix = listener.family == socket.AF_UNIX
            create = self.loop.create_unix_server if is_unix else self.loop.create_server
            if not is_unix:
                # Otherwise the kernel buffers up to 4 MB for a slow client, and reports no progress
                # until a third of that is free. Accepted sockets inherit the option.
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT_KERNEL)
            server = create(
                lambda: Connection(self.state),
                sock=listener.dup(),  # because `_drain` uses the socket after the server is closed
                backlog=self.cfg.backlog,  # the default, 100, would replace that of the socket
                ssl=context,
                **(TLS_TIMEOUTS if context else {}),
            )
            servers.append(await server)
        while self.alive:
            await self._wait(CHECK_INTERVAL)
            if os.getppid() != self.ppid:
                self.log.error("gunicorn's main process is gone; stopping")
                self.alive = False
        self.state.stopping = True
        accepting = await self._drain(servers, context)
        self.state.event_streams.stop()
        for connection in self.state.limits.connections():
            connection.stop()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < deadline and (
            self.state.limits.connections() or not accepting.done()
        ):
            await self._wait(STOP_INTERVAL)

    async def _wait(self, seconds: float) -> None:
        """Wait for a short time or for a signal, then check all deadlines."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
        self._wake.clear()
        self.notify()
        now = time.monotonic()
        for connection in self.state.limits.connections():
            connection.check_deadlines(now)

    async def _drain(
        self, servers: Sequence[asyncio.AbstractServer], context: ssl.SSLContext | None
    ) -> asyncio.Future[Any]:
        """Close the listening sockets, and accept the connections that are already queued.

        A client may be slow in a TLS handshake, so the result is done only when all are accepted.

        Each worker has its own listening socket (SO_REUSEPORT), so no other worker can accept a
        connection from its queue; when the socket is closed, the kernel resets those in the queue.
        """
        for server in servers:
            server.close()
            await server.wait_closed()
        accepted = []
        for listener in self.sockets:
            with suppress(BlockingIOError):
                while True:
                    accepted.append(listener.accept()[0])
            listener.close()
        self.sockets = []
        timeouts = TLS_TIMEOUTS if context else {}
        connecting = [
            self.loop.connect_accepted_socket(
                lambda: Connection(self.state), client, ssl=context, **timeouts
            )
            for client in accepted
        ]
        return asyncio.gather(*connecting, return_exceptions=True)


def _return_freed_blocks() -> None:
    """Let the C library return each block of a MiB or more to the system when it is freed.

    By itself, glibc soon keeps such blocks, up to 32 MiB, for the thread that has freed them.
    """
    with suppress(AttributeError):  # other C libraries don't have the function
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1024 * 1024)
