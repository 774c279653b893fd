"""Tests of the logs: one JSON line for each request, plain text on a terminal, no injection."""

import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.server import DEADLINE, STREETLIGHT, ForkedServer, Server, environment, free_port
from tests.service.conftest import until

pytestmark = pytest.mark.process


def lines(log: Path) -> list[Any]:
    """Return the lines from gunicorn's first on, without the example of a request."""
    text = log.read_text()
    gunicorn_lines = text[text.index('{"time"') :].splitlines()
    return [
        json.loads(line)
        for line in gunicorn_lines
        if line and not line.startswith(("Street", "  curl"))
    ]


def line_of(server: Server, request_id: str) -> Any:
    """Wait for the line of a request, which may be written after the response, and return it."""

    def found() -> list[Any]:
        return [line for line in lines(server.log) if line.get("request_id") == request_id]

    (line,) = until(found)
    return line


def test_each_request_is_logged_as_one_line(shared_server: Server) -> None:
    body = {"lights": [1, 0, 0.123456789]}
    response = shared_server.request("POST", "/predict", body, **{"X-Request-ID": "a-prediction"})
    line = line_of(shared_server, "a-prediction")

    names = "time level message logger request_id client method route path status"
    names += " duration_ms bytes"
    assert " ".join(sorted(line)) == " ".join(sorted([*names.split(), "version"]))
    assert (line["method"], line["route"], line["path"]) == ("POST", "/predict", "/predict")
    assert (line["level"], line["status"], line["version"]) == ("info", 200, 1)
    assert line["bytes"] == len(response.data)
    assert 0 < line["duration_ms"] < 30_000
    assert line["time"].endswith("+00:00")

    weights = shared_server.request("GET", "/versions/1/weights", **{"X-Request-ID": "weights"})
    line = line_of(shared_server, "weights")
    assert line["bytes"] == len(weights.data) > 0
    shared_server.request("HEAD", "/versions/1/weights", **{"X-Request-ID": "head"})
    assert line_of(shared_server, "head")["bytes"] == 0
    assert (line["route"], "version" in line) == ("/versions/<version:number>/weights", False)

    shared_server.request("GET", "/predict?lights=1,0,0.987654321", **{"X-Request-ID": "query"})
    assert line_of(shared_server, "query")["path"] == "/predict"
    log = shared_server.log.read_text()
    assert "0.123456789" not in log
    assert "0.987654321" not in log


def test_a_request_rejected_by_gunicorn_is_counted_and_logged(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
        client.sendall(b"GET /predict HTTP/1.1\r\nNo colon\r\n\r\n")
        head = client.makefile("rb").read().decode()
    assert head.startswith("HTTP/1.1 400 Bad Request")
    (request_id,) = re.findall("X-Request-ID: (.*)\r", head)

    line = line_of(server, request_id)
    assert (line["level"], line["status"]) == ("warning", 400)
    assert line["message"].startswith("rejected: 400 ")
    metrics = server.request("GET", "/metrics").data.decode()
    assert 'streetlight_requests_total{method="other",route="other",status="400"} 1.0' in metrics


@pytest.mark.parametrize("path", ["/a%0a%7b%7d", "/\x1b[31m\x7f\x85", "/" + '\\"' * 1500])
def test_a_path_cannot_forge_or_break_a_line(shared_server: Server, path: str) -> None:
    name = f"forger-{len(path)}"
    with socket.create_connection(("127.0.0.1", shared_server.port), DEADLINE) as client:
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-ID: {name}\r\n"
        client.sendall(f"{request}\r\n".encode("latin-1"))
        response = client.makefile("rb").read()
    if not response.startswith(b"HTTP/1.1 404"):
        assert response.startswith(b"HTTP/1.1 400")  # from gunicorn, which doesn't log the id
        assert name not in shared_server.log.read_text()
        return

    line = line_of(shared_server, name)

    assert line["route"] == "other"
    assert line["path"] == path[:300] + "…" * (len(path) > 300)
    assert max(map(len, shared_server.log.read_bytes().splitlines())) < 4096


def test_logs_on_a_terminal_are_plain_text(tmp_path: Path) -> None:
    port = free_port()
    reader, terminal = os.openpty()
    settings = {"data_dir": tmp_path, "port": port, "workers": 1}
    server = subprocess.Popen(
        [STREETLIGHT, "serve"],
        env=environment(**settings),
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    output = b""

    def read_until(text: bytes) -> None:
        nonlocal output
        deadline = time.monotonic() + DEADLINE
        while text not in output:
            assert select.select([reader], [], [], deadline - time.monotonic())[0], output
            output += os.read(reader, 4096)

    try:
        read_until(b"  curl http://")
        read_until(b"waits for jobs")
        with socket.create_connection(("127.0.0.1", port), DEADLINE) as client:
            client.sendall(b"GET /predict?lights=1,0,1 HTTP/1.0\r\nX-Request-ID: me\r\n\r\n")
            client.makefile("rb").read()
        read_until(b"request_id=me")
    finally:
        server.terminate()
        server.wait(DEADLINE)
        os.close(reader)
    text = output.decode()
    assert '{"time"' not in text
    assert "warning: STREETLIGHT_API_KEY is not set" in text
    (line,) = [line for line in text.splitlines() if "request_id=me" in line]
    assert line.split()[1:4] == ["GET", "/predict", "200"]
    assert "version=1" in line


@pytest.mark.parametrize("level", ["debug", "info"])
def test_what_a_library_says_is_left_out_unless_the_level_is_debug(level: str) -> None:
    code = (
        "from streetlight.service.observability import logs\n"
        f"logs.configure({level!r})\n"
        "import alembic.command"
    )
    command = [sys.executable, "-c", code]
    logged = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    assert ("setup plugin" in logged) == (level == "debug")


PROBES = ["/livez", "/readyz", "/ping", "/health", "/healthy", "/metrics"]
PROBES += ["/v2/health/live", "/v2/health/ready", "/v2/models/streetlight/ready"]


@pytest.mark.parametrize("level", ["debug", "INFO", "warning"])
def test_the_level_selects_the_lines(level: str, tmp_path: Path) -> None:
    with ForkedServer(tmp_path, log_level=level, health_route="/healthy", trainer=True) as server:
        for path in PROBES:
            assert server.request("GET", path).status == 200
        server.post("/predict", {"lights": [1, 0, 1]})
        server.request("GET", "/v2/models/none/ready")  # a probe that fails
        with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
            client.sendall(b"GET /\x80 HTTP/1.1\r\n\r\n")
            assert client.recv(4096)
        job = server.expect(202, "POST", "/retrain", {})["id"]
        until(lambda: server.get(f"/jobs/{job}")["state"] == "succeeded")
        server.stop()

    logged = lines(server.log)
    levels = ["debug", "info", "warning", "error"]
    assert {line["level"] for line in logged} <= set(levels[levels.index(level.lower()) :])
    paths = [line["path"] for line in logged if "path" in line]
    assert all((paths.count(path) > 0) == (level == "debug") for path in PROBES)
    assert ("/predict" in paths) == ("/v2/models/none/ready" in paths) == (level != "warning")
    assert any("rejected: 400" in line["message"] for line in logged)
    trainer = any("waits for jobs" in line["message"] for line in logged)
    assert trainer == (level != "warning")
