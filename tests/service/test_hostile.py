"""Clients that send slowly, nothing, too much or rubbish: refused, and nobody else notices."""

import contextlib
import json
import resource
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from http.client import parse_headers
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from tests.server import DEADLINE, Server
from tests.service.conftest import until

HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"lights": [1, 0, 1]}'
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# A machine that tests in four processes may take so long for what takes a millisecond.
SOON = 5.0


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One worker, whom all tests here attack in turn: it must stay the same process."""
    with Server(tmp_path_factory.mktemp("hostile")) as server:
        worker = worker_of(server)
        yield server
        assert worker_of(server) == worker
        assert "Traceback" not in server.log.read_text()


def worker_of(server: Server) -> int:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    (worker,) = children.read_text().split()
    return int(worker)


def peak_mib(server: Server) -> float:
    """The most memory that the worker has had."""
    status = Path(f"/proc/{worker_of(server)}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), DEADLINE)


def answer_on(client: socket.socket) -> tuple[int, Any]:
    """Read the one answer that is to come, as `answer_from` does."""
    with client.makefile("rb") as file:
        return answer_from(file)


def answer_from(file: BinaryIO) -> tuple[int, Any]:
    """Read one answer: its status, and its JSON; an error must say something."""
    version, status, _ = file.readline().split(b" ", 2)
    assert version == b"HTTP/1.1"
    headers = parse_headers(file)
    told = json.loads(file.read(int(headers["Content-Length"])))
    if int(status) >= 400:
        assert isinstance(told["error"], str)
        assert told["error"]
    assert headers["X-Request-ID"]
    assert int(status) < 500, told
    return int(status), told


def ask(server: Server, request: bytes) -> tuple[int, Any]:
    """Send bytes on a connection of their own, and read the answer."""
    with connect(server) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(request)
        return answer_on(client)


def others_are_served(server: Server, within: float = SOON) -> None:
    """Ask as others do, on new connections and on one that is kept."""
    start = time.monotonic()
    for _ in range(3):
        assert ask(server, b"GET /predict?lights=1,0,1 HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
        assert server.post("/predict", {"lights": [1, 0, 1]})["version"] == 1
    assert time.monotonic() - start < within


def slow_header(client: socket.socket) -> None:
    client.sendall(b"X")


def nothing(_client: socket.socket) -> None:
    pass


def a_chunk(client: socket.socket) -> None:
    client.sendall(b"1\r\n \r\n")


@pytest.mark.parametrize(
    ("begin", "go_on"),
    [
        (b"", nothing),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ", slow_header),
        (HEAD + b"Content-Length: 1000\r\n\r\n", slow_header),
        (HEAD + b"Content-Length: 10000000\r\n\r\n", slow_header),
        (HEAD + b"Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n", nothing),
        (CHUNKED, a_chunk),
    ],
    ids=["nothing", "head", "body", "large body", "100-continue", "endless chunks"],
)
def test_forty_who_are_slow_keep_nobody_waiting(
    target: Server, begin: bytes, go_on: Callable[[socket.socket], None]
) -> None:
    with contextlib.ExitStack() as slow:
        clients = [slow.enter_context(connect(target)) for _ in range(40)]
        for client in clients:
            client.sendall(begin)
        for _ in range(3):
            for client in clients:
                go_on(client)
            others_are_served(target)


def test_two_thousand_who_say_nothing_keep_nobody_waiting(target: Server) -> None:
    """More than may be connected at once: the one who waited longest has to go."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 3000:
        pytest.skip("this machine allows too few files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3000), hard))
    with contextlib.ExitStack() as idle:
        clients = [idle.enter_context(connect(target)) for _ in range(1000)]
        for client in clients[::2]:
            client.sendall(b"GET /")
        others_are_served(target)
        clients += [idle.enter_context(connect(target)) for _ in range(1000)]
        others_are_served(target)
        assert answer_on(clients[0])[0] == 408
        # Those who came last are still there, and answered when they speak at last.
        clients[-1].sendall(WHOLE)
        assert answer_on(clients[-1])[0] == 200
    others_are_served(target)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_those_who_do_not_hang_up_keep_nobody_waiting(target: Server) -> None:
    """Gunicorn lingers for who is told to close; that must not hold up the loop of a worker."""
    with contextlib.ExitStack() as lingering:
        for _ in range(40):
            client = lingering.enter_context(connect(target))
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert answer_on(client)[0] == 200
        others_are_served(target)


@pytest.mark.storm
def test_who_is_too_slow_is_told_and_who_is_slow_is_waited_for(target: Server) -> None:
    with contextlib.ExitStack() as slow:
        late = [slow.enter_context(connect(target)) for _ in range(3)]
        late[0].sendall(b"GET / HTTP/1.1\r\n")
        late[1].sendall(HEAD + b"Content-Length: 10\r\n\r\n")
        late[2].sendall(CHUNKED)
        silent = slow.enter_context(connect(target))
        patient = slow.enter_context(connect(target))
        start = time.monotonic()
        for i in range(20):
            patient.sendall(WHOLE[i : i + 1])
            late[2].sendall(b"1\r\n \r\n")
            time.sleep(1)
        patient.sendall(WHOLE[20:])
        assert answer_on(patient)[0] == 200
        for client in late:
            client.settimeout(DEADLINE + 10)
            assert answer_on(client)[0] == 408
            assert client.recv(1) == b""
            assert 25 < time.monotonic() - start < 45
        assert silent.recv(1) == b""


def test_a_request_may_come_byte_by_byte_and_several_at_once(target: Server) -> None:
    chunked = CHUNKED + b"a;x=y\r\n" + BODY[:10] + b"\r\n%x\r\n" % (len(BODY) - 10)
    chunked += BODY[10:] + b"\r\n0\r\nX-Trailer: x\r\n\r\n"
    for request in (WHOLE, chunked):
        with connect(target) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(request)):
                client.sendall(request[i : i + 1])
            assert answer_on(client)[0] == 200
            # Pipelined: three in a row, the last one cut.
            client.sendall(request * 2 + request[:-5])
            with client.makefile("rb") as file:
                assert answer_from(file)[1]["decision"] == "walk"
                assert answer_from(file)[1]["decision"] == "walk"
                client.sendall(request[-5:])
                assert answer_from(file)[1]["decision"] == "walk"


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(target: Server) -> None:
    with connect(target) as client:
        client.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert client.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(BODY)
        assert answer_on(client)[0] == 200
        # Who would send too much is not told to.
        client.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
        assert answer_on(client)[0] == 413


