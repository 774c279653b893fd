"""Slow, silent, oversized and malformed requests are refused and don't delay other clients."""

import contextlib
import json
import re
import resource
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import parse_headers
from pathlib import Path
from typing import Any, BinaryIO

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.server import DEADLINE, Server
from tests.service.conftest import ROUNDS, run_hypothesis, until
from tests.service.server.processes import cpu_seconds, peak_mib, worker_of

pytestmark = pytest.mark.process

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"lights": [1, 0, 1]}'
COMPLETE_REQUEST = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# The limit for a response on a loaded machine; the server closes a silent connection after 30 s.
RESPONSE_LIMIT = 15.0
# The server closes a connection that stops in a large body after 5 s while others are queued.
QUEUED_TIMEOUT = 5.0


def connect(server: Server, timeout: float = DEADLINE) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout)


def receive_response(client: socket.socket) -> tuple[int, Any]:
    """Read one response from a connection, as `read_response` does."""
    with client.makefile("rb") as file:
        return read_response(file)


def read_response(file: BinaryIO) -> tuple[int, Any]:
    """Read one response, and return its status and JSON; assert that an error has a message."""
    version, status, _ = file.readline().split(b" ", 2)
    assert version == b"HTTP/1.1"
    headers = parse_headers(file)
    content = json.loads(file.read(int(headers["Content-Length"])))
    if int(status) >= 400:
        assert isinstance(content["error"], str)
        assert content["error"]
    assert headers["X-Request-ID"]
    assert int(status) < 500, content
    return int(status), content


def send(server: Server, request: bytes, timeout: float = DEADLINE) -> tuple[int, Any]:
    """Send bytes on a new connection, and read the response."""
    with connect(server, timeout) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(request)
        return receive_response(client)


def check_other_clients(server: Server, within: float = RESPONSE_LIMIT) -> None:
    """Assert that other clients get responses, on new connections and on a kept-alive one."""
    start = time.monotonic()
    for _ in range(3):
        assert send(server, b"GET /predict?lights=1,0,1 HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
        assert server.post("/predict", {"lights": [1, 0, 1]})["version"] == 1
    assert time.monotonic() - start < within


def send_a_byte(client: socket.socket) -> None:
    client.sendall(b"X")


def send_nothing(_client: socket.socket) -> None:
    pass


def send_a_chunk(client: socket.socket) -> None:
    client.sendall(b"1\r\n \r\n")


@pytest.mark.parametrize(
    ("first_bytes", "send_more"),
    [
        (b"", send_nothing),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ", send_a_byte),
        (HEAD + b"Content-Length: 1000\r\n\r\n", send_a_byte),
        (HEAD + b"Content-Length: 10000000\r\n\r\n", send_a_byte),
        (HEAD + b"Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n", send_nothing),
        (CHUNKED, send_a_chunk),
    ],
    ids=["nothing", "head", "body", "large body", "100-continue", "endless chunks"],
)
def test_slow_clients_do_not_delay_others(
    target: Server, first_bytes: bytes, send_more: Callable[[socket.socket], None]
) -> None:
    with contextlib.ExitStack() as slow:
        clients = [slow.enter_context(connect(target)) for _ in range(40)]
        for client in clients:
            client.sendall(first_bytes)
        for _ in range(3):
            for client in clients:
                send_more(client)
            check_other_clients(target)


def test_three_thousand_idle_connections_do_not_delay_others(target: Server) -> None:
    """There are more connections than the limit, so the server closes the oldest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4000:
        pytest.skip("this machine allows too few files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4000), hard))
    with contextlib.ExitStack() as idle:
        clients = [idle.enter_context(connect(target)) for _ in range(1000)]
        for client in clients[::2]:
            client.sendall(b"GET /")
        check_other_clients(target)
        clients += [idle.enter_context(connect(target)) for _ in range(2000)]
        check_other_clients(target)
        # Not the first connections, which may be closed before the server has read from them.
        assert receive_response(clients[100])[0] == 408
        # The newest connections are still open and get responses.
        clients[-1].sendall(COMPLETE_REQUEST)
        assert receive_response(clients[-1])[0] == 200
    check_other_clients(target)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_clients_that_keep_closed_connections_do_not_delay_others(target: Server) -> None:
    """The worker's event loop must not wait for a client to close its connection."""
    with contextlib.ExitStack() as lingering:
        for _ in range(40):
            client = lingering.enter_context(connect(target))
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert receive_response(client)[0] == 200
        check_other_clients(target)


@pytest.mark.storm
def test_a_request_past_its_deadline_gets_a_408(target: Server) -> None:
    with contextlib.ExitStack() as slow:
        too_slow = [slow.enter_context(connect(target)) for _ in range(3)]
        too_slow[0].sendall(b"GET / HTTP/1.1\r\n")
        too_slow[1].sendall(HEAD + b"Content-Length: 10\r\n\r\n")
        too_slow[2].sendall(CHUNKED)
        silent = slow.enter_context(connect(target))
        slow_client = slow.enter_context(connect(target))
        start = time.monotonic()
        for i in range(20):
            slow_client.sendall(COMPLETE_REQUEST[i : i + 1])
            too_slow[2].sendall(b"1\r\n \r\n")
            time.sleep(1)
        slow_client.sendall(COMPLETE_REQUEST[20:])
        assert receive_response(slow_client)[0] == 200
        for client in too_slow:
            client.settimeout(DEADLINE + 10)
            assert receive_response(client)[0] == 408
            assert client.recv(1) == b""
            assert 25 < time.monotonic() - start < 45
        assert silent.recv(1) == b""


def test_requests_may_arrive_byte_by_byte_or_pipelined(target: Server) -> None:
    chunked = CHUNKED + b"a;x=y\r\n" + BODY[:10] + b"\r\n%x\r\n" % (len(BODY) - 10)
    chunked += BODY[10:] + b"\r\n0\r\nX-Trailer: x\r\n\r\n"
    for request in (COMPLETE_REQUEST, chunked):
        with connect(target) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(request)):
                client.sendall(request[i : i + 1])
            assert receive_response(client)[0] == 200
            # Three pipelined requests, the last one incomplete.
            client.sendall(request * 2 + request[:-5])
            with client.makefile("rb") as file:
                assert read_response(file)[1]["decision"] == "walk"
                assert read_response(file)[1]["decision"] == "walk"
                client.sendall(request[-5:])
                assert read_response(file)[1]["decision"] == "walk"


