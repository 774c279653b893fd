"""Tests of the spans of requests, jobs and statements, with a collector."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streetlight.service.observability import spans
from tests.server import DEADLINE, ForkedServer, Server, environment, free_port
from tests.service.conftest import Site, until
from tests.service.observability.collector import Collector
from tests.service.observability.test_trace_context import lines, send_invalid

SERVER, CLIENT, CONSUMER = 2, 3, 5
PARENT = "00f067aa0ba902b7"
ROTEL = shutil.which("rotel-agent")


def header(number: int, flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{number:032x}-{PARENT}-{flags}"}


@contextmanager
def rotel(target: str, log: Path) -> Iterator[str]:
    """Run rotel, a collector that forwards to another one, and yield its endpoint.

    If it isn't installed, yield that of the other one.
    """
    if ROTEL is None:
        yield target
        return
    ports = free_port(), free_port()
    command = [
        *(ROTEL, "start", "--batch-timeout", "50ms"),
        *("--otlp-http-endpoint", f"127.0.0.1:{ports[0]}"),
        *("--otlp-grpc-endpoint", f"127.0.0.1:{ports[1]}"),
        *("--otlp-exporter-protocol", "http", "--otlp-exporter-endpoint", target),
    ]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as agent:
        try:
            until(lambda: b"tarting" in log.read_bytes())
            yield f"http://127.0.0.1:{ports[0]}"
        finally:
            agent.terminate()


@pytest.mark.process
def test_spans_come_from_every_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=a-test")
    with Collector() as collector, rotel(collector.endpoint, tmp_path / "rotel.log") as endpoint:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        settings = {"workers": 2, "trainer": True, "trusted_proxies": "127.0.0.1"}
        with ForkedServer(tmp_path / "data", **settings) as server:
            _check_spans(collector, server)


def _check_spans(collector: Collector, server: ForkedServer) -> None:
    body = {"lights": [1, 0, 1]}
    server.post("/predict", body, **header(1))
    server.post("/predict", body, **header(2), **{"Content-Encoding": "identity"})
    server.expect(404, "GET", "/none?key=hunter2", **header(3))
    send_invalid(server, header(4)["traceparent"])
    server.request("PROPFIND", "/livez")
    server.post("/predict", body, **header(8, "00"))
    job = server.expect(202, "POST", "/retrain", {}, **header(5))["id"]
    until(lambda: server.get(f"/jobs/{job}")["state"] == "succeeded")
    [retrain] = until(lambda: collector.spans(name="retrain"))

    [fast, flask] = until(lambda: _all(collector, 2, name="POST /predict"))
    for span in (fast, flask):
        assert (span["kind"], span["parent"]) == (SERVER, PARENT)
        assert span["http.request.method"] == "POST"
        assert span["http.route"] == span["url.path"] == "/predict"
        assert span["http.response.status_code"] == 200
        assert span["streetlight.version"] == 1
        assert span["url.scheme"] == "http"
        assert span["client.address"] == "127.0.0.1"
        assert span["service.name"] == "streetlight"
        assert span["deployment.environment.name"] == "a-test"
        assert 0 <= span["seconds"] < DEADLINE
    assert [fast["trace"], flask["trace"]] == [f"{1:032x}", f"{2:032x}"]
    [lost] = until(lambda: collector.spans(trace=f"{3:032x}"))
    assert (lost["name"], lost["http.response.status_code"]) == ("GET", 404)
    assert "http.route" not in lost
    assert not lost["failed"]
    [rejected] = until(lambda: collector.spans(trace=f"{4:032x}"))
    assert (rejected["http.response.status_code"], rejected["kind"]) == (400, SERVER)
    assert rejected["url.scheme"] == "https"
    [unknown] = until(lambda: collector.spans(**{"http.response.status_code": 405}))
    assert (unknown["name"], unknown["parent"]) == ("HTTP", "")

    # The job belongs to the request that has queued it.
    [request] = collector.spans(name="POST /retrain")
    assert (retrain["kind"], retrain["trace"]) == (CONSUMER, f"{5:032x}")
    assert retrain["parent"] == request["span"]
    assert retrain["process.pid"] != request["process.pid"]
    assert retrain["streetlight.job"] == job
    inserts = collector.spans(trace=f"{5:032x}", kind=CLIENT, name="INSERT")
    assert any(it["parent"] == request["span"] for it in inserts)
    assert all("?" in it["db.query.text"] for it in inserts)
    updates = until(lambda: collector.spans(trace=f"{5:032x}", kind=CLIENT, name="UPDATE"))
    assert any(it["parent"] == retrain["span"] for it in updates)
    # The lines of the log name the spans.
    assert {line["span_id"] for line in lines(server, job=job)} == {retrain["span"]}
    [line] = until(lambda: lines(server, trace_id=f"{1:032x}"))
    assert line["span_id"] == fast["span"]
    # The caller has decided that this trace isn't recorded.
    assert collector.spans(trace=f"{8:032x}") == []
    assert len(lines(server, trace_id=f"{8:032x}")) == 1
    assert "hunter2" not in json.dumps(collector.spans())


def _all(collector: Collector, count: int, **fields: object) -> list[dict[str, Any]] | None:
    found = sorted(collector.spans(**fields), key=lambda span: span["trace"])
    return found if len(found) == count else None


@pytest.mark.process
def test_a_statement_is_a_span_without_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str | None
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        with Site(tmp_path, database_url) as server:
            server.expect(404, "GET", "/observations/123456789", **header(6))
            [request] = until(lambda: collector.spans(trace=f"{6:032x}", kind=SERVER))
            [select] = collector.spans(trace=f"{6:032x}", name="SELECT")
    assert select["parent"] == request["span"]
    assert select["db.system.name"] == ("postgresql" if database_url else "sqlite")
    assert "FROM observations" in select["db.query.text"]
    assert "123456789" not in select["db.query.text"]


@pytest.mark.process
def test_a_process_that_stops_exports_its_last_spans(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.endpoint}/v1/traces")
        with ForkedServer(tmp_path) as server:
            server.post("/predict", {"lights": [1, 0, 1]})
            assert server.stop() == 0
        assert len(collector.spans(name="POST /predict")) == 1


@pytest.mark.process
def test_a_collector_that_is_away_delays_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with ForkedServer(tmp_path, trainer=True) as server:
        for _ in range(20):
            server.post("/predict", {"lights": [1, 0, 1]})
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10


@pytest.mark.process
def test_the_log_says_that_the_extra_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is with opentelemetry-api alone."""
    package = tmp_path / "without" / "opentelemetry"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "without"))
    with Server(tmp_path / "data") as server:
        server.post("/predict", {"lights": [1, 0, 1]})
        [line] = [it for it in lines(server) if "no spans are exported" in it["message"]]
    assert "No module named 'opentelemetry." in line["message"]
    assert "pip install streetlight[otel]" in line["message"]
    assert line["level"] == "warning"


