"""A gunicorn worker that drains its accept queue on SIGTERM."""

import socket
from selectors import EVENT_READ, DefaultSelector

from streetlight.service.server.fast_worker import FastPathWorker
from streetlight.service.web.shutdown import stopping


class DrainingWorker(FastPathWorker):
    """`FastPathWorker`, which on SIGTERM accepts the connections that are already queued.

    Each worker has its own listening socket (SO_REUSEPORT), so no other worker can accept a
    connection from its queue. gthread keeps the sockets open without accepting until its last
    request is finished, and then closes them; the connections queued meanwhile are reset.
    """

    sockets: list[socket.socket]

    def set_accept_enabled(self, enabled: bool) -> None:
        """Start or stop accepting; in a stopping worker, drain and close the listening sockets."""
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        stopping.set()
        for listener in self.sockets:
            listener.setblocking(False)
            with DefaultSelector() as selector:
                selector.register(listener, EVENT_READ)
                while selector.select(0):
                    self.accept(listener)
            listener.close()
        self.sockets = []