def test_curl_sends_large_bodies_both_ways(target: Server, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b'{"lights": [[1, 0, 1]]' + b" " * 2_000_000 + b"}")
    for more in ([], ["-H", "Transfer-Encoding: chunked"]):
        curl = ["curl", "-sS", "-m", "20", *more, "--data-binary", f"@{tmp_path / 'body'}"]
        command = [*curl, f"{target.url}/predict/batch"]
        said = subprocess.run(command, capture_output=True, check=True)
        assert json.loads(said.stdout)["decisions"] == ["walk"]


def test_many_large_bodies_are_taken_in_turn(target: Server) -> None:
    large = b'{"lights": [1, 0, 1]' + b" " * 1_000_000 + b"}"
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(large) + large
    with contextlib.ExitStack() as all_of_them:
        clients = [all_of_them.enter_context(connect(target)) for _ in range(12)]
        for client in clients:
            client.sendall(request[:300_000])
        others_are_served(target)
        # Nobody is answered by the four who are first: they stop. The others have their turn.
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
            assert answer_on(client)[0] == 200
        assert [answer_on(client)[0] for client in clients[:4]] == [408] * 4


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
    "scheme": (GET + b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n\r\n", 400),
    "length of letters": (HEAD + b"Content-Length: x\r\n\r\n", 400),
    "negative length": (HEAD + b"Content-Length: -1\r\n\r\n", 400),
    "signed length": (HEAD + b"Content-Length: +1\r\n\r\n1", 400),
    "no length": (HEAD + b"Content-Length: \r\n\r\n", 400),
    "superscript length": (HEAD + b"Content-Length: \xb2\r\n\r\n12", 400),
    "two lengths": (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    "list of lengths": (HEAD + b"Content-Length: 2, 2\r\n\r\n{}", 400),
    "huge length": (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{}", 413),
    "absurd length": (HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}", 400),
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
    "huge chunk": (CHUNKED + b"fffffffff\r\n", 413),
    "absurd chunk": (CHUNKED + b"f" * 5000 + b"\r\n", 400),
    "chunk without end": (CHUNKED + b"2\r\n{}00\r\n0\r\n\r\n", 400),
    "LF after chunk": (CHUNKED + b"2\n{}\r\n0\r\n\r\n", 400),
    "CR in extension": (CHUNKED + b"2;a\rb\r\n{}\r\n0\r\n\r\n", 400),
    "bad extension": (CHUNKED + b"2;=\r\n{}\r\n0\r\n\r\n", 400),
    "endless extension": (CHUNKED + b"2;" + b"a" * 500_000, 400),
    "bad trailer": (CHUNKED + b"0\r\nX\r\n\r\n", 400),
    "endless trailers": (CHUNKED + b"0\r\n" + b"X: y\r\n" * 100_000, 400),
    "length in trailer": (CHUNKED + b"0\r\nContent-Length: 2\r\n\r\n", 400),
    "dust": (CHUNKED + b"1\r\n \r\n" * 500_000, 400),
    "too many chunks": (CHUNKED + (b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 600, 413),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_what_is_no_request_is_refused_in_a_sentence(target: Server, name: str) -> None:
    request, expected = BAD_REQUESTS[name]
    start = time.monotonic()
    with connect(target) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(request)
        status, _ = answer_on(client)
        assert status == expected
        if status >= 400:
            assert client.recv(65536) == b"", "the connection is of no use after that"
    assert time.monotonic() - start < SOON
    others_are_served(target)


@pytest.mark.parametrize("request_", [WHOLE[:-5], CHUNKED + b"5\r\nab", WHOLE[:20]])
def test_who_ends_before_the_request_does_is_told(target: Server, request_: bytes) -> None:
    with connect(target) as client:
        client.sendall(request_)
        client.shutdown(socket.SHUT_WR)
        status, told = answer_on(client)
    assert (status, told["error"]) == (400, "the connection ended before the request did")
