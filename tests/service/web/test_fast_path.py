"""The quick door: what goes through it, and that nobody can tell by the answer."""

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
from streetlight.service.web.response import FastPath
from tests.client import App
from tests.server import DEADLINE, Server
from tests.service.conftest import ROUNDS, try_out

BODY = b'{"lights": [1, 0, 1]}'
BATCH, INFER = "/predict/batch", "/v2/models/streetlight/infer"
ASKED = {
    "/predict": BODY,
    "/predict/batch": b'{"lights": [[1, 0, 1], [0, 0, 1], [0, 1, 1]]}',
    INFER: b'{"inputs": [{"name": "lights", "shape": [2, 3], "datatype": "FP64",'
    b' "data": [1, 0, 1, 0, 0, 1]}]}',
}
# It changes nothing, but is no field of a plain request.
THE_USUAL_WAY = "TE: trailers\r\n"


def request(
    body: bytes = BODY, more: str = "", length: int | None = None, path: str = "/predict"
) -> bytes:
    """The bytes of a request, as curl sends it."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/8.5.0\r\n"
        f"{more}Content-Length: {len(body) if length is None else length}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    )
    return head.encode("latin-1") + body


def packed(datatype: str = "FP64") -> tuple[bytes, str]:
    """The body that asks for two rows in binary, and the header that says where they begin."""
    numbers = np.array([1, 0, 1, 0, 0, 1]).astype(DTYPES[datatype]).tobytes()
    tensor: dict[str, Any] = {"name": "lights", "shape": [2, 3], "datatype": datatype}
    tensor["parameters"] = {"binary_data_size": len(numbers)}
    outputs = [{"name": "score", "parameters": {"binary_data": True}}, {"name": "decision"}]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    return head + numbers, f"Inference-Header-Content-Length: {len(head)}\r\n"


@pytest.fixture
def quick(shared_app: App) -> FastPath:
    """The door of a service with the lab's version live."""
    return shared_app.application.fast_path


def test_a_plain_request_is_answered(quick: Any) -> None:
    told = quick(request(more="X-Request-ID: mine\r\nConnection: Keep-Alive\r\n"))
    assert json.loads(told.body) == {"decision": "walk", "score": 1.0, "version": 1}
    assert (
        f"Content-Length: {len(told.body)}\r\nX-Request-ID: mine\r\n\r\n".encode() in told.headers
    )
    assert told.log_fields == {"request_id": "mine", "route": "/predict", "version": 1}
    proxied = (
        "X-Empty:\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nCookie: a=b; c\r\n"
    )
    assert re.search(rb"X-Request-ID: [0-9a-f]{32}\r\n", quick(request(more=proxied)).headers)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request()[:-1],
        request() + b"P",
        request() + request(),
        request(b""),
        request(BODY + b" " * 16384),
        request(b'{"lights": [1, 0]}'),
        request(b'{"lights": [[1, 0]]}', path="/predict/batch"),
        request(b'{"lights": [[1, 0, "1"]]}', path="/predict/batch"),
        request(path="/predict/"),
        request(ASKED[INFER], path="/v2/models/other/infer"),
        request(ASKED[INFER], path="/v2/models/streetlight/versions/1/infer"),
        request(ASKED[INFER], "Accept-Encoding: gzip\r\n", path=INFER),
        request(ASKED[INFER] + b" " * 16384, path=INFER),
        request(packed()[0], path=INFER),
        request(packed()[0], "Inference-Header-Content-Length: 9\r\n", path=INFER),
        request(*packed(), path="/predict"),
        request(b'{"lights": [1, 0, 1], "light": 1}'),
        request(b'{"lights": [1e999, 0, 1]}'),
        request(length=0),
        request().replace(b"HTTP/1.1", b"HTTP/1.0"),
        request().replace(b"POST", b"GET"),
        request().replace(b"/predict", b"/predict?"),
        request().replace(b"\r\n", b"\n"),
        request().replace(b"Host: 127.0.0.1:8000\r\n", b""),
        request().replace(b"Host:", b"Host :"),
        request().replace(b"curl/8.5.0", b"curl\r\n 8.5.0"),
        request().replace(b"curl/8.5.0", b"curl\x00"),
        request().replace(b"User-Agent", b"User_Agent"),
        *(
            request(more=more)
            for more in (
                "connection: upgrade\r\nUpgrade: h2c\r\n",
                "Content-Length: 21\r\n",
                "Content-Encoding: gzip\r\n",
                "Expect: 100-continue\r\n",
                "Host: other\r\n",
                "Transfer-Encoding: chunked\r\n",
                "X-Request-ID: two words\r\n",
                "X-Request-ID:  two-spaces\r\n",
                "X-Request-ID: space-behind \r\n",
                "Connection: close \r\n",
                "Connection:\r\n",
                "X-Request-ID: one\r\nX-Request-ID: two\r\n",
                THE_USUAL_WAY,
            )
        ),
    ],
)
def test_all_else_goes_the_usual_way(quick: Any, data: bytes) -> None:
    assert quick(data) is None


