"""Tests of the fast path: its requests, and responses equal to those of the application."""

import contextlib
import json
import re
import select
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetlight.service.inference.tensors import DTYPES
from streetlight.service.server.fast_path import FastPath, FastResponse
from streetlight.service.server.request_parser import RequestParser
from tests.client import App
from tests.server import DEADLINE, Server
from tests.service.conftest import ROUNDS, run_hypothesis

BODY = b'{"lights": [1, 0, 1]}'
BATCH, INFER = "/predict/batch", "/v2/models/streetlight/infer"
V1 = "/v1/models/streetlight:predict"
VALID_BODIES = {
    "/predict": BODY,
    "/predict/batch": b'{"lights": [[1, 0, 1], [0, 0, 1], [0, 1, 1]]}',
    INFER: b'{"inputs": [{"name": "lights", "shape": [2, 3], "datatype": "FP64",'
    b' "data": [1, 0, 1, 0, 0, 1]}]}',
    V1: b'{"instances": [[1, 0, 1], [0, 0, 1]]}',
}
# This header doesn't change the response, but the fast path leaves the request to the application.
FORCE_NORMAL_PATH = "Content-Encoding: identity\r\n"

Answer = Callable[[bytes], FastResponse | None]


def request(
    body: bytes = BODY, more: str = "", length: int | None = None, path: str = "/predict"
) -> bytes:
    """Return the bytes of a request as curl sends it."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/8.5.0\r\n"
        f"{more}Content-Length: {len(body) if length is None else length}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    return head.encode("latin-1") + body


def binary_request(datatype: str = "FP64") -> tuple[bytes, str]:
    """Return a body with two rows in binary, and the header with the length of its JSON."""
    numbers = np.array([1, 0, 1, 0, 0, 1]).astype(DTYPES[datatype]).tobytes()
    tensor: dict[str, Any] = {"name": "lights", "shape": [2, 3], "datatype": datatype}
    tensor["parameters"] = {"binary_data_size": len(numbers)}
    outputs = [{"name": "score", "parameters": {"binary_data": True}}, {"name": "decision"}]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    return head + numbers, f"Inference-Header-Content-Length: {len(head)}\r\n"


def fast_path_of(app: App) -> Answer:
    """Return a function that parses a request, and has the fast path answer it."""
    answer = FastPath(app.services)

    def respond(data: bytes) -> FastResponse | None:
        parser = RequestParser(10**6)
        parser.feed(data)
        return answer(parser.completed[0]) if parser.completed else None

    return respond


@pytest.fixture
def fast_path(shared_app: App) -> Answer:
    """The fast path of a service with the lab's version live."""
    return fast_path_of(shared_app)


def test_a_plain_request_is_answered_by_the_fast_path(fast_path: Any) -> None:
    response = fast_path(request(more="X-Request-ID: mine\r\nConnection: Keep-Alive\r\n"))
    assert json.loads(response.body) == {"decision": "walk", "score": 1.0, "version": 1}
    assert f"\r\nContent-Length: {len(response.body)}\r\n".encode() in response.headers
    assert response.headers.endswith(b"\r\nX-Request-ID: mine\r\n\r\n")
    route = {"route": "/predict", "version": 1, "key": None}
    assert response.log_fields == {"request_id": "mine", **route}
    for more in ("", "X-Empty:\r\nCookie: a=b; c\r\n", "X-Request-ID: two words\r\n"):
        headers = fast_path(request(more=more)).headers
        assert re.search(rb"X-Request-ID: [0-9a-f]{32}\r\n", headers)


def test_a_get_request_is_answered_by_the_fast_path(fast_path: Any) -> None:
    get = b"GET /predict?lights=%s HTTP/1.1\r\nHost: x\r\n\r\n"
    assert json.loads(fast_path(get % b"1,0,1").body)["decision"] == "walk"
    assert json.loads(fast_path(get % b"0%2C0,1").body)["decision"] == "stop"
    assert json.loads(fast_path(get % b"0&lights=0&lights=1").body)["decision"] == "stop"
    assert json.loads(fast_path(get % b"0%2C0&lights=1").body)["decision"] == "stop"
    for query in (b"1,0,1&lights=1", b"1,0,1&x", b"1,0", b"", b"1,0,1#x"):
        assert fast_path(get % query) is None


