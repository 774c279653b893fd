"""Tests of the processes of a server: who replaces a process that is killed, and signals."""

import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import urllib3

from tests.server import DEADLINE, STREETLIGHT, Server
from tests.service.conftest import Site, until
from tests.service.server.processes import running_processes
from tests.service.small_disk import SmallSite

pytestmark = pytest.mark.process


def booted(server: Server) -> list[int]:
    """Return the process ids of the workers that have been started, oldest first."""
    pids = re.findall(r"Booting worker with pid: (\d+)", server.log.read_text())
    return list(map(int, pids))


def kill(server: Server, pid: int) -> None:
    """Kill a process of a server, and wait until another one has replaced it."""
    count = len(running_processes(server.process.pid))
    os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(running_processes(server.process.pid)) - {pid}) == count)


@contextmanager
def predicting(server: Server) -> Iterator[Callable[[], int]]:
    """Send predictions until the end of the block; yield a function that returns their number.

    Each uses a connection of its own, as gunicorn closes idle connections of workers that stop. One
    is tried again if it is reset: it may reach a worker between its last look and the end of its
    socket, which no program can join (docs/operate.md, "Signals").
    """
    count, done = 0, threading.Event()

    def predict() -> urllib3.BaseHTTPResponse:
        return server.request("POST", "/predict", {"lights": [1, 0, 1]}, Connection="close")

    def send() -> None:
        nonlocal count
        while not done.is_set():
            try:
                response = predict()
            except urllib3.exceptions.ProtocolError as error:
                assert isinstance(error.args[1], ConnectionResetError)  # noqa: PT017 - of one try
                response = predict()
            assert response.status == 200
            count += 1

    thread = threading.Thread(target=send)
    thread.start()
    yield lambda: count
    assert thread.is_alive()
    done.set()
    thread.join()


def test_any_killed_process_but_the_main_one_is_replaced(tmp_path: Path) -> None:
    with Server(tmp_path, workers=2, trainer=True) as server:
        session = server.process.pid
        until(lambda: len(running_processes(session)) == 4)
        for pid in running_processes(session):
            if pid != session:
                kill(server, pid)
        server.wait_until_ready()
        job = server.expect(202, "POST", "/retrain")["id"]
        until(lambda: server.get(f"/jobs/{job}")["state"] == "succeeded")
        server.wait_for_log("the trainer exited with status -9; starting another one in 0.5 s")
        assert server.stop() == 0
        until(lambda: not running_processes(session))


def can_listen(port: int) -> bool:
    """Return whether no socket listens on a port."""
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def test_when_the_main_process_is_killed_all_others_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, even one that is suspended, so that the port is free; no temporary file is left."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with Server(tmp_path, workers=2, trainer=True) as server:
        session = server.process.pid
        server.wait_for_log("Streetlight listens on")  # the first worker has started
        os.kill(booted(server)[0], signal.SIGSTOP)
        server.process.send_signal(signal.SIGKILL)
        until(lambda: not running_processes(session), 5)
        # A process has ended for the test when its first thread has; another may hold the socket.
        until(lambda: can_listen(server.port), 5)
        assert not list(temporary.iterdir())


def has_ignored(site: Site, count: int) -> bool:
    """Return whether so many SIGUSR2 have been ignored."""
    return site.log.read_text().count("SIGUSR2 is ignored") == count


def test_signals_to_the_main_process_fail_no_request(tmp_path: Path) -> None:
    with Site(tmp_path, None) as site, predicting(site) as count:

        def send_and_wait(number: signal.Signals, workers: int, starts: int) -> None:
            before = set(booted(site))
            site.process.send_signal(number)
            until(lambda: len(booted(site)) == len(before) + starts)
            until(lambda: len(site.workers()) == workers)
            answered = count()
            until(lambda: count() > answered + 20)

        send_and_wait(signal.SIGTTIN, workers=2, starts=1)
        send_and_wait(signal.SIGTTOU, workers=1, starts=0)
        send_and_wait(signal.SIGUSR1, workers=1, starts=0)
        first = site.workers()
        send_and_wait(signal.SIGHUP, workers=1, starts=1)
        assert site.workers() != first
        for ignored in (1, 2):
            site.process.send_signal(signal.SIGUSR2)
            until(partial(has_ignored, site, ignored))
            send_and_wait(signal.SIGWINCH, workers=1, starts=0)


def test_a_worker_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gunicorn creates a temporary file for each worker."""
    temporary = tmp_path / "tmp"
    monkeypatch.setenv("TMPDIR", str(temporary))
    with SmallSite(tmp_path / "data", None, folder=temporary, limit="nr_inodes=8") as site:
        files = [site.filler.with_name(str(number)) for number in range(8)]
        with suppress(OSError):
            for file in files:
                file.touch()
        site.process.send_signal(signal.SIGTTIN)
        site.wait_for_log("can't start a worker: [Errno 28] No space left on device")
        with predicting(site) as count:
            until(lambda: count() > 20)
            assert len(site.workers()) == 1
            files[0].unlink()
            until(lambda: len(site.workers()) == 2)


def with_open_files(server: Server, limit: int) -> Server:
    """Let a server open at most `limit` files."""
    server.command = ("sh", "-c", f"ulimit -n {limit} && exec {STREETLIGHT} serve")
    return server


def test_a_limit_of_open_files_that_is_too_low_ends_serve_with_one_line(tmp_path: Path) -> None:
    server = with_open_files(Server(tmp_path), 255)
    with pytest.raises(AssertionError, match="the server doesn't answer"), server:
        pass
    assert server.log.read_text() == (
        "streetlight: this process may open 255 files: expected at least 256, "
        "as a worker needs two for each connection; raise the limit (ulimit -Hn)\n"
    )


def test_with_the_lowest_limit_of_open_files_clients_are_answered(tmp_path: Path) -> None:
    """And above the limit of connections, those that are idle are closed."""
    with with_open_files(Server(tmp_path), 256) as server, ExitStack() as stack:
        clients = []
        for _ in range(200):
            client = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
            clients.append(stack.enter_context(client))
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
        assert server.post("/predict", {"lights": [1, 0, 1]})["decision"] == "walk"
        assert server.get("/versions")["live"] == 1
