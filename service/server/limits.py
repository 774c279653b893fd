"""The limits that all connections of a worker share: their number, large requests, unsent bytes.

What a single request may be is in `request_parser`, how long it may take in `connection`.
"""

import logging
from typing import Protocol

logger = logging.getLogger(__name__)

# Large requests received or handled at the same time; bounds the memory and the threads they use.
MAX_LARGE = 4
# Bytes of responses that clients haven't read, of all connections together.
MAX_UNSENT = 256 * 1024 * 1024


class LimitedConnection(Protocol):
    """What the limits need of a connection."""

    @property
    def busy(self) -> bool:
        """Whether a response is computed or sent."""

    @property
    def unsent(self) -> int:
        """The number of bytes that are buffered for the client."""

    def evict(self) -> None:
        """End a connection that isn't busy, to make room for another."""

    def refuse(self) -> None:
        """End a new connection, for which there is no room."""

    def abort(self) -> None:
        """End the connection at once, and discard what is buffered."""

    def receive_large(self) -> None:
        """Receive the large request that was queued."""

    def check_deadlines(self, now: float) -> None:
        """End the connection if its client is too slow."""

    def stop(self) -> None:
        """End the connection soon, since the worker stops."""


class Limits:
    """The connections of a worker, in the order in which the limits concern them."""

    def __init__(self, max_connections: int) -> None:
        self._max_connections = max_connections
        # In the order of their last response.
        self._open: dict[LimitedConnection, None] = {}
        # The evicted connections whose buffered bytes are being sent.
        self._evicted: set[LimitedConnection] = set()
        # The connections whose clients don't read, in the order in which they stopped.
        self._paused: dict[LimitedConnection, None] = {}
        # The connections that occupy a place for large requests, and those that wait for one.
        self._large: set[LimitedConnection] = set()
        self._queued: dict[LimitedConnection, None] = {}

    def connections(self) -> list[LimitedConnection]:
        """Return the connections."""
        return [*self._open, *self._evicted]

    def add(self, connection: LimitedConnection) -> None:
        """Add a new connection; above the limit, evict the one that has been idle the longest.

        If all others are busy, the new one is refused.
        """
        self._open[connection] = None
        if len(self._open) > self._max_connections:
            oldest = next(other for other in self._open if not other.busy)
            del self._open[oldest]
            self._evicted.add(oldest)
            if oldest is connection:
                oldest.refuse()
            else:
                oldest.evict()

    def touch(self, connection: LimitedConnection) -> None:
        """Record that a connection has just sent a response."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def remove(self, connection: LimitedConnection) -> None:
        """Remove a connection that has ended; its large request may still be in memory."""
        self._open.pop(connection, None)
        self._evicted.discard(connection)
        self._paused.pop(connection, None)

    def reserve_large(self, connection: LimitedConnection) -> bool:
        """Return whether a large request may be received; if not, it is queued."""
        if len(self._large) >= MAX_LARGE and connection not in self._large:
            self._queued[connection] = None
            return False
        self._large.add(connection)
        return True

    def release_large(self, connection: LimitedConnection) -> None:
        """Give the place of a large request to the next one that is queued."""
        self._queued.pop(connection, None)
        self._large.discard(connection)
        while self._queued and len(self._large) < MAX_LARGE:
            queued = next(iter(self._queued))
            del self._queued[queued]
            self._large.add(queued)
            queued.receive_large()

    def delays_others(self, connection: LimitedConnection) -> bool:
        """Return whether a large request occupies a place for which others are queued."""
        return bool(self._queued) and connection in self._large

    def pause(self, connection: LimitedConnection) -> None:
        """Record that a client doesn't read; abort the first such connection above `MAX_UNSENT`."""
        self._paused[connection] = None
        if sum(other.unsent for other in self._paused) > MAX_UNSENT:
            oldest = next(iter(self._paused))
            del self._paused[oldest]
            logger.warning("clients leave too much unread; disconnected the first of them")
            oldest.abort()

    def resume(self, connection: LimitedConnection) -> None:
        """Record that a client has read its response."""
        self._paused.pop(connection, None)
