"""Clients that don't read their responses, or send slowly, don't delay others."""

import contextlib
import gzip
import json
import resource
import socket
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from tests.server import DEADLINE, Server
from tests.service.conftest import ROUNDS, until
from tests.service.server.processes import cpu_seconds, peak_mib, worker_of
from tests.service.server.test_hostile import post_request, send

pytestmark = pytest.mark.process

MIB = 1024 * 1024
PREDICTION = b'{"lights": [1, 0, 1]}'
OTHER_REQUESTS = {
    "/livez": b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
    "/predict": post_request("/predict", PREDICTION),
    "/explain": post_request("/explain", PREDICTION),
    "/versions": b"GET /versions HTTP/1.1\r\nHost: x\r\n\r\n",
}
# A static file of more than 1 MB.
LARGE_FILE = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"


@contextlib.contextmanager
def others_are_served(server: Server) -> Iterator[None]:
    """Send requests on other connections meanwhile; assert that each gets a response soon."""
    latencies: dict[str, list[float]] = {path: [] for path in OTHER_REQUESTS}
    done = Event()

    def measure() -> None:
        while True:
            for path, request in OTHER_REQUESTS.items():
                start = time.perf_counter()
                assert send(server, request, timeout=5)[0] == 200
                latencies[path].append(time.perf_counter() - start)
            if done.is_set():
                return

    with ThreadPoolExecutor(1) as pool:
        measured = pool.submit(measure)
        try:
            yield
        finally:
            done.set()
        measured.result()
    for path, seconds in latencies.items():
        median, longest = statistics.median(seconds), max(seconds)
        print(f"{path}: {len(seconds)} requests, {median * 1000:.1f} to {longest * 1000:.0f} ms")
        assert median < 0.1, path
        assert longest < 2, path


@contextlib.contextmanager
def bounded_memory(server: Server, mib: int) -> Iterator[None]:
    """Assert that the memory of the worker grows by at most so many MiB."""
    Path(f"/proc/{worker_of(server)}/clear_refs").write_text("5")
    before = peak_mib(server)
    yield
    print(f"peak {peak_mib(server):.0f} MiB, {before:.0f} MiB before")
    assert peak_mib(server) < before + mib


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow this process to open 2,000 connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class SlowClient:
    """A connection that sends what the server takes, and reads only in `read`.

    The kernel's buffers of both sides are small, so that a large response stays in the server; the
    kernel would take several MB from the server otherwise. The server may close the connection at
    any time.
    """

    def __init__(self, server: Server, request: bytes) -> None:
        self.unsent = memoryview(request)
        self.received = b""
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # The size of the server's send buffer depends on the size of the segments.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", server.port))
        self.socket.setblocking(False)

    def send(self, size: int | None = None) -> None:
        """Send the next bytes, at most `size`."""
        with contextlib.suppress(OSError):
            self.unsent = self.unsent[self.socket.send(self.unsent[:size]) :]

    def read(self, size: int) -> None:
        """Read at most `size` bytes of the response."""
        with contextlib.suppress(OSError):
            self.received += self.socket.recv(size)


def read_all(clients: list[SlowClient], size: int) -> None:
    """Wait until each client has received `size` bytes, and read no more."""

    def received() -> bool:
        for client in clients:
            client.read(size - len(client.received))
        return all(len(client.received) == size for client in clients)

    until(received)


@contextlib.contextmanager
def slow_clients(server: Server, request: bytes, count: int) -> Iterator[list[SlowClient]]:
    """Connect clients that send a request; close them at the end."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(count):
            clients.append(SlowClient(server, request))
            stack.callback(clients[-1].socket.close)
        yield clients


def seconds_of(rounds: int) -> range:
    """Return the seconds for which clients are slow: 3, and up to 60 in a storm."""
    return range(min(2 + rounds, 60))


def batch(rows: int) -> bytes:
    """Return a request whose response has 11 bytes for each row."""
    return post_request("/predict/batch", json.dumps({"lights": [[1, 0, 1]] * rows}).encode())


UNREAD_REQUESTS = {
    "a large response": batch(370_000),
    "pipelined requests": LARGE_FILE * 10,
    # The largest request of which the fast path computes the response.
    "pipelined requests on the fast path": batch(1400) * 100,
}


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("name", UNREAD_REQUESTS)
def test_clients_that_never_read_do_not_delay_others(
    target: Server, name: str, rounds: int
) -> None:
    request = UNREAD_REQUESTS[name]
    with others_are_served(target), slow_clients(target, request, 24) as clients:
        for _ in seconds_of(rounds):
            end = time.monotonic() + 1
            while time.monotonic() < end:
                for client in clients:
                    client.send()
                time.sleep(0.01)
        for client in clients:
            client.read(12)
    assert b"HTTP/1.1 200" in {client.received for client in clients}


@pytest.mark.parametrize("rounds", ROUNDS)
def test_two_thousand_slow_senders_do_not_delay_others(
    target: Server, many_files: None, rounds: int
) -> None:
    del many_files
    with (
        bounded_memory(target, 400),
        others_are_served(target),
        slow_clients(target, post_request("/predict", PREDICTION), 2000) as clients,
    ):
        for _ in seconds_of(rounds):
            for client in clients:
                client.send(1)
            time.sleep(1)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_two_thousand_slow_readers_do_not_delay_others(
    target: Server, many_files: None, rounds: int
) -> None:
    del many_files
    with bounded_memory(target, 400), slow_clients(target, LARGE_FILE, 2000) as clients:
        for client in clients:
            client.send()
        read_all(clients, 1)
        with others_are_served(target):
            for _ in seconds_of(rounds):
                for client in clients:
                    client.read(1)
                time.sleep(1)
        for client in clients:
            client.read(12)
    assert all(client.received.startswith(b"HTTP/1.1 200") for client in clients)


def test_clients_that_stop_reading_an_export_do_not_occupy_threads(target: Server) -> None:
    number = "0.12345678901234567"
    table = "a,b,c,outcome\n" + f"{number},{number},{number},walk\n" * 10_000
    target.expect(201, "POST", "/observations", table, **{"Content-Type": "text/csv"})
    export = b"GET /observations?format=csv HTTP/1.1\r\nHost: x\r\n\r\n"
    with slow_clients(target, export, 24) as clients, others_are_served(target):
        for client in clients:
            client.send()
        # Each has received the head and a part of the first row, and reads no more.
        read_all(clients, 500)
        time.sleep(3)
    assert all(client.received.startswith(b"HTTP/1.1 200") for client in clients)


def test_a_body_of_empty_gzip_members_costs_little(target: Server) -> None:
    member = gzip.compress(b"", mtime=0)
    request = post_request("/predict", member * (31 * MIB // len(member)))
    request = request.replace(b"\r\n", b"\r\nContent-Encoding: gzip\r\n", 1)

    def cost() -> float:
        before = cpu_seconds(target)
        assert send(target, request)[0] == 400
        return cpu_seconds(target) - before

    seconds = min(cost() for _ in range(3))
    print(f"{seconds:.2f} s")
    assert seconds < 0.2
    with others_are_served(target), ThreadPoolExecutor(4) as pool:
        for status, _ in pool.map(lambda _: send(target, request), range(8)):
            assert status == 400
