"""A client that leaves ends the large work that it has asked for, also before its turn."""

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server import ForkedServer, Server
from tests.service.conftest import until
from tests.service.server.processes import cpu_seconds
from tests.service.services import publish_network

pytestmark = pytest.mark.process

# Of as many multiplications as take half a minute.
SIZES = (3, 1024, 1024)
ROWS = 30_000


@pytest.fixture
def wide(tmp_path: Path) -> Iterator[Server]:
    """A server of a wide network, on which one request may compute for long."""
    publish_network(tmp_path / "models", SIZES)
    with ForkedServer(tmp_path, max_multiplications=10**11) as server:
        yield server


# Both take several seconds.
BODIES = {
    "/predict/batch": b'{"lights": [%s]}' % b",".join([b"[1,0,1]"] * ROWS),
    "/fit": b'{"dataset": "six", "recipe": {"iterations": 1000000}}',
}


def ask_for_much(server: Server, path: str) -> socket.socket:
    body = BODIES[path]
    client = socket.create_connection(("127.0.0.1", server.port), 30)
    client.sendall(
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
        % (path.encode(), len(body), body)
    )
    return client


@pytest.mark.parametrize("path", BODIES)
def test_work_ends_when_the_client_leaves(wide: Server, path: str) -> None:
    with contextlib.ExitStack() as clients:
        computed, waiting = (clients.enter_context(ask_for_much(wide, path)) for _ in range(2))
        before = cpu_seconds(wide)
        until(lambda: cpu_seconds(wide) > before + 0.3)
        waiting.shutdown(socket.SHUT_WR)  # the same as to close it, but the answer can be read
        assert waiting.recv(100).startswith(b"HTTP/1.1 499 ")
        computed.close()

    until(lambda: wide.log.read_text().count(f'"POST {path} 499"') == 2)
    done = cpu_seconds(wide)
    time.sleep(0.5)  # nothing is left to poll for: the worker must be idle
    assert cpu_seconds(wide) - done < 0.3
    assert wide.post("/predict", {"lights": [1, 0, 1]})["version"] == 1