def test_what_takes_long_goes_to_a_thread(app: App) -> None:
    wide = ("--hidden-sizes", "1000", "--alpha", "0.001", "--iterations", "1")
    aims = ("--target-error", "none", "--batch-size", "all")
    app.train(*wide, *aims)
    for rows, at_once in ((5, True), (100, False)):
        many = json.dumps({"lights": [[1, 0, 1]] * rows}).encode()
        told = app.application.fast_path(request(many, path="/predict/batch"))
        assert (told is not None) == at_once


@pytest.fixture(scope="module")
def connected(shared_server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", shared_server.port), DEADLINE) as client:
        yield client


def answers(client: socket.socket, count: int) -> list[bytes]:
    """Read so many answers."""
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
        [*ASKED.values(), b'{"lights":[0.5,-0.0,1]}', b'{"lights":[1e308,1e308,1e308]}']
    ),
)


def test_who_wants_the_connection_closed_gets_the_same_too(shared_server: Server) -> None:
    said = []
    for more in ("", THE_USUAL_WAY):
        with socket.create_connection(("127.0.0.1", shared_server.port), DEADLINE) as client:
            client.sendall(request(more=f"Connection: close\r\nX-Request-ID: the-same\r\n{more}"))
            with client.makefile("rb") as file:
                said.append(re.sub(rb"Date: .*", b"Date", file.read()))
    assert said[0] == said[1]
    assert b"\nConnection: close\r\n" in said[0]


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT8", "BOOL", "BF16"])
def test_both_doors_say_the_same_of_packed_numbers(
    connected: socket.socket, quick: Any, datatype: str
) -> None:
    body, length = packed(datatype)
    assert (
        quick(request(body, length, path=INFER)).log_fields["route"] == "/v2/models/<model>/infer"
    )
    said = []
    for more in ("", THE_USUAL_WAY):
        connected.sendall(request(body, f"X-Request-ID: the-same\r\n{length}{more}", path=INFER))
        said += answers(connected, 1)
    assert said[0] == said[1]
    assert b"octet-stream" in said[0]


def test_a_head_and_its_body_may_come_apart(
    connected: socket.socket, shared_server: Server
) -> None:
    whole = request(more="X-Request-ID: the-same\r\n")
    connected.sendall(whole)
    [at_once] = answers(connected, 1)
    for cut in (whole.index(b"\r\n\r\n") + 4, 10, len(whole) - 1):
        connected.sendall(whole[:cut])
        # It has come when somebody else, who came later, is answered.
        shared_server.get("/livez")
        connected.sendall(whole[cut:])
        assert answers(connected, 1) == [at_once]


@given(body=bodies, path=st.sampled_from(list(ASKED)))
def test_both_doors_say_the_same_byte_for_byte(
    connected: socket.socket, body: bytes, path: str
) -> None:
    said = []
    for more in ("", THE_USUAL_WAY):
        connected.sendall(request(body, f"X-Request-ID: the-same\r\n{more}", path=path))
        said += answers(connected, 1)
    assert said[0] == said[1]


