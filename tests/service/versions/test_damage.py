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
def test_a_worker_that_holds_a_damaged_live_version_continues(damaged: ForkedServer) -> None:
    with damaged as server:
        assert server.get("/predict?lights=1,0,1")["version"] == 1
        cut(server.data_dir / "models" / "1.npz")

        assert server.get("/predict?lights=1,0,1")["version"] == 1
        two, one = server.get("/versions")["versions"]
        assert "1.npz" in one["damaged"]
        assert two["dataset"] == "four"


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


@pytest.mark.process
@pytest.mark.parametrize("target", ["/etc/passwd", "9.npz", None])
def test_a_live_link_to_no_version_is_a_503_until_another_version_is_promoted(
    damaged: ForkedServer, target: str | None
) -> None:
    link = damaged.data_dir / "models" / "live"
    link.unlink()
    if target:
        link.symlink_to(target)
    else:
        link.write_bytes(b"1.npz")
    with damaged as server:
        for path in ("/readyz", "/predict?lights=1,0,1", "/v1/models/streetlight"):
            error = server.expect(503, "GET", path)["error"]
            assert error.startswith("the live version can't be read (")
        listed = server.get("/versions")
        assert (listed["live"], len(listed["versions"])) == (9 if target == "9.npz" else None, 2)
        assert server.get("/versions/1")["live"] is False
        assert len(server.post("/v2/repository/index", {})) == 2
        assert server.request("GET", "/metrics").status == 200

        promoted = server.post("/versions/2/promote")
        assert (promoted["live"], promoted["promotion"]["instead_of"]) == (2, None)
        assert server.get("/predict?lights=1,0,1")["version"] == 2
