"""The quick door: what goes through it, and that nobody can tell by the answer."""

import json
import re
import select
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streetlight.service.config import Settings
from streetlight.service.inference.tensors import DTYPES
from streetlight.service.web.fast_path import build_fast_path
from streetlight.service.web.response import RawResponse
from streetlight.service.wiring import build_services
from tests.server import DEADLINE, Server, streetlight

BODY = b'{"lights": [1, 0, 1]}'
INFER = "/v2/models/streetlight/infer"
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


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bytes], RawResponse | None]:
    """The door of a service with the lab's version live."""
    folder = tmp_path_factory.mktemp("quick")
    assert streetlight("train", data_dir=folder).returncode == 0
    return build_fast_path(build_services(Settings(data_dir=folder)))


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


def test_what_takes_long_goes_to_a_thread(tmp_path: Path) -> None:
    assert streetlight("train", data_dir=tmp_path).returncode == 0
    wide = ("--hidden-sizes", "1000", "--alpha", "0.001", "--iterations", "1")
    aims = ("--target-error", "none", "--batch-size", "all")
    assert streetlight("train", *wide, *aims, data_dir=tmp_path).returncode == 0
    quick = build_fast_path(build_services(Settings(data_dir=tmp_path)))
    for rows, at_once in ((5, True), (100, False)):
        many = json.dumps({"lights": [[1, 0, 1]] * rows}).encode()
        told = quick(request(many, path="/predict/batch"))
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


@settings(max_examples=150, deadline=None)
@given(body=bodies, path=st.sampled_from(list(ASKED)))
def test_both_doors_say_the_same_byte_for_byte(
    connected: socket.socket, body: bytes, path: str
) -> None:
    said = []
    for more in ("", THE_USUAL_WAY):
        connected.sendall(request(body, f"X-Request-ID: the-same\r\n{more}", path=path))
        said += answers(connected, 1)
    assert said[0] == said[1]


@pytest.mark.parametrize("path", ASKED)
def test_both_doors_count_and_log_the_same(server: Server, path: str) -> None:
    def counted() -> dict[str, str]:
        lines = server.request("GET", "/metrics").data.decode().splitlines()
        told = dict(line.rsplit(" ", 1) for line in lines if line.startswith("streetlight_"))
        times = ("_sum", "_bucket", "_seconds_total", "timestamp", "/metrics", "created")
        return {name: n for name, n in told.items() if not any(part in name for part in times)}

    seen = [counted()]
    logged = []
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
        for more in ("", THE_USUAL_WAY):
            named = f"{more}X-Request-ID: door{len(seen)}\r\n"
            client.sendall(request(ASKED[path], named, path=path))
            answers(client, 1)
            text = server.said(f'"door{len(seen)}"')
            line = json.loads(next(li for li in text.splitlines() if f"door{len(seen)}" in li))
            logged.append({k: v for k, v in line.items() if k not in ("time", "duration_ms")})
            assert 0 < line["duration_ms"] < 10_000
            seen.append(counted())
    assert logged[0] | {"request_id": "door2"} == logged[1]
    first, second = (
        {name: float(after[name]) - float(before.get(name, 0)) for name in after}
        for before, after in pairwise(seen)
    )
    assert first == second
    walking = first['streetlight_predictions_total{decision="walk",version="1"}']
    assert walking == {"/predict": 1, "/predict/batch": 2, INFER: 1}[path]


def test_who_asks_often_and_reads_nothing_gets_every_answer_in_the_end(server: Server) -> None:
    one, asked, rest = request(), 0, b""
    with socket.socket() as client:
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            client.setsockopt(socket.SOL_SOCKET, buffer, 4096)
        client.connect(("127.0.0.1", server.port))
        client.setblocking(False)

        def server_reads() -> bool:
            """The worker, which answers others meanwhile, still takes what this client sends."""
            for _ in range(20):
                if select.select([], [client], [], 0.05)[1]:
                    return True
                assert server.post("/predict", {"lights": [1, 0, 1]})["decision"] == "walk"
            return False

        # One at a time, so that each comes by itself, until the server can send no more.
        while asked < 50_000 and server_reads():
            rest = (rest or one)[client.send(rest or one) :]
            asked += not rest
        assert 1000 < asked < 50_000
        client.settimeout(DEADLINE)
        assert all(b'"walk"' in answer for answer in answers(client, asked))


def test_a_version_that_goes_live_answers_the_next_request(server: Server, tmp_path: Path) -> None:
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
        client.sendall(request())
        assert b'"version":1' in answers(client, 1)[0]
        assert streetlight("train", "--seed", "5", data_dir=tmp_path).returncode == 0
        client.sendall(request())
        assert b'"version":2' in answers(client, 1)[0]
        (tmp_path / "models" / "live").unlink()
        client.sendall(request())
        assert b"503 SERVICE UNAVAILABLE" in answers(client, 1)[0]
