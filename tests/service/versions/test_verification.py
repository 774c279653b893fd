"""Tests of verification in a separate process: its limits, and one verification at a time."""

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from streetlight.model.dataset import LAB
from streetlight.model.recipe import Recipe
from streetlight.model.registry.manifest import Provenance
from streetlight.model.registry.repository import ModelRepository
from streetlight.model.registry.version import Version
from streetlight.model.training.fit import fit
from streetlight.service.versions.verification import VerificationBusyError, verify
from tests.server import DEADLINE, ForkedServer, Server
from tests.service.conftest import until
from tests.service.server.processes import running_processes

pytestmark = pytest.mark.process


@pytest.fixture
def slow(tmp_path: Path) -> Version:
    """A version whose recipe takes very long to train again."""
    repository = ModelRepository(tmp_path / "models")
    path = repository.publish(fit(LAB, Recipe()), LAB, Provenance("lab")).path
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    manifest = json.loads(str(arrays["manifest"]))
    manifest["recipe"] |= {"iterations": 1_000_000, "target_error": 0.0, "restarts": 1000}
    path.unlink()
    np.savez(path, **(arrays | {"manifest": json.dumps(manifest)}))
    return repository.load(1)


def test_a_verification_has_a_time_limit(slow: Version) -> None:
    with pytest.raises(VerificationBusyError, match=r"longer than 1 s; `streetlight verify 1`"):
        verify(slow, seconds=1)


def test_a_second_verification_is_refused(slow: Version) -> None:
    with ThreadPoolExecutor() as threads:
        both = [threads.submit(verify, slow, seconds=2) for _ in range(2)]
        messages = sorted(str(verification.exception(DEADLINE)) for verification in both)

    assert messages[0].startswith("another verification is running")
    assert messages[1].startswith("training version 1 again took longer than 2 s")


def test_a_verification_takes_idle_processor_time_until_its_client_leaves(slow: Version) -> None:
    ModelRepository(slow.path.parent).promote(slow.number)
    with ForkedServer(slow.path.parents[1]) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"POST /versions/1/verify HTTP/1.1\r\nHost: localhost\r\n\r\n")
        started = until(lambda: _trainings(server))
        until(lambda: os.getpriority(os.PRIO_PROCESS, started[0]) == 19)
        client.close()
        until(lambda: not _trainings(server))
        assert server.get("/readyz")["status"] == "ok"


def _trainings(server: Server) -> list[int]:
    """Return the processes of the server that verify a version."""
    return [
        process
        for process in running_processes(server.process.pid)
        if b"streetlight.model.registry.reproduction" in _command(process)
    ]


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