@pytest.mark.parametrize(
    "data",
    [
        request(b""),
        request(BODY + b" " * 16384),
        request(b'{"lights": [1, 0]}'),
        request(b'{"lights": [[1, 0]]}', path="/predict/batch"),
        request(b'{"lights": [[1, 0, "1"]]}', path="/predict/batch"),
        request(b'{"instances": [[1, 0]]}', path=V1),
        request(path="/predict/"),
        request(VALID_BODIES[INFER], path="/v2/models/other/infer"),
        request(VALID_BODIES[INFER], path="/v2/models/streetlight/versions/1/infer"),
        request(VALID_BODIES[INFER], "Accept-Encoding: gzip\r\n", path=INFER),
        request(VALID_BODIES[INFER] + b" " * 16384, path=INFER),
        request(binary_request()[0], path=INFER),
        request(binary_request()[0], "Inference-Header-Content-Length: 9\r\n", path=INFER),
        request(*binary_request(), path="/predict"),
        request(b'{"lights": [1, 0, 1], "light": 1}'),
        request(b'{"lights": [1e999, 0, 1]}'),
        request(length=0),
        request().replace(b"POST", b"HEAD"),
        request().replace(b"/predict", b"/pr%65dict"),
        request().replace(b"/predict", b"http://127.0.0.1:8000/predict"),
        request(more="Content-Encoding: gzip\r\n"),
        request(more=FORCE_NORMAL_PATH),
    ],
)
def test_other_requests_take_the_normal_path(fast_path: Any, data: bytes) -> None:
    assert fast_path(data) is None


def test_a_long_prediction_takes_the_normal_path(app: App) -> None:
    wide = ("--hidden-sizes", "1000", "--alpha", "0.001", "--iterations", "1")
    options = ("--target-error", "none", "--batch-size", "all")
    app.train(*wide, *options)
    for rows, at_once in ((5, True), (100, False)):
        many = json.dumps({"lights": [[1, 0, 1]] * rows}).encode()
        response = fast_path_of(app)(request(many, path="/predict/batch"))
        assert (response is not None) == at_once


