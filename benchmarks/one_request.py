"""Benchmark of one prediction: through the fast path and through Flask, as a whole and in parts.

A request with a header that the fast path doesn't handle, here `Content-Encoding`, goes through
Flask.
"""

import io
import logging
import timeit
from collections.abc import Callable
from pathlib import Path

from benchmarks import bodies, results
from benchmarks.contenders import CONTENDERS, STREETLIGHT
from benchmarks.load import Load, measure, median
from benchmarks.results import Table
from benchmarks.servers import running
from streetlight.service.config.settings import Settings
from streetlight.service.inference import prediction, resolution
from streetlight.service.inference.codecs.native import PredictBody
from streetlight.service.inference.messages import json_response
from streetlight.service.inference.result import Prediction
from streetlight.service.observability import logs, metrics
from streetlight.service.server.fast_path import FastPath
from streetlight.service.server.request_parser import RequestParser
from streetlight.service.web.factory import create_app
from streetlight.service.wiring import build_services
from tests.server import streetlight

ROUNDS = 7
CALLS = 5_000
BODY = bodies.one_row(v2=False)
HEAD = (
    "POST /predict HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(BODY)}\r\n\r\n"
)
THROUGH_FLASK = {"Content-Encoding": "identity"}


def both_paths(folder: Path) -> Table:
    """Return a table of the cost of a request on each path, measured in turns."""
    body = folder / "body"
    body.write_bytes(BODY)
    contender = next(c for c in CONTENDERS if c.name == STREETLIGHT)
    loads = {
        "fast path": Load(contender.one, body),
        "Flask": Load(contender.one, body, 1, THROUGH_FLASK),
    }
    with running(contender, folder, folder / "log") as server:
        turns = [
            {name: measure(server, load, 1) for name, load in loads.items()} for _ in range(ROUNDS)
        ]
    costs = {name: median([turn[name] for turn in turns]) for name in loads}
    rows = [[name, f"{c.cpu:.0f}", f"{c.rate:,.0f}", f"{c.p99:.2f}"] for name, c in costs.items()]
    return Table("The whole request", ["path", "CPU us", "requests/s", "p99 ms"], rows)


def parts(folder: Path) -> Table:
    """Return a table of the time of the application and of its parts, in this process."""
    services = build_services(Settings(data_dir=folder))
    metrics.share_counters(1)
    metrics.worker_slot = 0
    app, fast_path, parser = create_app(services), FastPath(services), RequestParser(10**6)
    data = HEAD.encode() + BODY
    parser.feed(data)
    request = parser.completed.popleft()

    def parse() -> None:
        parser.feed(data)
        parser.completed.clear()

    version = resolution.live_version(services.repository)
    predicted = Prediction("walk", 1.0, version.number)
    formatter = logs.JsonLines()
    line = logging.LogRecord("x", logging.INFO, "", 0, "%s %s %s", ("POST", "/predict", 200), None)

    def through_flask() -> list[bytes]:
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/predict",
            "SCRIPT_NAME": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "wsgi.url_scheme": "http",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "127.0.0.1:8000",
            "CONTENT_LENGTH": str(len(BODY)),
            "wsgi.input": io.BytesIO(BODY),
        }
        return list(app(environ, lambda *_: io.BytesIO().write))

    timed: dict[str, Callable[[], object]] = {
        "the application, through Flask": through_flask,
        "the application, by the fast path": lambda: fast_path(request),
        "parse the request": parse,
        "part: validate the body": lambda: PredictBody.model_validate_json(BODY),
        "part: find the live version": lambda: resolution.live_version(services.repository),
        "part: compute the score": lambda: prediction.score_row(version, [1.0, 0.0, 1.0], "lights"),
        "part: encode the response": lambda: json_response(predicted, version.number),
        "part: count the request": lambda: metrics.count_request("/predict", "POST", 200, 0.001),
        "part: count the inference": lambda: metrics.count_inference(1, 1, 0, (0.1,) * 3, 1.0),
        "format a log line": lambda: formatter.format(line),
    }
    rows = [
        [name, f"{min(timeit.repeat(act, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6:.1f}"]
        for name, act in timed.items()
    ]
    note = (
        "The rest of a whole request is spent in the kernel, in the worker's event loop and, "
        "through Flask, in passing it to a thread and back."
    )
    return Table("Its parts", ["", "us"], rows, note)


def main(folder: Path) -> None:
    """Run the benchmark and write `results/one_request.md`."""
    if (trained := streetlight("train", data_dir=folder)).returncode:
        raise RuntimeError(trained.stderr)
    summary = f"One row, one connection kept, one worker; {ROUNDS} rounds."
    results.write("one_request", "One request", summary, [both_paths(folder), parts(folder)])
