"""The two faces of the client, and a server that retrains."""

from collections.abc import Iterator

import pytest

from tests.python_client.faces import Face
from tests.server import ForkedServer, Server


@pytest.fixture(params=["sync", "async"])
def face(request: pytest.FixtureRequest) -> Iterator[Face]:
    """Opens clients of one kind."""
    face = Face(request.param)
    yield face
    face.close()


@pytest.fixture(scope="session")
def learning_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a trainer; each test adds to what is in it."""
    with ForkedServer(tmp_path_factory.mktemp("learning"), trainer=True) as server:
        yield server
