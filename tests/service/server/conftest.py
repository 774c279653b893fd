"""The server that the tests of hostile and slow clients share, one for each module."""

from collections.abc import Iterator

import pytest

from tests.server import ForkedServer, Server
from tests.service.server.processes import worker_of


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with one worker, which must stay the same process through all tests."""
    with ForkedServer(tmp_path_factory.mktemp("target")) as server:
        worker = worker_of(server)
        yield server
        assert worker_of(server) == worker
        assert "Traceback" not in server.log.read_text()