@pytest.fixture(scope="module")
def connected(shared_server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", shared_server.port), DEADLINE) as client:
        yield client


def read_responses(client: socket.socket, count: int) -> list[bytes]:
    """Read `count` responses."""
    with client.makefile("rb") as file:
        found = []
        for _ in range(count):
            head = b"".join(iter(file.readline, b"\r\n"))
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length, head
            found.append(re.sub(rb"Date: .*", b"Date", head) + file.read(int(length[1])))
        return found


bodies = st.one_of(
    st.lists(
        st.one_of(st.floats(), st.integers(), st.booleans(), st.text(max_size=3)), max_size=4
    ).map(lambda lights: json.dumps({"lights": lights}).encode()),
    st.binary(max_size=60),
    st.sampled_from(
        [*VALID_BODIES.values(), b'{"lights":[0.5,-0.0,1]}', b'{"lights":[1e308,1e308,1e308]}']
    ),
)


@pytest.mark.process
def test_both_paths_close_a_connection_with_the_same_response(shared_server: Server) -> None:
    responses = []
    for more in ("", FORCE_NORMAL_PATH):
        with socket.create_connection(("127.0.0.1", shared_server.port), DEADLINE) as client:
            client.sendall(request(more=f"Connection: close\r\nX-Request-ID: the-same\r\n{more}"))
            with client.makefile("rb") as file:
                responses.append(re.sub(rb"Date: .*", b"Date", file.read()))
    assert responses[0] == responses[1]
    assert b"\nConnection: close\r\n" in responses[0]


@pytest.mark.process
@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT8", "BOOL", "BF16"])
def test_both_paths_return_the_same_bytes_for_binary_tensors(
    connected: socket.socket, fast_path: Any, datatype: str
) -> None:
    body, length = binary_request(datatype)
    assert (
        fast_path(request(body, length, path=INFER)).log_fields["route"]
        == "/v2/models/<model>/infer"
    )
    responses = []
    for more in ("", FORCE_NORMAL_PATH):
        connected.sendall(request(body, f"X-Request-ID: the-same\r\n{length}{more}", path=INFER))
        responses += read_responses(connected, 1)
    assert responses[0] == responses[1]
    assert b"octet-stream" in responses[0]


@pytest.mark.process
def test_a_request_may_arrive_in_two_parts(connected: socket.socket, shared_server: Server) -> None:
    whole = request(more="X-Request-ID: the-same\r\n")
    connected.sendall(whole)
    [at_once] = read_responses(connected, 1)
    for cut in (whole.index(b"\r\n\r\n") + 4, 10, len(whole) - 1):
        connected.sendall(whole[:cut])
        # A response to a later request shows that the worker has read the first part.
        shared_server.get("/livez")
        connected.sendall(whole[cut:])
        assert read_responses(connected, 1) == [at_once]


@pytest.mark.process
@given(body=bodies, path=st.sampled_from(list(VALID_BODIES)))
def test_both_paths_return_the_same_bytes_for_any_body(
    connected: socket.socket, body: bytes, path: str
) -> None:
    responses = []
    for more in ("", FORCE_NORMAL_PATH):
        connected.sendall(request(body, f"X-Request-ID: the-same\r\n{more}", path=path))
        responses += read_responses(connected, 1)
    assert responses[0] == responses[1]


# Fields with which a request usually takes the fast path.
ORDINARY_FIELDS = [
    *("User-Agent: curl/8.5.0", "Accept: */*", "Accept-Encoding: gzip, deflate", "Cookie: a=b; c"),
    *("Content-Type: application/json", "Content-Type: text/csv", "Content-Type:", "X-Empty:"),
    *("X-Request-ID: mine", "X-Request-ID:unspaced", "Connection: keep-alive", "Connection: close"),
    *("X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https", "Origin: http://elsewhere.example"),
    *("Sec-Fetch-Site: cross-site", "Authorization: Bearer x", "Idempotency-Key: k", "Range: x"),
    *("If-None-Match: *", "X-HTTP-Method-Override: DELETE", "Content-Language: en", "Date: now"),
]
# Fields that affect the framing, decoding or refusal of a request, and malformed fields.
SPECIAL_FIELDS = [
    *("Expect: 100-continue", "Expect: tea", "Host: other", "Host:", "Host: a b", "Host: ü"),
    *("Content-Length:", "Content-Length: 0", "Content-Length: 21", "Content-Length: +21"),
    *("Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "TE: gzip", "Trailer: X-Y"),
    *("Content-Encoding: gzip", "Content-Encoding: identity", "Content-Encoding: br", "X Y: z"),
    *("Connection: Keep-Alive, TE", "Connection: upgrade", "Upgrade: h2c", "Keep-Alive: 5", "no"),
    *("X-Request-ID: two words", "X-Request-ID:  mine", "X-Request-ID: mine ", "X-Request-ID: é"),
    *("Inference-Header-Content-Length: 0", "Inference-Header-Content-Length: x", "X_Y: z"),
    *("X-Forwarded-Proto: ftp", "X-Forwarded-Ssl: on", "X-Forwarded-Protocol: ssl", "X-Y : z"),
    *("Proxy-Connection: close", "HTTP2-Settings: x", "X-Y: \t", "X-Y: \x01", " folded", ": x"),
    *("Accept-Encoding: gzip;q=0", "Accept-Encoding: br;q=x", "SCRIPT_NAME: x", "X: " + "y" * 9000),
]  # fmt: skip
LINES = ["POST {} HTTP/1.0", "POST {} HTTP/2.0", "PUT {} HTTP/1.1", "post {} HTTP/1.1"]
LINES += ["POST  {} HTTP/1.1", "POST http://127.0.0.1:8000{} HTTP/1.1", "POST /{} HTTP/1.1"]
LINES += ["GET {} HTTP/1.1", "GET {}?lights=1,0,1 HTTP/1.1", "GET {}?lights=1,,1 HTTP/1.1"]
LINES += ["POST {}? HTTP/1.1", "POST {}?a=b HTTP/1.1", "POST {}#x HTTP/1.1", "POST {}/ HTTP/1.1"]
SPELLINGS: list[Callable[[str], str]] = [str, str, str.lower, str.upper, str.title]


@st.composite
def any_requests(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw a request with at most one unusual part, and the same request through Flask."""
    unusual_part = draw(
        st.sets(st.sampled_from(["body", "line", "repeated", "special", "length"]), max_size=1)
    )
    path = draw(st.sampled_from(list(VALID_BODIES)))
    body = draw(bodies) if "body" in unusual_part else VALID_BODIES[path]
    line = draw(st.sampled_from(LINES)) if "line" in unusual_part else "POST {} HTTP/1.1"
    once = None if "repeated" in unusual_part else lambda field: field.partition(":")[0]
    fields = draw(st.lists(st.sampled_from(ORDINARY_FIELDS), max_size=6, unique_by=once))
    if "special" in unusual_part:
        fields += draw(st.lists(st.sampled_from(SPECIAL_FIELDS), min_size=1, max_size=2))
    length = draw(st.integers(-1, 1)) if "length" in unusual_part else 0
    fields += ["Host: 127.0.0.1:8000", f"Content-Length: {len(body) + length}"]
    lines = []
    for field in draw(st.permutations(fields)):
        name, colon, value = field.partition(":")
        lines.append(draw(st.sampled_from(SPELLINGS))(name) + colon + value)

    def as_bytes(*more: str) -> bytes:
        head = "\r\n".join([line.format(path), *lines, *more, "", ""])
        return head.encode("latin-1") + body

    if any(line.lower().startswith("content-encoding") for line in lines):
        return as_bytes(), as_bytes()  # neither takes the fast path
    return as_bytes(), as_bytes(FORCE_NORMAL_PATH.strip())


def all_responses(server: Server, data: bytes) -> bytes:
    """Send bytes, shut down writing, and return all responses without dates and generated IDs."""
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        responses = b""
        with contextlib.suppress(ConnectionResetError), client.makefile("rb") as file:
            responses = file.read()
    return re.sub(rb"(Date: |X-Request-ID: (?=[0-9a-f]{32}\r))[^\r]*", rb"\1", responses)


@pytest.mark.process
@pytest.mark.parametrize("rounds", ROUNDS)
def test_both_paths_return_the_same_bytes_for_any_head(
    shared_server: Server, fast_path: Answer, rounds: int
) -> None:
    """Both requests that the fast path answers and requests that it refuses are drawn."""
    by_path: Counter[bool] = Counter()

    @given(requests=any_requests())
    def any_head(requests: tuple[bytes, bytes]) -> None:
        assert fast_path(requests[1]) is None
        by_path[fast_path(requests[0]) is not None] += 1
        first, second = (all_responses(shared_server, request_bytes) for request_bytes in requests)
        assert first == second
        assert first.startswith(b"HTTP/1.")

    run_hypothesis(any_head, 200 * rounds)
    assert min(by_path[True], by_path[False]) > 20 * rounds, by_path


@pytest.mark.process
@pytest.mark.parametrize("path", VALID_BODIES)
def test_both_paths_count_and_log_the_same(shared_server: Server, path: str) -> None:
    def counters() -> dict[str, str]:
        lines = shared_server.request("GET", "/metrics").data.decode().splitlines()
        values = dict(line.rsplit(" ", 1) for line in lines if line.startswith("streetlight_"))
        times = ("_sum", "_bucket", "_seconds_total", "timestamp", "/metrics", "created")
        return {name: n for name, n in values.items() if not any(part in name for part in times)}

    samples = [counters()]
    logged = []
    with socket.create_connection(("127.0.0.1", shared_server.port), DEADLINE) as client:
        for more in ("", FORCE_NORMAL_PATH):
            name = f"path{len(samples)}-of{path}"
            client.sendall(
                request(VALID_BODIES[path], f"{more}X-Request-ID: {name}\r\n", path=path)
            )
            read_responses(client, 1)
            text = shared_server.wait_for_log(f'"{name}"')
            line = json.loads(next(li for li in text.splitlines() if f'"{name}"' in li))
            logged.append({k: v for k, v in line.items() if k not in ("time", "duration_ms")})
            assert 0 < line["duration_ms"] < 10_000
            samples.append(counters())
    assert logged[0] | {"request_id": f"path2-of{path}"} == logged[1]
    first, second = (
        {name: float(after[name]) - float(before.get(name, 0)) for name in after}
        for before, after in pairwise(samples)
    )
    assert first == second
    walks = first['streetlight_predictions_total{decision="walk",version="1"}']
    assert walks == {"/predict": 1, "/predict/batch": 2, INFER: 1, V1: 1}[path]


@pytest.mark.process
def test_a_client_that_reads_late_gets_every_response(
    shared_server: Server, fast_path: Answer
) -> None:
    """The responses are longer than the requests, so that the send buffer of the server fills."""
    large_request = request(b'{"lights":[[1,0,1]' + b",[0,0,1]" * 2000 + b"]}", path=BATCH)
    sent, rest = 0, b""
    assert fast_path(large_request)
    with socket.socket() as client:
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            client.setsockopt(socket.SOL_SOCKET, buffer, 4096)
        client.connect(("127.0.0.1", shared_server.port))
        client.setblocking(False)

        def server_reads() -> bool:
            """Return whether the worker reads from this client while it answers others."""
            for _ in range(20):
                if select.select([], [client], [], 0.05)[1]:
                    return True
                assert shared_server.post("/predict", {"lights": [1, 0, 1]})["decision"] == "walk"
            return False

        # Send requests until the server stops reading.
        while sent < 2_000 and server_reads():
            rest = (rest or large_request)[client.send(rest or large_request) :]
            sent += not rest
        assert 5 < sent < 2_000
        client.settimeout(DEADLINE)
        assert all(response.count(b"stop") == 2000 for response in read_responses(client, sent))


@pytest.mark.process
def test_the_next_request_uses_a_promoted_version(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
        client.sendall(request())
        assert b'"version":1' in read_responses(client, 1)[0]
        server.train("--seed", "5")
        client.sendall(request())
        assert b'"version":2' in read_responses(client, 1)[0]
        (server.data_dir / "models" / "live").unlink()
        client.sendall(request())
        assert b"503 SERVICE UNAVAILABLE" in read_responses(client, 1)[0]