# Fields that a request may have many of, and still be a plain one.
USUAL = [
    *("User-Agent: curl/8.5.0", "Accept: */*", "Accept-Encoding: gzip, deflate", "Cookie: a=b; c"),
    *("Content-Type: application/json", "Content-Type: text/csv", "Content-Type:", "X-Empty:"),
    *("X-Request-ID: mine", "X-Request-ID:unspaced", "Connection: keep-alive", "Connection: close"),
    *("X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https", "Origin: http://elsewhere.example"),
    *("Sec-Fetch-Site: cross-site", "Authorization: Bearer x", "Idempotency-Key: k", "Range: x"),
    *("If-None-Match: *", "X-HTTP-Method-Override: DELETE", "Content-Language: en", "Date: now"),
]
# Fields that decide how a request is framed, decoded or refused, and lines that are no field.
UNUSUAL = [
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
LINES += ["POST {}? HTTP/1.1", "POST {}?a=b HTTP/1.1", "POST {}#x HTTP/1.1", "POST {}/ HTTP/1.1"]
SPELLINGS: list[Callable[[str], str]] = [str, str, str.lower, str.upper, str.title]


@st.composite
def any_requests(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A request, odd in some way or in none; and the same, but it surely goes the usual way."""
    odd = draw(st.sets(st.sampled_from(["body", "line", "usual", "unusual", "length"]), max_size=1))
    path = draw(st.sampled_from(list(ASKED)))
    body = draw(bodies) if "body" in odd else ASKED[path]
    line = draw(st.sampled_from(LINES)) if "line" in odd else "POST {} HTTP/1.1"
    once = None if "usual" in odd else lambda field: field.partition(":")[0]
    fields = draw(st.lists(st.sampled_from(USUAL), max_size=6, unique_by=once))
    if "unusual" in odd:
        fields += draw(st.lists(st.sampled_from(UNUSUAL), min_size=1, max_size=2))
    length = draw(st.integers(-1, 1)) if "length" in odd else 0
    fields += ["Host: 127.0.0.1:8000", f"Content-Length: {len(body) + length}"]
    spelt = []
    for field in draw(st.permutations(fields)):
        name, colon, value = field.partition(":")
        spelt.append(draw(st.sampled_from(SPELLINGS))(name) + colon + value)

    def written(*more: str) -> bytes:
        head = "\r\n".join([line.format(path), *spelt, *more, "", ""])
        return head.encode("latin-1") + body

    return written(), written("TE: trailers")


def all_that_is_said(server: Server, data: bytes) -> bytes:
    """Send bytes, and nothing after them; return every answer but for what is new each time."""
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
        said = b""
        with contextlib.suppress(ConnectionResetError), client.makefile("rb") as file:
            said = file.read()
    return re.sub(rb"(Date: |X-Request-ID: (?=[0-9a-f]{32}\r))[^\r]*", rb"\1", said)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_both_doors_say_the_same_whatever_the_head(
    shared_server: Server, quick: FastPath, rounds: int
) -> None:
    """Or the quick door leaves it to the other one; enough of each are tried."""
    answered: Counter[bool] = Counter()

    @given(ways=any_requests())
    def any_head(ways: tuple[bytes, bytes]) -> None:
        assert quick(ways[1]) is None
        answered[quick(ways[0]) is not None] += 1
        first, second = (all_that_is_said(shared_server, way) for way in ways)
        assert first == second
        assert first.startswith(b"HTTP/1.")

    try_out(any_head, 200 * rounds)
    assert min(answered[True], answered[False]) > 20 * rounds, answered


@pytest.mark.parametrize("path", ASKED)
def test_both_doors_count_and_log_the_same(shared_server: Server, path: str) -> None:
    def counted() -> dict[str, str]:
        lines = shared_server.request("GET", "/metrics").data.decode().splitlines()
        told = dict(line.rsplit(" ", 1) for line in lines if line.startswith("streetlight_"))
        times = ("_sum", "_bucket", "_seconds_total", "timestamp", "/metrics", "created")
        return {name: n for name, n in told.items() if not any(part in name for part in times)}

    seen = [counted()]
    logged = []
    with socket.create_connection(("127.0.0.1", shared_server.port), DEADLINE) as client:
        for more in ("", THE_USUAL_WAY):
            name = f"door{len(seen)}-of{path}"
            client.sendall(request(ASKED[path], f"{more}X-Request-ID: {name}\r\n", path=path))
            answers(client, 1)
            text = shared_server.said(f'"{name}"')
            line = json.loads(next(li for li in text.splitlines() if f'"{name}"' in li))
            logged.append({k: v for k, v in line.items() if k not in ("time", "duration_ms")})
            assert 0 < line["duration_ms"] < 10_000
            seen.append(counted())
    assert logged[0] | {"request_id": f"door2-of{path}"} == logged[1]
    first, second = (
        {name: float(after[name]) - float(before.get(name, 0)) for name in after}
        for before, after in pairwise(seen)
    )
    assert first == second
    walking = first['streetlight_predictions_total{decision="walk",version="1"}']
    assert walking == {"/predict": 1, "/predict/batch": 2, INFER: 1}[path]


def test_who_asks_often_and_reads_nothing_gets_every_answer_in_the_end(
    shared_server: Server, quick: FastPath
) -> None:
    """Answers that are longer than their requests, so that the server soon can send no more."""
    one = request(b'{"lights":[[1,0,1]' + b",[0,0,1]" * 2000 + b"]}", path=BATCH)
    asked, rest = 0, b""
    assert quick(one)
    with socket.socket() as client:
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            client.setsockopt(socket.SOL_SOCKET, buffer, 4096)
        client.connect(("127.0.0.1", shared_server.port))
        client.setblocking(False)

        def server_reads() -> bool:
            """The worker, which answers others meanwhile, still takes what this client sends."""
            for _ in range(20):
                if select.select([], [client], [], 0.05)[1]:
                    return True
                assert shared_server.post("/predict", {"lights": [1, 0, 1]})["decision"] == "walk"
            return False

        # Until the server can send no more.
        while asked < 2_000 and server_reads():
            rest = (rest or one)[client.send(rest or one) :]
            asked += not rest
        assert 20 < asked < 2_000
        client.settimeout(DEADLINE)
        assert all(answer.count(b"stop") == 2000 for answer in answers(client, asked))


def test_a_version_that_goes_live_answers_the_next_request(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
        client.sendall(request())
        assert b'"version":1' in answers(client, 1)[0]
        server.train("--seed", "5")
        client.sendall(request())
        assert b'"version":2' in answers(client, 1)[0]
        (server.data_dir / "models" / "live").unlink()
        client.sendall(request())
        assert b"503 SERVICE UNAVAILABLE" in answers(client, 1)[0]
