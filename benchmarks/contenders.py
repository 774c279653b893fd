"""The contenders: servers to compare, with their commands, packages and paths.

Their applications are in `peers`, their processes in `servers`, their requests in `workloads`.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).with_name("peers")
BIN = Path(sys.executable).parent

STREETLIGHT = "Streetlight"
FLASK = "Flask's idiom, gunicorn sync"
FASTAPI = "FastAPI + uvicorn, async"
ROBYN = "Robyn"
TRITON = "Triton, Python backend"
FLOOR = "raw ASGI, constant, uvicorn worker"

V2_PATH = "/v2/models/decisions/infer"  # of the peers
GUNICORN = ("{bin}/gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "1")


@dataclass(frozen=True)
class Contender:
    """A server to measure.

    Attributes:
        name: name in the tables.
        command: command that starts the server; `{port}`, `{bin}` and `{workers}` are replaced.
        packages: name of the requirements file in `peers`, without `.txt`, or `None` for the
            environment of this project.
        one: path for one row.
        many: path for many rows, or `None` if there is none.
        infer: path for one row as JSON of the Open Inference Protocol, likewise.
        binary: path for many rows as a binary tensor of that protocol, likewise.
        explain: path for the explanation of one row, likewise.
        v2: whether `one` and `many` take JSON of that protocol.
        settings: additional environment variables.
        workers: number of worker processes; workloads for another number don't use the server.
    """

    name: str
    command: tuple[str, ...]
    packages: str | None = None
    one: str = "/predict"
    many: str | None = "/predict/batch"
    infer: str | None = None
    binary: str | None = None
    explain: str | None = None
    v2: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1


def _uvicorn(name: str, path: str) -> Contender:
    command = ("{bin}/uvicorn", "fastapi_app:app", "--port", "{port}", "--workers", "{workers}")
    binary = None if path else "/binary"
    return Contender(name, command, "fastapi", f"{path}/predict", f"{path}/predict/batch", binary)


def _mlserver(name: str, workers: int) -> Contender:
    settings = {
        "MLSERVER_PARALLEL_WORKERS": str(workers),
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_GRPC_PORT": "0",
        "MLSERVER_METRICS_ENDPOINT": "",
    }
    command = ("{bin}/mlserver", "start", f"{PEERS}/mlserver")
    return Contender(
        name, command, "mlserver", V2_PATH, V2_PATH, V2_PATH, v2=True, settings=settings
    )


CONTENDERS = [
    Contender(
        STREETLIGHT,
        (f"{BIN}/streetlight", "serve"),
        infer="/v2/models/streetlight/infer",
        binary="/v2/models/streetlight/infer",
        explain="/explain",
    ),
    Contender(
        "bare WSGI, gunicorn gthread",
        (*GUNICORN, "--worker-class", "gthread", "--threads", "12", "bare_app:app"),
        many=None,
    ),
    Contender(
        FLOOR,
        (*GUNICORN, "--worker-class", "uvicorn_worker.UvicornWorker", "bare_asgi_app:app"),
        "uvicorn_worker",
        many=None,
    ),
    Contender(FLASK, (*GUNICORN, "flask_app:app"), explain="/explain"),
    _uvicorn(FASTAPI, ""),
    _uvicorn("FastAPI + uvicorn, def", "/def"),
    Contender(
        "LitServe", ("{bin}/python", f"{PEERS}/litserve_app.py"), "litserve", many="/predict"
    ),
    Contender(
        "BentoML",
        ("{bin}/bentoml", "serve", "bentoml_app:Decisions", "--port", "{port}"),
        "bentoml",
    ),
    _mlserver("MLServer", 0),
    _mlserver("MLServer, parallel workers", 1),
    Contender(
        TRITON,
        ("{bin}/python", f"{PEERS}/triton_app.py"),
        "triton",
        one=V2_PATH,
        many=V2_PATH,
        infer=V2_PATH,
        binary=V2_PATH,
        v2=True,
    ),
    Contender(ROBYN, ("{bin}/python", f"{PEERS}/robyn_app.py"), "robyn"),
    Contender(
        "Streetlight's app in granian",
        (
            *("{bin}/granian", "--interface", "wsgi", "--port", "{port}"),
            "streetlight.service.server.wsgi:app",
        ),
        "granian",
        settings={"PYTHONPATH": f"{ROOT}/src:{next(BIN.parent.glob('lib/python*/site-packages'))}"},
    ),
]
CONTENDERS += [replace(c, workers=2) for c in CONTENDERS if c.name in {STREETLIGHT, FASTAPI}]
