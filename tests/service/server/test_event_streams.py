"""Tests of the event streams of a worker, without clients, threads or a database."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Engine

from streetlight.model.registry.repository import ModelRepository
from streetlight.service.learning import queue
from streetlight.service.learning.changes import RECENT_JOBS
from streetlight.service.learning.job import JobSpec
from streetlight.service.server import event_streams, poll, service_events, threads
from streetlight.service.server.event_streams import MAX_SENDS, EventStreams
from streetlight.service.server.service_events import (
    FolderChanges,
    LiveVersion,
    ServiceEvents,
    VersionFiles,
)
from streetlight.service.validation.recipe_fields import DEFAULT_RECIPE
from streetlight.service.web.event_stream import SERVICE

FOLLOWERS = 20


class Threads:
    """Runs each task at once."""

    def submit(self, task: Callable[[], None], **_: bool) -> None:
        task()


class Stream:
    """A stream that records the parts that it sends."""

    paused = False

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send(self, part: list[Any], *, last: bool) -> None:
        self.sent.append((b"".join(part), last))

    def events(self) -> list[tuple[str, Any]]:
        """Return the name and the data of each event that was sent, and forget them."""
        lines = b"".join(part for part, _ in self.sent).decode().splitlines()
        self.sent.clear()
        names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        data = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        return list(zip(names, data, strict=True))


def run(test: Callable[[EventStreams], Awaitable[None]], engine: Any = None) -> None:
    """Run `test` with streams on an event loop, without threads."""

    async def with_streams() -> None:
        loop, repository = asyncio.get_running_loop(), ModelRepository(Path("/nonexistent"))
        await test(EventStreams(loop, cast(threads.Threads, Threads()), engine, repository))

    asyncio.run(with_streams())


def test_the_database_is_read_once_for_all_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[dict[int, int]] = []

    def changed(_engine: object, revisions: dict[int, int]) -> tuple[list[object], set[int]]:
        reads.append(revisions)
        return [], set()

    monkeypatch.setattr(queue, "changed", changed)
    monkeypatch.setattr(poll, "POLL_SECONDS", 0.05)

    async def follow(streams: EventStreams) -> None:
        for revision in range(FOLLOWERS):
            streams.add(Stream(), 7, revision)
            await asyncio.sleep(0.01)
        before = len(reads)
        await asyncio.sleep(0.5)
        # A new stream causes a read at once, but no more reads after that.
        assert 2 <= len(reads) - before <= 11

    run(follow)
    assert reads[-1] == {7: 0}


def test_a_stream_that_starts_while_the_worker_stops_ends_at_once() -> None:
    async def follow(streams: EventStreams) -> None:
        streams.stop()
        for followed in ((7, 0), SERVICE):
            stream = Stream()
            streams.add(stream, *followed)
            assert stream.sent == [(b"", True)]
        assert len(streams) == 0

    run(follow)


def test_simultaneous_requests_do_not_exceed_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_streams, "MAX_EVENT_STREAMS", 2)
    monkeypatch.setattr(Threads, "submit", lambda *_, **__: None)

    async def follow(streams: EventStreams) -> None:
        followers = [Stream() for _ in range(3)]
        for stream, followed in zip(followers, ((7, 0), SERVICE, SERVICE), strict=True):
            streams.add(stream, *followed)
        assert [stream.sent for stream in followers] == [[], [], [(b"", True)]]
        assert len(streams) == 2

    run(follow)


def test_a_slow_reader_is_sent_only_the_newest_state(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll, "POLL_SECONDS", 0)

    async def follow(streams: EventStreams) -> None:
        quick, slow = Stream(), Stream()
        streams.add(quick, *SERVICE)
        streams.add(slow, *SERVICE)

        async def received() -> list[tuple[str, Any]]:
            async with asyncio.timeout(10):
                while not quick.sent:
                    await asyncio.sleep(0)
            return quick.events()

        await received()
        slow.events()
        slow.paused = True
        number = queue.submit(engine, JobSpec(DEFAULT_RECIPE), None).id
        [(name, job)] = await received()
        assert (name, job["id"], job["state"]) == ("jobs", number, "queued")
        queue.cancel(engine, number)
        [ended] = await received()
        assert not slow.sent
        slow.paused = False
        queue.submit(engine, JobSpec(DEFAULT_RECIPE), None)
        expected = [ended, *await received()]
        assert slow.events() == expected
        assert [(name, job["state"]) for name, job in expected] == [
            ("jobs", "cancelled"),
            ("jobs", "queued"),
        ]

    run(follow, engine)


def test_other_requests_are_handled_while_many_clients_are_sent_an_event(engine: Engine) -> None:
    async def follow(streams: EventStreams) -> None:
        clients = [Stream() for _ in range(3 * MAX_SENDS)]
        for client in clients:
            streams.add(client, *SERVICE)

        async def receive(event: bytes) -> list[int]:
            """Return how many clients had the event in each iteration of the loop."""
            counts = [0]
            async with asyncio.timeout(10):
                while counts[-1] < len(clients):
                    await asyncio.sleep(0)
                    counts.append(sum(event in str(client.sent).encode() for client in clients))
            return counts

        await receive(b"event: observations")
        queue.submit(engine, JobSpec(DEFAULT_RECIPE), None)
        counts = await receive(b"event: jobs")
        assert max(b - a for a, b in itertools.pairwise(counts)) == MAX_SENDS
        assert {str(client.sent).count("event: jobs") for client in clients} == {1}

    run(follow, engine)


def test_a_change_of_the_folder_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = ModelRepository(tmp_path)
    reader = FolderChanges(repository)
    assert reader.read() == [LiveVersion(None), VersionFiles(None, 0)]
    repository.path(1).write_text("one")
    assert reader.read() == [VersionFiles(1, 1)]
    repository.path(3).write_text("three")
    (tmp_path / "live").symlink_to("1.npz")
    assert reader.read() == [LiveVersion(1), VersionFiles(3, 2)]
    assert reader.read() == []
    repository.path(3).unlink()
    (tmp_path / "live").unlink()
    (tmp_path / "live").symlink_to("elsewhere")
    assert reader.read() == [LiveVersion(None), VersionFiles(1, 1)]

    (tmp_path / "live").unlink()
    (tmp_path / "live").symlink_to("1.npz")
    with monkeypatch.context() as failing:
        failing.setattr(ModelRepository, "versions", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            reader.read()
    assert reader.read() == [LiveVersion(1)]

    # A file that is overwritten doesn't change the folder.
    monkeypatch.setattr(service_events, "LIST_AGAIN", -60.0)
    assert reader.read() == []
    repository.path(1).write_text("damaged")
    assert reader.read() == []
    monkeypatch.setattr(service_events, "LIST_INTERVAL", 0.0)
    assert reader.read() == [VersionFiles(1, 1)]


def test_of_the_ended_jobs_only_the_last_ones_are_sent_to_a_new_client(engine: Engine) -> None:
    numbers = [queue.submit(engine, JobSpec(DEFAULT_RECIPE), None).id for _ in range(30)]
    events = ServiceEvents(engine, ModelRepository(Path("/nonexistent")))
    events.add(events.read_database())
    before = events.serial
    for number in numbers[:-1]:
        queue.cancel(engine, number)
    events.add(events.read_database())
    assert len(events.after(before)) == len(numbers) - 1
    queue.cancel(engine, numbers[-1])
    events.add(events.read_database())
    jobs = [event for event in events.after(0) if event.startswith(b"event: jobs")]
    assert len(jobs) == RECENT_JOBS + 1