def test_a_large_body_may_arrive_in_parts_and_be_pipelined(target: Server) -> None:
    rows = [[1, 0, 1]] * 59_999 + [[0, 0, 1]]
    large = post_request("/predict/batch", json.dumps({"lights": rows}).encode())
    with connect(target) as client, client.makefile("rb") as file:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for end in (1, 60, len(large) - 10):
            client.sendall(large[:end])
            # A response to a later request shows that the worker has read the first part.
            target.get("/livez")
            client.sendall(large[end:] + COMPLETE_REQUEST)
            assert read_response(file)[1]["decisions"] == ["walk"] * 59_999 + ["stop"]
            assert read_response(file)[1]["decision"] == "walk"
        # An unread body must not be parsed as the next request.
        client.sendall(large.replace(b"/predict/batch", b"/no-such-route") + COMPLETE_REQUEST)
        assert read_response(file)[0] == 404
        assert read_response(file)[1]["decision"] == "walk"


def test_expect_100_continue_is_answered(target: Server) -> None:
    with connect(target) as client:
        client.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(BODY)
        assert receive_response(client)[0] == 200
        # A body above the limit is refused before it is sent.
        client.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
        assert receive_response(client)[0] == 413


def test_curl_sends_large_bodies_with_a_length_and_in_chunks(
    target: Server, tmp_path: Path
) -> None:
    (tmp_path / "body").write_bytes(b'{"lights": [[1, 0, 1]]' + b" " * 2_000_000 + b"}")
    for more in ([], ["-H", "Transfer-Encoding: chunked"]):
        curl = ["curl", "-sS", "-m", "20", *more, "--data-binary", f"@{tmp_path / 'body'}"]
        run = subprocess.run(
            [*curl, f"{target.url}/predict/batch"], capture_output=True, check=True
        )
        assert json.loads(run.stdout)["decisions"] == ["walk"]


