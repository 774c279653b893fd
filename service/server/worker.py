"""A gunicorn worker that leaves nobody waiting at its door when it is told to stop."""

import socket
from selectors import EVENT_READ, DefaultSelector

from streetlight.service.server.fast_worker import FastPathWorker
from streetlight.service.web.shutdown import stopping


class DrainingWorker(FastPathWorker):
    """The quick worker, which on SIGTERM first takes up whoever is connected already.

    With a socket for each worker, who is in its queue can be answered by no other. gthread itself
    leaves its sockets open and unattended until its last request is done, and then drops them.
    """

    sockets: list[socket.socket]

    def set_accept_enabled(self, enabled: bool) -> None:
        """Begin or end to accept; at the end of its life, empty the queue and close the door."""
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        stopping.set()
        for listener in self.sockets:
            listener.setblocking(False)
            with DefaultSelector() as queue:
                queue.register(listener, EVENT_READ)
                while queue.select(0):
                    self.accept(listener)
            listener.close()
        self.sockets = []
