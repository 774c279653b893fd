"""The clients of event streams: a worker reads the database once for all of them.

The events are server-sent events (WHATWG HTML, 9.2). A client that follows a job gets `job` for
each change of the job, with the job as JSON, and `end` after the last one. `service_events` has the
events for a client that follows the service. `web.event_stream` checks the requests.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from sqlalchemy import Engine

from streetlight.model.registry.repository import ModelRepository
from streetlight.service.inference.tensors import Buffer
from streetlight.service.learning import queue
from streetlight.service.learning.conclusion import follow_conclusions
from streetlight.service.learning.job import Job
from streetlight.service.server.poll import Poll, Read
from streetlight.service.server.service_events import Change, ServiceEvents
from streetlight.service.server.threads import Threads
from streetlight.service.web.event_stream import MAX_EVENT_STREAMS
from streetlight.service.web.response import dump_json

HEARTBEAT_SECONDS = 10.0
# Clients of the service that are sent something at a time; a thousand would take 50 ms.
MAX_SENDS = 50
HEARTBEAT = b": still here\n\n"
END = b"event: end\ndata: {}\n\n"


class EventStream(Protocol):
    """The response to a client that follows a job, or the service."""

    @property
    def paused(self) -> bool:
        """Whether the client reads too slowly to be sent more."""

    def send(self, part: list[Buffer], *, last: bool) -> None:
        """Send a part of the body."""


class EventStreams:
    """The event streams of a worker; its event loop calls the methods."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        threads: Threads,
        engine: Engine,
        repository: ModelRepository,
    ) -> None:
        self._loop = loop
        self._engine = engine
        self._repository = repository
        # The number of the job, and the revision that was sent last; or `None` for the service, and
        # the serial number of the event that was sent last.
        self._followed: dict[EventStream, tuple[int | None, int]] = {}
        self._service_events: ServiceEvents | None = None
        # Two, since versions also change while the database doesn't respond.
        self._polls = (
            Poll(loop, threads, self._database_read, uses_database=True),
            Poll(loop, threads, self._folder_read, uses_database=False),
        )
        self._heartbeat: asyncio.TimerHandle | None = None
        self._sending = self._stopped = False

    def __len__(self) -> int:
        return len(self._followed)

    def __contains__(self, stream: EventStream) -> bool:
        return stream in self._followed

    def add(self, stream: EventStream, number: int | None, revision: int) -> None:
        """Send the client of `stream` the changes of job `number` after `revision`.

        If the number is `None`, send it the current state of the service, and then its changes. A
        view refuses the clients above the limit, but not those of simultaneous requests: their
        streams end at once.
        """
        if self._stopped or len(self) >= MAX_EVENT_STREAMS:
            stream.send([], last=True)
            return
        self._followed[stream] = (number, revision)
        if number is None:
            if self._service_events is None:
                self._service_events = ServiceEvents(self._engine, self._repository)
            self._send_service_events()
        if self._heartbeat is None:
            self._heartbeat = self._loop.call_later(HEARTBEAT_SECONDS, self._send_heartbeats)
        for poll in self._polls:
            poll.start()

    def remove(self, stream: EventStream) -> None:
        """Forget a client whose connection has ended."""
        self._followed.pop(stream, None)

    def stop(self) -> None:
        """End all streams, also later ones; clients reconnect to another worker."""
        self._stopped = True
        self.end()

    def end(self) -> None:
        """End all streams; clients reconnect."""
        for stream in list(self._followed):
            stream.send([], last=True)
        self._followed.clear()

    def _database_read(self) -> Read | None:
        oldest: dict[int, int] = {}
        for number, revision in self._followed.values():
            if number is not None:
                oldest[number] = min(revision, oldest.get(number, revision))
        if not (oldest or self._service_events):
            return None
        events = self._service_events

        def read() -> Callable[[], None]:
            changed, missing = queue.changed(self._engine, oldest) if oldest else ([], set())
            changes = events.read_database() if events else []
            ended = [change for change in (*changed, *changes) if isinstance(change, Job)]
            follow_conclusions(self._repository, ended)

            def deliver() -> None:
                self._send_jobs(changed, missing)
                self._deliver(events, changes)

            return deliver

        return read

    def _folder_read(self) -> Read | None:
        if all(number is not None for number, _ in self._followed.values()):
            self._service_events = None
        if (events := self._service_events) is None:
            return None

        def read() -> Callable[[], None]:
            changes = events.folder.read()
            return lambda: self._deliver(events, changes)

        return read

    def _deliver(self, events: ServiceEvents | None, changes: Sequence[Change]) -> None:
        if events:
            events.add(changes)
            self._send_service_events()

    def _send_service_events(self) -> None:
        if not self._sending:
            self._send_next_events()

    def _send_next_events(self) -> None:
        """Send some clients what they lack; others follow when other requests were handled."""
        self._sending = False
        if (events := self._service_events) is None:
            return
        sent = 0
        for stream, (number, serial) in list(self._followed.items()):
            # A paused client gets later what is the newest then.
            if number is not None or stream.paused or not (part := events.after(serial)):
                continue
            if sent == MAX_SENDS:
                self._sending = True
                self._loop.call_soon(self._send_next_events)
                return
            sent += 1
            # To the end: if there are more events before all clients have these, the others' turn
            # comes first.
            del self._followed[stream]
            self._followed[stream] = (None, events.serial)
            stream.send([*part], last=False)

    def _send_jobs(self, changed: Sequence[Job], missing: set[int]) -> None:
        events = {
            job.id: (job, b"id: %d\nevent: job\ndata: %s\n\n" % (job.revision, dump_json(job)))
            for job in changed
        }
        for stream, (number, revision) in list(self._followed.items()):
            if stream.paused:  # its client gets a later revision when it has read this one
                continue
            if number in missing:
                self.remove(stream)
                stream.send([END], last=True)
            elif number in events:
                job, event = events[number]
                part: list[Buffer] = [event] if job.revision > revision else []
                if job.finished:
                    self.remove(stream)
                    stream.send([*part, END], last=True)
                elif part:
                    self._followed[stream] = (number, job.revision)
                    stream.send(part, last=False)

    def _send_heartbeats(self) -> None:
        for stream in list(self._followed):
            if not stream.paused:
                stream.send([HEARTBEAT], last=False)
        self._heartbeat = None
        if self._followed:
            self._heartbeat = self._loop.call_later(HEARTBEAT_SECONDS, self._send_heartbeats)
