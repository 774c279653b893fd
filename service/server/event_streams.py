"""The clients that follow jobs: a worker reads the database once for all of them.

The events are server-sent events (WHATWG HTML, 9.2): `job` for each change of the job, with the job
as JSON, and `end` after the last one. `web.api.jobs` checks the requests.
"""

import asyncio
import logging
import time
from typing import Protocol

from sqlalchemy import Engine

from streetlight.service.inference.tensors import Buffer
from streetlight.service.learning import queue
from streetlight.service.learning.job import Job
from streetlight.service.server.threads import Threads
from streetlight.service.web.event_stream import MAX_EVENT_STREAMS
from streetlight.service.web.response import dump_json

POLL_SECONDS = 0.2
HEARTBEAT_SECONDS = 10.0
END = b"event: end\ndata: {}\n\n"

logger = logging.getLogger(__name__)


class EventStream(Protocol):
    """The response to a client that follows a job."""

    @property
    def paused(self) -> bool:
        """Whether the client reads too slowly to be sent more."""

    def send(self, part: list[Buffer], *, last: bool) -> None:
        """Send a part of the body."""


class EventStreams:
    """The event streams of a worker; its event loop calls the methods."""

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: Threads, engine: Engine) -> None:
        self._loop = loop
        self._threads = threads
        self._engine = engine
        # The number of the job, and the revision that was sent last.
        self._followed: dict[EventStream, tuple[int, int]] = {}
        self._last_heartbeat = 0.0
        self._polling = self._stopped = False
        self._next_poll: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._followed)

    def __contains__(self, stream: EventStream) -> bool:
        return stream in self._followed

    def add(self, stream: EventStream, number: int, revision: int) -> None:
        """Send the client of `stream` the changes of job `number` after `revision`.

        A view refuses the clients above the limit, but not those of simultaneous requests: their
        streams end at once.
        """
        if self._stopped or len(self) >= MAX_EVENT_STREAMS:
            stream.send([], last=True)
            return
        self._followed[stream] = (number, revision)
        self._poll()

    def remove(self, stream: EventStream) -> None:
        """Forget a client whose connection has ended."""
        self._followed.pop(stream, None)

    def stop(self) -> None:
        """End all streams, before their jobs have ended; clients reconnect to another worker."""
        self._stopped = True
        for stream in list(self._followed):
            self.remove(stream)
            stream.send([], last=True)

    def _poll(self) -> None:
        # The next poll starts after this one has ended, however long the database takes.
        if not self._polling and self._followed:
            if self._next_poll is not None:
                self._next_poll.cancel()
            self._polling = True
            oldest: dict[int, int] = {}
            for number, revision in self._followed.values():
                oldest[number] = min(revision, oldest.get(number, revision))
            self._threads.submit(lambda: self._read(oldest), uses_database=True)

    def _read(self, oldest: dict[int, int]) -> None:
        """Read the jobs that have changed; a thread calls this."""
        changed: list[Job] = []
        missing: set[int] = set()
        try:
            changed, missing = queue.changed(self._engine, oldest)
        except Exception:
            logger.exception("could not read the jobs that are followed")
        self._loop.call_soon_threadsafe(self._send, changed, missing)

    def _send(self, changed: list[Job], missing: set[int]) -> None:
        self._polling = False
        self._next_poll = self._loop.call_later(POLL_SECONDS, self._poll)
        events = {
            job.id: (job, b"id: %d\nevent: job\ndata: %s\n\n" % (job.revision, dump_json(job)))
            for job in changed
        }
        heartbeat = time.monotonic() > self._last_heartbeat + HEARTBEAT_SECONDS
        if heartbeat:
            self._last_heartbeat = time.monotonic()
        for stream, (number, revision) in list(self._followed.items()):
            if stream.paused:  # its client gets a later revision when it has read this one
                continue
            if number in missing:
                self.remove(stream)
                stream.send([END], last=True)
                continue
            if number not in events:
                if heartbeat:
                    stream.send([b": still here\n\n"], last=False)
                continue
            job, event = events[number]
            if job.finished:
                self.remove(stream)
                part = [event] if job.revision > revision else []
                stream.send([*part, END], last=True)
            elif job.revision > revision:
                self._followed[stream] = (number, job.revision)
                stream.send([event], last=False)
