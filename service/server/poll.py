"""`Poll`: repeats a read in a thread, for the event loop."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from streetlight.service.server.threads import Threads

POLL_SECONDS = 0.2

# A thread calls it; the event loop then calls what it returns.
Read = Callable[[], Callable[[], None]]

logger = logging.getLogger(__name__)


class Poll:
    """Repeats what `next_read` returns, until that is `None`; the event loop calls the methods.

    Each read starts `POLL_SECONDS` after the last one has ended, however long it takes.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        threads: Threads,
        next_read: Callable[[], Read | None],
        *,
        uses_database: bool,
    ) -> None:
        self._loop = loop
        self._threads = threads
        self._next_read = next_read
        self._uses_database = uses_database
        self._reading = False
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Read now, unless a thread is reading."""
        if self._reading or (read := self._next_read()) is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._reading = True
        self._threads.submit(partial(self._run, read), uses_database=self._uses_database)

    def _run(self, read: Read) -> None:
        """Read; a thread calls this."""
        deliver = None
        try:
            deliver = read()
        except Exception:
            logger.exception("could not read what clients of event streams follow")
        self._loop.call_soon_threadsafe(self._end, deliver)

    def _end(self, deliver: Callable[[], None] | None) -> None:
        self._reading = False
        self._timer = self._loop.call_later(POLL_SECONDS, self.start)
        if deliver:
            deliver()
