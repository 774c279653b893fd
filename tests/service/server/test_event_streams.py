"""Tests of the event streams of a worker, without clients, threads or a database."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from streetlight.service.learning import queue
from streetlight.service.server import event_streams
from streetlight.service.server.event_streams import EventStreams

FOLLOWERS = 20


class Threads:
    """Runs each task at once."""

    def submit(self, task: Callable[[], None], *, uses_database: bool) -> None:
        assert uses_database
        task()


class Stream:
    """A stream that records the parts that it sends."""

    paused = False

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, part: list[Any], *, last: bool) -> None:
        self.sent.append((b"".join(part), last))


def test_the_database_is_read_once_for_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[dict[int, int]] = []

    def changed(_engine: object, revisions: dict[int, int]) -> tuple[list[object], set[int]]:
        reads.append(revisions)
        return [], set()

    monkeypatch.setattr(queue, "changed", changed)
    monkeypatch.setattr(event_streams, "POLL_SECONDS", 0.05)

    async def follow() -> int:
        loop = asyncio.get_running_loop()
        streams = EventStreams(loop, Threads(), None)  # type: ignore[arg-type]
        for revision in range(FOLLOWERS):
            streams.add(Stream(), 7, revision)
            await asyncio.sleep(0.01)
        before = len(reads)
        await asyncio.sleep(0.5)
        return len(reads) - before

    # A new stream causes a read at once, but no more reads after that.
    assert 2 <= asyncio.run(follow()) <= 11
    assert reads[-1] == {7: 0}


def test_a_stream_that_starts_while_the_worker_stops_ends_at_once() -> None:
    streams = EventStreams(None, Threads(), None)  # type: ignore[arg-type]
    streams.stop()
    stream = Stream()
    streams.add(stream, 7, 0)
    assert stream.sent == [(b"", True)]
    assert len(streams) == 0


def test_simultaneous_requests_do_not_exceed_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "MAX_EVENT_STREAMS", 2)
    monkeypatch.setattr(EventStreams, "_poll", lambda _: None)
    streams = EventStreams(None, Threads(), None)  # type: ignore[arg-type]
    followers = [Stream() for _ in range(3)]
    for stream in followers:
        streams.add(stream, 7, 0)
    assert [stream.sent for stream in followers] == [[], [], [(b"", True)]]
    assert len(streams) == 2
