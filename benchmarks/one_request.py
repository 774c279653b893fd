"""One request: what it costs through either door, part by part.

Before the quick door there was only the usual one; a header that isn't plain still leads there.
"""

import io
import logging
import timeit
from collections.abc import Callable
from pathlib import Path

from benchmarks import bodies, results
from benchmarks.contenders import CONTENDERS, STREETLIGHT, running
from benchmarks.load import Load, measure, median
from benchmarks.results import Table
from streetlight.service.config import Settings
from streetlight.service.inference import prediction, resolution
from streetlight.service.observability import logs, metrics
from streetlight.service.web.api.predict import PredictBody
from streetlight.service.web.factory import create_app
from streetlight.service.web.fast_path import build_fast_path
from streetlight.service.web.response import dump_json
from streetlight.service.wiring import build_services
from tests.server import streetlight

ROUNDS = 7
CALLS = 5_000
BODY = bodies.one_row(v2=False)
HEAD = (
    "POST /predict HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(BODY)}\r\n\r\n"
)
USUAL = {"TE": "trailers"}


def both_doors(folder: Path) -> Table:
    """Ask a server through each door, turn by turn."""
    body = folder / "body"
    body.write_bytes(BODY)
    contender = next(c for c in CONTENDERS if c.name == STREETLIGHT)
    loads = {"quick": Load(contender.one, body), "usual": Load(contender.one, body, 1, USUAL)}
    with running(contender, folder, folder / "log") as server:
        turns = [
            {name: measure(server, load, 1) for name, load in loads.items()} for _ in range(ROUNDS)
        ]
    costs = {name: median([turn[name] for turn in turns]) for name in loads}
    rows = [[name, f"{c.cpu:.0f}", f"{c.rate:,.0f}", f"{c.p99:.2f}"] for name, c in costs.items()]
    return Table("The whole", ["door", "CPU us", "requests/s", "p99 ms"], rows)


def parts(folder: Path) -> Table:
    """Time what the application does, in this process."""
    services = build_services(Settings(data_dir=folder))
    metrics.share_counters(str(folder))
    app, quick, data = create_app(services), build_fast_path(services), HEAD.encode() + BODY
    version = resolution.live_version(services.repository)
    told = prediction.predict(version, [1.0, 0.0, 1.0])
    formatter = logs.JsonLines()
    line = logging.LogRecord("x", logging.INFO, "", 0, "%s %s %s", ("POST", "/predict", 200), None)

    def usual() -> list[bytes]:
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
        "the application, by the usual door": usual,
        "the application, by the quick door": lambda: quick(data),
        "of it: validate the body": lambda: PredictBody.model_validate_json(BODY),
        "of it: read which version is live": lambda: resolution.live_version(services.repository),
        "of it: compute the score": lambda: prediction.predict(version, [1.0, 0.0, 1.0]),
        "of it: write the answer": lambda: dump_json(told),
        "of it: count the request": lambda: metrics.count_request("/predict", "POST", 200, 0.001),
        "of it: count the inference": lambda: metrics.count_inference(1, 1, 0, (0.1,) * 3, 1.0),
        "a line of log": lambda: formatter.format(line),
    }
    rows = [
        [name, f"{min(timeit.repeat(act, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6:.1f}"]
        for name, act in timed.items()
    ]
    said = "The rest of the whole is the kernel's, the poller's and, by the usual door, gunicorn's."
    return Table("Its parts", ["", "us"], rows, said)


def main(folder: Path) -> None:
    """Measure, and write `results/one_request.md`."""
    if (trained := streetlight("train", data_dir=folder)).returncode:
        raise RuntimeError(trained.stderr)
    said = f"One row, one connection kept, one worker; {ROUNDS} rounds."
    results.write("one_request", "One request", said, [both_doors(folder), parts(folder)])
