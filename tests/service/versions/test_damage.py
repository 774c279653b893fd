"""Damaged files of a data directory: the server starts, names the file, and can be repaired."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.client import invoke
from tests.server import ForkedServer
from tests.service.conftest import until


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


@pytest.mark.process
def test_damaged_lines_of_the_promotion_log_stop_neither_the_server_nor_the_trainer(
    damaged: ForkedServer,
) -> None:
    log = damaged.data_dir / "models" / "promotions.jsonl"
    log.write_bytes(b"\x00\xff\n" + log.read_bytes() + b'{"version": 9}\n{"at": "2026-')
    damaged.settings["trainer"] = True
    with damaged as server:
        assert [line["version"] for line in server.get("/versions/1")["promotions"]] == [1]
        job = server.expect(202, "POST", "/retrain", {"promote": "always"})["id"]
        until(lambda: server.get(f"/jobs/{job}")["state"] not in ("queued", "running"))
        ended = server.get(f"/jobs/{job}")
        assert (ended["state"], ended["attempt"], ended["version"]) == ("succeeded", 1, 3)
        assert server.post("/rollback")["live"] == 1
