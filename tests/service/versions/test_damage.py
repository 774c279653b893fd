"""Damaged files of a data directory: the server starts, names the file, and can be repaired."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client import invoke
from tests.server import ForkedServer


def cut(path: Path) -> None:
    """Leave the first half of a file."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


@pytest.fixture
def damaged(tmp_path: Path) -> ForkedServer:
    """Return a server, not started, on two versions of which the first is live."""
    for option in ("--promote", "--no-promote"):
        assert invoke("train", option, data_dir=tmp_path).returncode == 0
    server = ForkedServer(tmp_path)
    server.health = "/livez"
    return server


@pytest.mark.process
@pytest.mark.parametrize("damage", [cut, Path.unlink])
def test_a_server_with_a_damaged_live_version_starts_and_another_can_be_promoted(
    damaged: ForkedServer, damage: Callable[[Path], None]
) -> None:
    damage(damaged.data_dir / "models" / "1.npz")
    with damaged as server:
        for method, path in (("GET", "/readyz"), ("GET", "/predict?lights=1,0,1")):
            error = server.expect(503, method, path)["error"]
            assert error.startswith("the live version can't be read (")
            assert error.endswith("); promote another one")
        server.wait_for_log("the live version can't be read (")
        assert server.get("/versions")["live"] == 1

        assert server.post("/versions/2/promote")["live"] == 2
        assert server.get("/predict?lights=1,0,1")["version"] == 2
