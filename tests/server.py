"""Real servers for tests: `streetlight serve` as a process of its own, spoken to over HTTP."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, Self

import urllib3

from streetlight.service.cli import main as command_line
from tests.client import Client

STREETLIGHT = str(Path(sys.executable).with_name("streetlight"))
DEADLINE = 30.0


def free_port() -> int:
    """Return a loopback port that nobody listens on, and no other call is given.

    The server binds it later. Until then another call, in any process, could draw it too.
    """
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0streetlight-test-port-{port}")
        except OSError:
            name.close()
            continue
        name.detach()  # the kernel frees the name when this process ends
        return port


def environment(**settings: object) -> dict[str, str]:
    """Return this process's environment with `settings` as `STREETLIGHT_…` and no others."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("STREETLIGHT_")}
    return inherited | {f"STREETLIGHT_{k.upper()}": str(v) for k, v in settings.items()}


def streetlight(*arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [STREETLIGHT, *arguments],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Process(Protocol):
    """What tests do with a process, as `subprocess.Popen` does it."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Return the exit status, or `None` while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status when it has ended; raises `subprocess.TimeoutExpired`."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""

    def terminate(self) -> None:
        """Send it SIGTERM."""


class Server(Client):
    """`streetlight serve` on a free port, from `with` to the end of its block."""

    command: tuple[str, ...] = (STREETLIGHT, "serve")
    cwd: Path | None = None
    # The server has started when this path is answered with 200.
    health = "/readyz"

    def __init__(self, data_dir: Path, **settings: object) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.settings = {
            "data_dir": data_dir,
            "port": self.port,
            "workers": 1,
            "trainer": False,
            **settings,
        }
        self.log = data_dir / "serve.log"

    def __enter__(self) -> Self:
        self.pool = self.new_pool()
        self.data_dir.mkdir(exist_ok=True)
        self.process = self.start()
        self.wait_until_ready()
        return self

    def start(self) -> "Process":
        """Start the process, which writes to the log."""
        with self.log.open("wb") as log:
            return subprocess.Popen(
                self.command,
                cwd=self.cwd,
                env=environment(**self.settings),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def new_pool(self) -> urllib3.HTTPConnectionPool:
        """Return a client for as many threads as a test may have."""
        return urllib3.connection_from_url(self.url, maxsize=32, retries=False, timeout=DEADLINE)

    def wait_until_ready(self) -> None:
        """Wait until the server answers."""
        deadline = time.monotonic() + DEADLINE
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop(signal.SIGKILL)
                raise AssertionError(f"the server doesn't answer:\n{self.log.read_text()}")
            time.sleep(0.02)

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """End the server by a signal and return its exit status."""
        # Closed, not left to the collector: a server that stops waits for what is connected.
        self.pool.close()
        self.pool = self.new_pool()
        if self.process.poll() is None:
            self.process.send_signal(by)
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise

    def wait_for_log(self, text: str) -> str:
        """Wait until the log contains `text`, and return the log."""
        deadline = time.monotonic() + DEADLINE
        while text not in (log := self.log.read_text()):
            assert time.monotonic() < deadline, f"{text!r} is not in:\n{log}"
            time.sleep(0.02)
        return log

    def request(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; a body that isn't bytes or text goes as JSON."""
        arguments: dict[str, Any] = {"headers": headers or None, "redirect": False}
        if body is not None:
            arguments["body" if isinstance(body, (bytes, str)) else "json"] = body
        return self.pool.request(method, path, **arguments)

    def _ready(self) -> bool:
        try:
            return self.request("GET", self.health).status == 200
        except urllib3.exceptions.HTTPError:
            return False


# A process that has imported what `streetlight serve` imports, which takes most of its start. It
# forks the servers of the tests that aren't about how a process starts.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "streetlight.service.cli",
        "streetlight.service.server.access_log",
        "streetlight.service.server.worker",
        "streetlight.service.web.factory",
    ]
)


class Fork:
    """A command in a process that was forked, with the interface of `subprocess.Popen`.

    The process calls `first` before it begins.
    """

    def __init__(
        self,
        arguments: tuple[str, ...],
        variables: dict[str, str],
        log: Path,
        first: Callable[[], object] | None = None,
    ) -> None:
        # The process that forks is another one, so Python raises no event here.
        sys.audit("os.fork")
        self.forked = FORKS.Process(target=run_here, args=(arguments, variables, log, first))
        self.forked.start()
        assert self.forked.pid
        self.pid = self.forked.pid

    def poll(self) -> int | None:
        """Return the exit status, or `None` while it runs."""
        return self.forked.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status when it has ended."""
        self.forked.join(timeout)
        if self.forked.exitcode is None:
            raise subprocess.TimeoutExpired("streetlight", timeout or 0)
        return self.forked.exitcode

    def send_signal(self, sig: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        """Send it SIGTERM, unless it has ended."""
        self.send_signal(signal.SIGTERM)


def run_here(
    arguments: tuple[str, ...],
    variables: dict[str, str],
    log: Path,
    first: Callable[[], object] | None,
) -> None:
    """Run a command in this process, which becomes as one that was started for it."""
    os.setsid()
    if first:
        first()
    with log.open("wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(variables)
    command_line(arguments)


class ForkedServer(Server):
    """The same server, but it starts in a quarter of the time."""

    def start(self) -> Process:
        """Fork the process, which writes to the log."""
        return Fork(self.command[1:], environment(**self.settings), self.log)
