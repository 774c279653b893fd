"""Tests of a connection's deadlines, with a transport that sends nothing."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from streetlight.service.server.connection import (
    HELD_BYTES_PER_SECOND,
    LINGER_TIMEOUT,
    MIN_BYTES_PER_SECOND,
    RECEIVE_TIMEOUT,
    SEND_TIMEOUT,
    Connection,
)
from streetlight.service.server.fast_path import FastPath
from streetlight.service.server.limits import MAX_LARGE, Limits
from streetlight.service.server.proxy import TrustedProxies
from streetlight.service.server.worker_state import ResponseHeads
from tests.client import App

KEEP_ALIVE = 75.0
REQUEST = b"GET /predict?lights=1,0,1 HTTP/1.1\r\nHost: x\r\n\r\n"


class Transport:
    """A transport whose client reads nothing."""

    def __init__(self) -> None:
        self.written = b""
        self.closing = self.aborted = False

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return ("127.0.0.1", 1)

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True


class BusyConnection:
    """A connection that isn't evicted."""

    busy = True

    def receive_large(self) -> None:
        """It gets the place of a large request."""


@pytest.fixture
def connection(shared_app: App) -> Any:
    """A connection to a worker that has an application, but no threads."""
    worker = SimpleNamespace(
        fast_path=FastPath(shared_app.services),
        limits=Limits(10),
        proxies=TrustedProxies(()),
        cors_origins=(),
        heads=ResponseHeads(),
        log=SimpleNamespace(record=lambda *_, **__: None, warning=lambda *_: None),
        receive_buffer=memoryview(bytearray(65536)),
        max_body=10_000_000,
        keep_alive=KEEP_ALIVE,
        stopping=False,
    )
    connection = Connection(worker)  # type: ignore[arg-type]
    connection.connection_made(Transport())  # type: ignore[arg-type]
    return connection


def receive(connection: Any, data: bytes) -> None:
    connection.get_buffer(0)[: len(data)] = data
    connection.buffer_updated(len(data))


def after(connection: Any, seconds: float) -> Any:
    """Check the deadlines as of so many seconds from now, and return the transport."""
    connection.check_deadlines(time.monotonic() + seconds)
    return connection.transport


def test_a_client_that_sends_nothing_is_disconnected(connection: Any) -> None:
    assert not after(connection, RECEIVE_TIMEOUT - 1).closing
    assert after(connection, RECEIVE_TIMEOUT + 1).closing
    assert connection.transport.written == b""


def test_a_kept_connection_is_closed_after_the_idle_time(connection: Any) -> None:
    receive(connection, REQUEST)
    assert not after(connection, KEEP_ALIVE - 1).closing
    assert after(connection, KEEP_ALIVE + 1).closing
    # The client hasn't read the response, and never does.
    assert not after(connection, SEND_TIMEOUT - 1).aborted
    assert after(connection, SEND_TIMEOUT + 1).aborted


def test_a_stopping_worker_closes_idle_connections_soon(connection: Any) -> None:
    receive(connection, REQUEST)
    connection._worker.stopping = True
    connection.stop()
    assert after(connection, LINGER_TIMEOUT + 1).closing
    # The client may still read the response.
    assert not after(connection, LINGER_TIMEOUT + 1).aborted


def test_the_last_response_is_sent_before_the_connection_ends(connection: Any) -> None:
    receive(connection, REQUEST.replace(b"Host", b"Connection: close\r\nHost"))
    assert not after(connection, LINGER_TIMEOUT + 1).aborted
    connection.transport.written = b""
    assert not after(connection, LINGER_TIMEOUT + 2).aborted
    assert after(connection, 2 * LINGER_TIMEOUT + 2).aborted


def test_an_incomplete_request_gets_a_408(connection: Any) -> None:
    receive(connection, REQUEST + REQUEST[:20])
    assert after(connection, RECEIVE_TIMEOUT + 1).written.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 408 " in connection.transport.written


@pytest.mark.parametrize("large", [True, False])
def test_an_evicted_connection_ends_even_if_its_client_reads_nothing(
    connection: Any, large: bool
) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    receive(connection, REQUEST + head % (1_000_000 if large else 1000))
    limits = connection._worker.limits
    for _ in range(10):
        limits.add(BusyConnection())
    assert b"HTTP/1.1 408 " in connection.transport.written
    assert connection.transport.closing
    assert not limits.delays_others(connection)
    assert connection in limits.connections()
    assert after(connection, LINGER_TIMEOUT + SEND_TIMEOUT + 1).aborted


def test_a_connection_for_which_there_is_no_room_gets_a_503(connection: Any) -> None:
    limits = Limits(1)
    limits.add(BusyConnection())  # type: ignore[arg-type]
    limits.add(connection)
    assert connection.transport.written.startswith(b"HTTP/1.1 503 ")
    assert connection.transport.closing


def test_a_client_that_stops_reading_is_disconnected(connection: Any) -> None:
    receive(connection, REQUEST)
    connection.pause_writing()
    assert not after(connection, SEND_TIMEOUT - 1).aborted
    assert after(connection, SEND_TIMEOUT + 2).aborted


@pytest.mark.parametrize(("rate", "is_disconnected"), [(0.5, True), (1.1, False)])
def test_a_long_response_is_read_at_the_least_rate_or_not_at_all(
    connection: Any, monkeypatch: pytest.MonkeyPatch, rate: float, is_disconnected: bool
) -> None:
    """Each part of it is read within the time that one part may take."""
    part, now = 64 * 1024, time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    connection.exchange = SimpleNamespace(resume=lambda: None)
    for _ in range(10):
        connection.transport.written = bytes(part)
        connection.pause_writing()
        now += part / (rate * MIN_BYTES_PER_SECOND)
        connection.check_deadlines(now)
        connection.transport.written = b""
        connection.resume_writing()

    assert connection.transport.aborted == is_disconnected


@pytest.mark.parametrize(
    ("queued", "rate", "is_rejected"),
    [
        (True, MIN_BYTES_PER_SECOND, True),
        (True, HELD_BYTES_PER_SECOND, False),
        (False, MIN_BYTES_PER_SECOND, False),
    ],
)
def test_a_slow_large_request_loses_its_place_to_others(
    connection: Any, monkeypatch: pytest.MonkeyPatch, queued: bool, rate: int, is_rejected: bool
) -> None:
    now, limits = time.monotonic(), connection._worker.limits
    monkeypatch.setattr(time, "monotonic", lambda: now)
    receive(connection, b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
    for _ in range(MAX_LARGE - 1):
        assert limits.reserve_large(BusyConnection())
    if queued:
        assert not limits.reserve_large(BusyConnection())
    for _ in range(20):
        now += 1
        for _ in range(rate // MIN_BYTES_PER_SECOND):
            connection.get_buffer(0)
            connection.buffer_updated(MIN_BYTES_PER_SECOND)
        connection.check_deadlines(now)
        if connection.lingering:
            break

    assert (b"HTTP/1.1 408 " in connection.transport.written) == is_rejected
    assert limits.delays_others(connection) == (queued and not is_rejected)
