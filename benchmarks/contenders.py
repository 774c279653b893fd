"""Contenders: who is measured against whom, how each is started, and in which environment."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import urllib3

from benchmarks import bodies, process_tree
from tests.server import environment, free_port

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).with_name("peers")
ENVIRONMENTS = ROOT / ".bench"
OURS = Path(sys.executable).parent
DEADLINE = 30.0

OUR = "Streetlight"
FLOOR = "the floor: bare WSGI in our worker"
FASTAPI = "FastAPI + uvicorn, async"

GUNICORN = (f"{OURS}/gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "1")
WITH_OUR_CONFIG = (
    f"{OURS}/gunicorn",
    "--config",
    "python:streetlight.service.server.gunicorn_conf",
)


class NotInstalledError(RuntimeError):
    """An environment can't be made; the message is the last line of why."""


@dataclass(frozen=True)
class Contender:
    """A server, and how it is asked.

    Attributes:
        name: as in the tables.
        command: how it is started; `{port}` and `{bin}` are filled in.
        packages: the file in `peers` that says what it needs; ours need nothing more.
        one: the path for one row.
        many: the path for many rows, if it takes them.
        binary: the path for many rows as a binary tensor of the Open Inference Protocol, likewise.
        v2: whether it speaks only the Open Inference Protocol.
        settings: environment variables of its own.
    """

    name: str
    command: tuple[str, ...]
    packages: str | None = None
    one: str = "/predict"
    many: str | None = "/predict/batch"
    binary: str | None = None
    v2: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


def _uvicorn(name: str, path: str) -> Contender:
    command = ("{bin}/uvicorn", "fastapi_app:app", "--port", "{port}")
    binary = None if path else "/binary"
    return Contender(name, command, "fastapi", f"{path}/predict", f"{path}/predict/batch", binary)


def _mlserver(name: str, workers: int) -> Contender:
    path = "/v2/models/decisions/infer"
    settings = {
        "MLSERVER_PARALLEL_WORKERS": str(workers),
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_GRPC_PORT": "0",
        "MLSERVER_METRICS_ENDPOINT": "",
    }
    command = ("{bin}/mlserver", "start", f"{PEERS}/mlserver")
    return Contender(name, command, "mlserver", path, path, None, True, settings)


CONTENDERS = [
    Contender(OUR, (f"{OURS}/streetlight", "serve"), binary="/v2/models/streetlight/infer"),
    Contender(FLOOR, (*WITH_OUR_CONFIG, "bare_app:app"), many=None),
    Contender(
        "bare WSGI, gunicorn gthread",
        (*GUNICORN, "--worker-class", "gthread", "--threads", "12", "bare_app:app"),
        many=None,
    ),
    Contender("Flask's idiom, gunicorn sync", (*GUNICORN, "flask_app:app")),
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
    Contender("Robyn", ("{bin}/python", f"{PEERS}/robyn_app.py"), "robyn"),
    Contender(
        "Streetlight's app in granian",
        (
            *("{bin}/granian", "--interface", "wsgi", "--port", "{port}"),
            "streetlight.service.server.wsgi:app",
        ),
        "granian",
        settings={
            "PYTHONPATH": f"{ROOT}/src:{next(OURS.parent.glob('lib/python*/site-packages'))}"
        },
    ),
]


def install(packages: str) -> Path:
    """Return the `bin` of an environment with what a file in `peers` names; make it if need be.

    Raises:
        NotInstalledError: it can't be made.
    """
    folder, wanted = ENVIRONMENTS / packages, PEERS / f"{packages}.txt"
    done = folder / "installed"
    if not done.exists() or done.read_text() != wanted.read_text():
        python = str(folder / "bin" / "python")
        commands: list[list[str]] = [
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [python, "-m", "pip", "install", "--quiet", "--requirement", str(wanted)],
        ]
        for command in commands:
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode:
                raise NotInstalledError((run.stderr.strip().splitlines() or ["no word"])[-1][:200])
        done.write_text(wanted.read_text())
    return folder / "bin"


@dataclass(frozen=True)
class Running:
    """A server that answers, and how long it took until it did."""

    contender: Contender
    port: int
    pid: int
    cold_start: float

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running(contender: Contender, data_dir: Path, log: Path) -> Iterator[Running]:
    """Start a contender on the versions in `data_dir`; wait for its first answer.

    Raises:
        NotInstalledError: it can't be installed.
        RuntimeError: it doesn't answer as it should.
    """
    port = free_port()
    binaries = install(contender.packages) if contender.packages else OURS
    command = [part.format(port=port, bin=binaries) for part in contender.command]
    settings = environment(data_dir=data_dir, port=port, workers=1, trainer=False) | {
        "PYTHONPATH": f"{PEERS}:{ROOT}",
        "PORT": str(port),
        "VERSION_FILE": str(data_dir / "models" / "1.npz"),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MLSERVER_HTTP_PORT": str(port),
        "BENTOML_DO_NOT_TRACK": "1",
        "BENTOML_HOME": str(data_dir / "bentoml"),
    }
    settings |= contender.settings
    start = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=data_dir,  # some leave files where they are started
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        answered = _wait(
            f"http://127.0.0.1:{port}{contender.one}", bodies.one_row(contender.v2), process
        )
        if b'"walk"' not in answered and b"1.0" not in answered:
            raise RuntimeError(f"{contender.name} answers {answered[:200]!r}")
        yield Running(contender, port, process.pid, time.perf_counter() - start)
    finally:
        # Not by group: some put their workers into groups of their own.
        for pid in process_tree.pids(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def _wait(url: str, body: bytes, process: subprocess.Popen[bytes]) -> bytes:
    deadline, said = time.monotonic() + DEADLINE, b""
    with urllib3.PoolManager(retries=False, timeout=DEADLINE) as pool:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                headers = {"Content-Type": "application/json"}
                response = pool.request("POST", url, body=body, headers=headers)
                said = response.data
                if response.status == 200:
                    return said
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.01)
    raise RuntimeError(f"it doesn't answer: {said[:200]!r}")
