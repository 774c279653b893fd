"""The processes of contenders: their environments, their start and their first answer.

The contenders are in `contenders`, the requests in `workloads`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import urllib3

from benchmarks import bodies, process_tree
from benchmarks.contenders import BIN, PEERS, ROOT, Contender
from tests.server import environment, free_port

ENVIRONMENTS = ROOT / ".bench"
DEADLINE = 30.0
STOP_TIMEOUT = 5.0


class NotInstalledError(RuntimeError):
    """An environment can't be created; the message is the last line of the error output."""


def install(packages: str) -> Path:
    """Return the `bin` folder of the environment for `peers/<packages>.txt`.

    The environment is created in `.bench/`, and created again when the file has changed.

    Raises:
        NotInstalledError: the environment can't be created.
    """
    folder, requirements = ENVIRONMENTS / packages, PEERS / f"{packages}.txt"
    installed = folder / "installed"
    if not installed.exists() or installed.read_text() != requirements.read_text():
        python = str(folder / "bin" / "python")
        commands: list[list[str]] = [
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [python, "-m", "pip", "install", "--quiet", "--requirement", str(requirements)],
        ]
        for command in commands:
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            if run.returncode:
                raise NotInstalledError(
                    (run.stderr.strip().splitlines() or ["no output"])[-1][:200]
                )
        installed.write_text(requirements.read_text())
    return folder / "bin"


@dataclass(frozen=True)
class Running:
    """A running server; `cold_start` is the time from its start to its first answer, in seconds."""

    contender: Contender
    port: int
    pid: int
    cold_start: float

    @property
    def url(self) -> str:
        """The base URL of the server."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running(contender: Contender, data_dir: Path, log: Path) -> Iterator[Running]:
    """Run a contender on the versions in `data_dir`, and yield it after its first answer.

    Raises:
        NotInstalledError: the contender's packages can't be installed.
        RuntimeError: the server ends, doesn't answer in time, or gives a wrong answer.
    """
    port = free_port()
    binaries = install(contender.packages) if contender.packages else BIN
    workers = contender.workers
    command = [part.format(port=port, bin=binaries, workers=workers) for part in contender.command]
    settings = environment(data_dir=data_dir, port=port, workers=workers, trainer=False) | {
        "PYTHONPATH": str(PEERS),
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
            cwd=data_dir,  # some servers write files to their working directory
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        answer = _first_answer(
            f"http://127.0.0.1:{port}{contender.one}", bodies.one_row(contender.v2), process
        )
        if b'"walk"' not in answer and b"1.0" not in answer:
            raise RuntimeError(f"{contender.name}: expected walk or 1.0, got {answer[:200]!r}")
        yield Running(contender, port, process.pid, time.perf_counter() - start)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop a server by SIGTERM, on which it removes its files; kill the processes that remain."""
    # Not by process group: some servers put their workers into other groups.
    pids = process_tree.pids(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _first_answer(url: str, body: bytes, process: subprocess.Popen[bytes]) -> bytes:
    deadline, data = time.monotonic() + DEADLINE, b""
    with urllib3.PoolManager(retries=False, timeout=DEADLINE) as pool:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                headers = {"Content-Type": "application/json", "Connection": "close"}
                response = pool.request("POST", url, body=body, headers=headers)
                data = response.data
                if response.status == 200:
                    return data
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.01)
    raise RuntimeError(f"expected status 200 from {url} within {DEADLINE:g} s, got {data[:200]!r}")
