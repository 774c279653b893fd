"""Tests of the header `traceparent`, and of the trace in the lines of requests and jobs."""

import json
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from streetlight.service.observability.trace_context import parse_traceparent
from tests.client import invoke
from tests.server import DEADLINE, ForkedServer, Server
from tests.service.conftest import until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "valid"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", True),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what-follows", True),
        (f"00-{TRACE}-{SPAN}-01-what-follows", False),
        (f"cc-{TRACE}-{SPAN}-01.", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}-01\n", False),
        (f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}", False),
        ("", False),
        (None, False),
    ],
)
def test_a_header_is_valid_as_the_w3c_says(header: str | None, valid: bool) -> None:
    trace = parse_traceparent(header)

    assert (trace is not None) == valid
    assert trace is None or (trace.id, trace.traceparent) == (TRACE, header)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedServer]:
    with ForkedServer(tmp_path_factory.mktemp("traced"), trainer=True, prediction_log=True) as it:
        yield it


def lines(server: Server, **fields: Any) -> list[Any]:
    """Return the log lines with `fields`."""
    found = [
        json.loads(line)
        for line in server.log.read_text().splitlines()
        if line.startswith('{"time"')
    ]
    return [line for line in found if fields.items() <= line.items()]


def header(number: int) -> dict[str, str]:
    return {"traceparent": f"00-{number:032x}-{SPAN}-01"}


def send_invalid(server: Server, traceparent: str) -> None:
    """Send a request that the server rejects before the application sees it."""
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
        lines = f"traceparent: {traceparent}\r\nX-Forwarded-Proto: https\r\n"
        client.sendall(f"OPTIONS * HTTP/1.1\r\n{lines}\r\n".encode())
        assert b"400" in client.recv(4096)


@pytest.mark.process
def test_the_lines_of_a_request_have_its_trace(traced: ForkedServer) -> None:
    body = {"lights": [1, 0, 1]}
    traced.post("/predict", body, **header(1))
    traced.post("/predict", body, **header(2), **{"Content-Encoding": "identity"})
    traced.expect(404, "GET", "/none", **header(3))
    send_invalid(traced, header(4)["traceparent"])
    traced.post("/predict", body)
    traced.post("/predict", body, traceparent="00-x")

    for number in range(1, 5):
        [line] = until(lambda number=number: lines(traced, trace_id=f"{number:032x}"))  # type: ignore[misc]
        assert "span_id" not in line
        assert line["client"] == "127.0.0.1"
    until(lambda: len(lines(traced, path="/predict")) == 4)
    assert len([line for line in lines(traced, path="/predict") if "trace_id" in line]) == 2


@pytest.mark.process
def test_the_traceback_of_an_error_has_the_trace_of_its_request(server: ForkedServer) -> None:
    with closing(sqlite3.connect(server.data_dir / "streetlight.db")) as database:
        database.execute("DROP TABLE observations")

    server.expect(503, "GET", "/observations", **header(5))

    until(lambda: lines(server, path="/observations"))
    [error] = lines(server, level="error")
    assert "exception" in error
    assert error["trace_id"] == f"{5:032x}"
    server.post("/predict", {"lights": [1, 0, 1]}, **{"Content-Encoding": "identity"})
    until(lambda: lines(server, path="/predict"))
    assert "trace_id" not in lines(server, path="/predict")[0]


@pytest.mark.process
def test_the_lines_of_a_job_have_the_trace_of_its_request(traced: ForkedServer) -> None:
    job = traced.expect(202, "POST", "/retrain", {}, **header(6))["id"]
    until(lambda: traced.get(f"/jobs/{job}")["state"] == "succeeded")
    assert "traceparent" not in traced.get(f"/jobs/{job}")

    trainer = lines(traced, job=job)
    assert len(trainer) == 2
    assert {line["trace_id"] for line in trainer} == {f"{6:032x}"}
    job = traced.expect(202, "POST", "/retrain", {})["id"]
    until(lambda: traced.get(f"/jobs/{job}")["state"] == "succeeded")
    assert not any("trace_id" in line for line in lines(traced, job=job))


def test_a_job_of_the_command_has_the_trace_of_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in (header(7)["traceparent"], "invalid"):
        monkeypatch.setenv("TRACEPARENT", value)
        assert invoke("retrain", data_dir=tmp_path).stdout.startswith("job ")

    with closing(sqlite3.connect(tmp_path / "streetlight.db")) as database:
        stored = database.execute("SELECT traceparent FROM jobs ORDER BY id").fetchall()
    assert stored == [(header(7)["traceparent"],), (None,)]