@pytest.mark.parametrize(
    ("variables", "logged"),
    [
        ({"EXPORTER_OTLP_ENDPOINT": "http://x"}, ""),
        ({"EXPORTER_OTLP_PROTOCOL": "grpc"}, ""),
        (
            {"EXPORTER_OTLP_ENDPOINT": "http://x", "EXPORTER_OTLP_PROTOCOL": "grpc"},
            "no spans are exported: OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf, got grpc",
        ),
        ({"EXPORTER_OTLP_ENDPOINT": "http://x", "SDK_DISABLED": "true"}, ""),
        ({"EXPORTER_OTLP_ENDPOINT": "http://x", "TRACES_EXPORTER": "none"}, ""),
    ],
)
def test_the_variables_of_opentelemetry_decide(
    variables: dict[str, str],
    logged: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_{name}", value)
    wanted = variables.keys() <= {"EXPORTER_OTLP_ENDPOINT"} or bool(logged)

    assert spans.is_wanted() == wanted
    spans.prepare()
    assert caplog.messages == [logged] * bool(logged)


@pytest.mark.process
def test_without_an_endpoint_nothing_is_imported(tmp_path: Path) -> None:
    variables = {
        name: value for name, value in environment().items() if not name.startswith("OTEL_")
    }
    code = (
        "import sys, streetlight.service.cli, streetlight.service.server.worker;"
        "from streetlight.service.observability import spans; spans.start();"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    command = [sys.executable, "-P", "-c", code]
    run = subprocess.run(
        command, env=variables, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"
