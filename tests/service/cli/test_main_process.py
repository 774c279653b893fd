"""Tests of the processes of a server: who replaces a process that is killed, and signals."""

import os
import signal
from pathlib import Path

import pytest

from tests.server import Server
from tests.service.conftest import until
from tests.service.server.processes import running_processes

pytestmark = pytest.mark.process


def kill(server: Server, pid: int) -> None:
    """Kill a process of a server, and wait until another one has replaced it."""
    count = len(running_processes(server.process.pid))
    os.kill(pid, signal.SIGKILL)
    until(lambda: len(set(running_processes(server.process.pid)) - {pid}) == count)


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