def test_concurrent_large_bodies_are_received_in_turn(target: Server) -> None:
    large = b'{"lights": [1, 0, 1]' + b" " * 1_000_000 + b"}"
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(large) + large
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(target)) for _ in range(12)]
        for client in clients[:4]:
            client.sendall(request[:300_000])
        # Responses to later requests show that the worker has read these parts.
        check_other_clients(target, within=QUEUED_TIMEOUT)
        for client in clients[4:]:
            client.sendall(request[:300_000])
        # The first four clients stop sending. The others must be served nevertheless.
        for client in clients[4:]:
            client.setblocking(False)
        left = dict.fromkeys(clients[4:], 300000)

        def sent() -> bool:
            for client, at in list(left.items()):
                with contextlib.suppress(BlockingIOError):
                    left[client] = at + client.send(request[at:])
                if left[client] == len(request):
                    del left[client]
            return not left

        until(sent)
        for client in clients[4:]:
            client.settimeout(DEADLINE)
            assert receive_response(client)[0] == 200
        assert [receive_response(client)[0] for client in clients[:4]] == [408] * 4


GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
BAD_REQUESTS = {
    "no request": (b"\x16\x03\x01 hello\r\n\r\n", 400),
    "no line": (b"\r\n\r\n\r\n", 400),
    "no method": (b"get /livez HTTP/1.1\r\n\r\n", 400),
    "version 3": (b"GET /livez HTTP/3.0\r\n\r\n", 400),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "bare LF": (b"GET /livez HTTP/1.1\nHost: x\n\n", 400),
    "long line": (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\n\r\n", 414),
    "endless line": (b"GET /" + b"x" * 500_000, 414),
    "long field": (GET + b"X: " + b"x" * 9000 + b"\r\n\r\n", 431),
    "endless field": (GET + b"X: " + b"x" * 500_000, 431),
    "many fields": (GET + b"X: y\r\n" * 101 + b"\r\n", 431),
    "much of many fields": (GET + (b"X: " + b"y" * 2000 + b"\r\n") * 50 + b"\r\n", 431),
    "space in name": (GET + b"X : y\r\n\r\n", 400),
    "NUL in value": (GET + b"X: \0\r\n\r\n", 400),
    "folded": (GET + b"X: y\r\n z\r\n\r\n", 400),
    "two hosts": (GET + b"Host: y\r\n\r\n", 400),
    "SCRIPT_NAME": (GET + b"SCRIPT_NAME: /x\r\n\r\n", 200),
    "other expectation": (GET + b"Expect: tea\r\n\r\n", 417),
    "length of letters": (HEAD + b"Content-Length: x\r\n\r\n", 400),
    "negative length": (HEAD + b"Content-Length: -1\r\n\r\n", 400),
    "signed length": (HEAD + b"Content-Length: +1\r\n\r\n1", 400),
    "no length": (HEAD + b"Content-Length: \r\n\r\n", 400),
    "superscript length": (HEAD + b"Content-Length: \xb2\r\n\r\n12", 400),
    "two lengths": (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    "list of lengths": (HEAD + b"Content-Length: 2, 2\r\n\r\n{}", 400),
    "huge length": (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{}", 413),
    "absurd length": (HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}", 413),
    "length and chunks": (CHUNKED[:-2] + b"Content-Length: 2\r\n\r\n0\r\n\r\n", 400),
    "chunks twice": (HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400),
    "two codings": (CHUNKED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "gzip, chunked": (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "gzip": (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 400),
    "unknown coding": (HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "chunks in 1.0": (CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", 400),
    "no chunk size": (CHUNKED + b"\r\n", 400),
    "chunk of letters": (CHUNKED + b"xyz\r\n", 400),
    "negative chunk": (CHUNKED + b"-1\r\n", 400),
    "chunk with 0x": (CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n", 400),
    "chunk with _": (CHUNKED + b"0_2\r\n{}\r\n0\r\n\r\n", 400),
    "huge chunk": (CHUNKED + b"fffffffff\r\n" + b" " * 33 * 1024**2, 413),
    "absurd chunk": (CHUNKED + b"f" * 5000 + b"\r\n", 413),
    "chunk without end": (CHUNKED + b"2\r\n{}00\r\n0\r\n\r\n", 400),
    "LF after chunk": (CHUNKED + b"2\n{}\r\n0\r\n\r\n", 400),
    "CR in extension": (CHUNKED + b"2;a\rb\r\n{}\r\n0\r\n\r\n", 400),
    "endless extension": (CHUNKED + b"2;" + b"a" * 500_000, 400),
    "bad trailer": (CHUNKED + b"0\r\nX\r\n\r\n", 400),
    "endless trailers": (CHUNKED + b"0\r\n" + b"X: y\r\n" * 100_000, 400),
    "length in trailer": (CHUNKED + b"0\r\nContent-Length: 2\r\n\r\n", 400),
    "one-byte chunks": (CHUNKED + b"1\r\n \r\n" * 500_000, 400),
    "too many chunks": (CHUNKED + (b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 600, 413),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_malformed_request_is_refused(target: Server, name: str) -> None:
    request, expected = BAD_REQUESTS[name]
    start = time.monotonic()
    with connect(target) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(request)
        status, _ = receive_response(client)
        assert status == expected
        if status >= 400:
            assert client.recv(65536) == b"", "the server must close the connection after an error"
    assert time.monotonic() - start < RESPONSE_LIMIT
    check_other_clients(target)


@pytest.mark.parametrize(
    "request_", [COMPLETE_REQUEST[:-5], CHUNKED + b"5\r\nab", COMPLETE_REQUEST[:20]]
)
def test_an_incomplete_request_gets_a_400(target: Server, request_: bytes) -> None:
    with connect(target) as client:
        client.sendall(request_)
        client.shutdown(socket.SHUT_WR)
        status, content = receive_response(client)
    message = "the request is incomplete: the connection ended before all of it arrived"
    assert (status, content["error"]) == (400, message)


def post_request(path: str, body: bytes) -> bytes:
    """Return a complete POST request with this body."""
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (
        path.encode(),
        len(body),
        body,
    )


ROUTES = ("/predict", "/predict/batch", "/explain", "/observations", "/retrain")
MIB = 1024 * 1024
BAD_BODIES: dict[str, bytes] = {
    "NaN": b'{"lights": [NaN, 0, 1], "alpha": NaN, "outcome": "walk"}',
    "Infinity": b'{"lights": [1, -Infinity, 1], "outcome": "walk"}',
    "NaN in a batch": b'{"lights": [[1, 0, 1], [1, NaN, 1]]}',
    "1e400": b'{"lights": [1e400, 0, 1], "outcome": "walk"}',
    "1e400 of a recipe": b'{"alpha": 1e400}',
    "4,000 digits": b'{"lights": [%s, 0, 1], "outcome": "walk"}' % (b"9" * 4000),
    "100,000 digits": b'{"lights": [%s, 0, 1], "outcome": "walk"}' % (b"9" * 100_000),
    "100,000 digits of a seed": b'{"seed": %s}' % (b"9" * 100_000),
    "4,000 digits of a seed": b'{"seed": %s}' % (b"9" * 4000),
    "10,000 deep": b"[" * 10_000 + b"]" * 10_000,
    "1,000,000 deep": b"[" * 1_000_000 + b"]" * 1_000_000,
    "100 deep": b'{"lights": ' + b"[" * 100 + b"]" * 100 + b', "outcome": "walk"}',
    "10,000 deep objects": b'{"lights":' * 10_000 + b"1" + b"}" * 10_000,
    "UTF-16": '{"lights": [1, 0, 1]}'.encode("utf-16"),
    "UTF-32": '{"lights": [1, 0, 1]}'.encode("utf-32"),
    "Latin-1": '{"lights": [1, 0, 1], "outcome": "wälk"}'.encode("latin-1"),
    "cut UTF-8": b'{"lights": [1, 0, 1], "outcome": "w\xe2\x82"}',
    "BOM": b'\xef\xbb\xbf{"lights": [1, 0, 1]}',
    "NUL in a text": b'{"lights": [1, 0, 1], "outcome": "walk", "id": "a\\u0000b"}',
    "NUL byte": b'{"lights": [1, 0, 1], "outcome": "walk", "id": "a\0b"}',
    "half a surrogate": b'{"lights": [1, 0, 1], "outcome": "walk", "id": "\\ud800"}',
    "whitespace": b" \r\n\t ",
    "text": b'"lights"',
    "number": b"1",
    "null": b"null",
    "list": b"[]",
    "form": b"lights=1,0,1",
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
    "two of them": b'{"lights": [1, 0, 1]} {"lights": [1, 0, 1]}',
}


def repeated(count: int, item: bytes, prefix: bytes, suffix: bytes) -> Callable[[float], bytes]:
    """Return a function that builds a body of `count` items, or of a share of them."""
    return lambda share: prefix + item * int(count * share) + suffix


# Bodies close to the limits on the size of a body and on the content of JSON.
LARGE_BODIES: dict[str, Callable[[float], bytes]] = {
    "16 MiB of [": repeated(16 * MIB, b"[", b"", b""),
    "16 MiB of numbers": repeated(8 * MIB - 20, b"1,", b'{"lights": [', b"1]}"),
    "a row of numbers": repeated(3_900_000, b"1,", b'{"lights": [[', b"1]]}"),
    "16 MiB of rows": repeated(4 * MIB - 20, b"[1],", b'{"lights": [', b"[1]]}"),
    "a million rows": repeated(999_990, b"[1,0,2],", b'{"lights": [', b"[1]]}"),
    "16 MiB of objects": repeated(5 * MIB, b"{},", b'{"observations": [', b"{}]}"),
    "a million objects": repeated(999_990, b"{},", b'{"observations": [', b"{}]}"),
    "16 MiB of text": repeated(16 * MIB - 20, b"x", b'{"lights": "', b'"}'),
    "a recipe of lists": repeated(
        300_000, b"{},", b'{"must_hold": [', b'{}], "hidden_sizes": [[]]}'
    ),
    "1,300,000 fields": lambda share: (
        b"{" + b",".join(b'"%d":1' % i for i in range(int(1_300_000 * share))) + b"}"
    ),
}


def check_refusals(target: Server, body: bytes) -> float:
    """Send the body to each route, which must refuse it; return the peak memory in MiB."""
    seconds = {}
    # Reset the peak memory.
    Path(f"/proc/{worker_of(target)}/clear_refs").write_text("5")
    for path in ROUTES:
        before = cpu_seconds(target)
        status, content = send(target, post_request(path, body))
        seconds[path] = round(cpu_seconds(target) - before, 2)
        assert status in {400, 413}, (path, content)
        assert len(content["error"]) < 3000
    assert max(seconds.values()) < 15, seconds
    check_other_clients(target)
    print(f"{seconds} s, peak {peak_mib(target):.0f} MiB")
    return peak_mib(target)


@pytest.mark.parametrize("name", BAD_BODIES)
def test_an_invalid_body_is_refused(target: Server, name: str) -> None:
    check_refusals(target, BAD_BODIES[name])


@pytest.mark.parametrize("share", [0.1, pytest.param(1, marks=pytest.mark.storm)])
@pytest.mark.parametrize("name", LARGE_BODIES)
def test_the_memory_for_a_large_body_is_bounded(target: Server, name: str, share: float) -> None:
    Path(f"/proc/{worker_of(target)}/clear_refs").write_text("5")
    before = peak_mib(target)
    limit = before + 250
    assert check_refusals(target, LARGE_BODIES[name](share)) < limit


@pytest.mark.storm
def test_the_memory_for_concurrent_large_bodies_is_bounded(target: Server) -> None:
    """Other clients get responses meanwhile."""
    request = post_request("/predict/batch", LARGE_BODIES["a million rows"](1))
    with ThreadPoolExecutor(8) as pool:
        pending = [pool.submit(send, target, request, 4 * DEADLINE) for _ in range(8)]
        check_other_clients(target, within=DEADLINE)
        assert {client.result()[0] for client in pending} == {413}
    print(f"peak {peak_mib(target):.0f} MiB")
    assert peak_mib(target) < 700


def test_the_last_of_duplicate_fields_is_used(target: Server) -> None:
    duplicate = b'{"lights": [0, 0, 1], "lights": [1, 0, 1]}'
    assert send(target, post_request("/predict", duplicate))[1]["decision"] == "walk"
    batch = b'{"lights": [[0, 0, 1]], "lights": [[1, 0, 1]]}'
    assert send(target, post_request("/predict/batch", batch))[1]["decisions"] == ["walk"]
    number = target.expect(202, "POST", "/retrain", b'{"seed": 1, "seed": 2}')["id"]
    assert target.get(f"/jobs/{number}")["recipe"]["seed"] == 2
    observation = b'{"lights": [9, 9, 9], "outcome": "walk", "outcome": "stop"}'
    number = target.expect(201, "POST", "/observations", observation)["results"][0]["id"]
    assert target.get(f"/observations?after={number - 1}")["observations"][0]["outcome"] == "stop"


def test_long_numbers_and_non_ascii_texts_are_accepted(target: Server) -> None:
    precise = b'{"lights": [1, 0, 0.%s]}' % (b"9" * 100_000)
    assert send(target, post_request("/predict", precise))[1]["decision"] == "walk"
    observation = {"lights": [1, 0, 1], "outcome": "walk", "id": "Ampel \U0001f6a6 am Straßeneck"}
    assert target.expect(201, "POST", "/observations", observation)["recorded"] == 1
    # An empty body means an empty object: every field of a recipe has a default.
    assert send(target, post_request("/retrain", b""))[0] == 202
    assert send(target, post_request("/predict", b""))[0] == 400


JUNK = b"9" * 3900
TARGETS = {
    b"/versions/" + JUNK: 404,
    b"/versions/" + JUNK + b"/weights": 404,
    b"/versions/%d9%a1": 404,
    b"/jobs/" + b"9" * 25: 404,
    b"/jobs/" + b"9" * 25 + b"/events": 404,
    b"/jobs/999999999": 404,
    b"/%00": 404,
    b"/%ff%fe": 404,
    b"/%": 404,
    b"/%2e%2e/%2e%2e/etc/passwd": 404,
    b"/versions//1%0d%0aX:%20y": 404,
    b"//x": 404,
    b"*": 400,
    b"http://[/livez": 400,
    b"/caf\xe9": 400,
    b"/predict?lights=%00,%ff,1": 400,
    b"/predict?lights=nan,0,1": 400,
    b"/predict?lights=1e999,0,1": 400,
    b"/predict?" + b"a=b&" * 900: 400,
    b"/predict?lights=" + b"1," * 1900 + b"1": 400,
    b"/predict?" + b"%" * 3000: 400,
    b"/observations?source=%00": 400,
    b"/observations?since=1e400": 400,
    b"/observations?limit=" + JUNK: 400,
    b"/livez?" + b"%" * 3000: 400,  # an unknown parameter
}


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path[:40].decode("latin-1"))
def test_an_invalid_url_is_refused(target: Server, path: bytes) -> None:
    assert send(target, b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)[0] == TARGETS[path]


def test_an_invalid_header_does_not_affect_other_headers(target: Server) -> None:
    observation = post_request("/observations", b'{"lights": [1, 0, 0], "outcome": "walk"}')
    for header, expected in (
        (b"Origin: http://[", 403),
        (b"Sec-Fetch-Site: \xff", 403),
        (b"X-Request-ID: a\tb\xff", 201),
        (b"Cookie: " + b"a=b;" * 2000, 201),
        (b"Content-Type: multipart/form-data; boundary=\xff", 201),
        (b"Idempotency-Key: \xff\xfe", 201),
        (b"Idempotency-Key: " + b"k" * 500, 400),
        (b"Authorization: Bearer \xff", 201),
        (b"X-Request-ID: a\r\nSet-Cookie: b", 201),
    ):
        status, _ = send(target, observation.replace(b"\r\n", b"\r\n%s\r\n" % header, 1))
        assert status == expected, header
    # A carriage return must not end the header that echoes the request ID.
    with connect(target) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\rSet-Cookie: b\r\n\r\n")
        assert b"Set-Cookie: b\r\n" not in client.recv(65536)


# Valid and invalid parts of requests, from which Hypothesis builds requests.
METHODS = [b"GET", b"POST", b"DELETE", b"PUT", b"HEAD", b"OPTIONS", b"get", b"", b"CONNECT", b"X\0"]
PATHS = [b"/predict", b"/predict/batch", b"/explain", b"/observations", b"/retrain", b"/livez"]
PATHS += [b"/versions/1", b"/versions/1/diff/1", b"/jobs/7", b"/rollback", b"/predict?lights=1,0,1"]
FIELDS = [b"Host: x", b"Connection: close", b"Connection: keep-alive", b"Expect: 100-continue"]
FIELDS += [b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Content-Length: 0"]
FIELDS += [b"Content-Length: 21", b"Content-Length: 5", b"Content-Length: x", b"Origin: http://["]
FIELDS += [b"Content-Encoding: gzip", b"Idempotency-Key: k", b"X-Request-ID: i", b"Host: y", b" z"]
BODIES = [
    BODY,
    b"15\r\n" + BODY + b"\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    b"ffffffffff\r\n",
    b"\x1f\x8b\x08",
]

bytes_of_a_line = st.binary(max_size=20)
raw_requests = st.one_of(
    st.binary(min_size=1, max_size=300),
    st.builds(
        lambda method, path, version, fields, end, body, more: (
            b" ".join([method, path, version]) + b"\r\n" + b"\r\n".join(fields) + end + body + more
        ),
        st.sampled_from(METHODS) | bytes_of_a_line,
        st.sampled_from(PATHS) | st.binary(max_size=60).map(lambda path: b"/" + path),
        st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0"]),
        st.lists(st.sampled_from(FIELDS) | bytes_of_a_line, min_size=1, max_size=6),
        st.sampled_from([b"\r\n\r\n", b"\r\n\r\n", b"\r\n\r\n", b"\n\n", b"\r\n"]),
        st.sampled_from(BODIES) | st.binary(max_size=60),
        st.sampled_from([b"", b"", b"GET /livez HTTP/1.1\r\n\r\n"]),
    ),
)

NAMES = ["lights", "outcome", "id", "observations", "seed", "alpha", "hidden_sizes", "must_hold"]
NAMES += ["iterations", "batch_size", "restarts", "target_error", "promote", "activation"]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["walk", "stop", "relu", "never", 0, 1, 2**31, 2**63, 2**64, 10**400, 1e308])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=8), inner, max_size=4)
        | st.just([1, 0, 1])
    ),
    max_leaves=12,
)
json_bodies = st.one_of(
    values.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(st.sampled_from(NAMES), values, max_size=4).map(
        lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    ),
    # JSON that is cut and followed by up to three random bytes.
    st.builds(
        lambda value, at, byte: (text := json.dumps(value).encode())[: at % len(text)] + byte,
        values,
        st.integers(0, 1000),
        st.binary(max_size=3),
    ),
)


def read_all_responses(
    server: Server, request: bytes, *, paused_at: int = 0
) -> list[tuple[int, bytes]]:
    """Send bytes, shut down writing, and return all responses; assert that each is well-formed."""
    with connect(server) as client, client.makefile("rb") as file:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(request[:paused_at])
            client.sendall(request[paused_at:])
            client.shutdown(socket.SHUT_WR)
        found = []
        while line := file.readline():
            status_line = re.fullmatch(rb"HTTP/1\.[01] ([1-5]\d\d) [^\r]+\r\n", line)
            assert status_line, (request, line)
            headers, status = parse_headers(file), int(status_line[1])
            assert status < 500, (request, headers)
            if status == 100:
                continue
            if request.lstrip(b"\r\n").startswith(b"HEAD "):
                file.read()
            body = file.read(int(headers["Content-Length"]))
            if status >= 400 and body:
                assert json.loads(body)["error"].strip()
            found.append((status, body))
        return found


@pytest.mark.parametrize("rounds", ROUNDS)
def test_any_bytes_get_a_well_formed_response(target: Server, rounds: int) -> None:
    count = 0

    @hypothesis.given(request_=raw_requests, paused_at=st.integers(0, 300))
    def any_bytes(request_: bytes, paused_at: int) -> None:
        nonlocal count
        count += 1
        assert read_all_responses(target, request_, paused_at=paused_at), request_

    run_hypothesis(any_bytes, 150 * rounds)
    check_other_clients(target)
    print(f"{count} requests of any bytes, {peak_mib(target):.0f} MiB")


@pytest.mark.parametrize("rounds", ROUNDS)
def test_any_body_gets_a_well_formed_response(target: Server, rounds: int) -> None:
    count = 0

    @hypothesis.given(path=st.sampled_from(ROUTES), body=json_bodies)
    def any_body(path: str, body: bytes) -> None:
        nonlocal count
        count += 1
        ((status, _),) = read_all_responses(target, post_request(path, body))
        assert status in {200, 201, 202, 207, 400}

    run_hypothesis(any_body, 150 * rounds)
    assert target.get("/readyz")["status"] == "ok"
    print(f"{count} bodies, {peak_mib(target):.0f} MiB")
