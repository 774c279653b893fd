"""Tests of errors, which are JSON with a message, and of request IDs."""

import json
import socket
import sqlite3
import time
from contextlib import closing
from functools import partialmethod
from pathlib import Path
from urllib.parse import urljoin

import pytest

from streetlight.model.registry.repository import ModelRepository
from streetlight.service.learning import queue
from streetlight.service.store import engine
from tests import databases
from tests.client import App
from tests.server import ForkedServer, Server


def test_an_unknown_route_is_a_404(shared_app: App) -> None:
    message = shared_app.expect(404, "GET", "/nope")["error"]
    assert message == "there is no route /nope; try GET /predict?lights=1,0,1"
    assert "error" in shared_app.expect(404, "GET", "/versions/one")
    assert "error" in shared_app.expect(404, "GET", "/versions/-1")


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("GET", "/versions//1", "/versions/1"),
        ("GET", "/versions///1", "/versions/1"),
        ("GET", "/versions/1/", "/versions/1"),
        ("GET", "/versions/?limit=1&after=5", "/versions?limit=1&after=5"),
        ("HEAD", "/tutorial/", "/tutorial"),
        ("GET", "/tutorial/index", "/tutorial"),
        ("GET", "/docs/", "/docs"),
        ("POST", "/predict/", "/predict"),
        ("DELETE", "/jobs/1/", "/jobs/1"),
        ("POST", "/v1//models/streetlight:predict/", "/v1/models/streetlight:predict"),
        ("GET", "/rollback/", "/rollback"),  # which then says that it takes POST
        ("GET", "/nope/", None),
    ],
)
def test_superfluous_slashes_are_redirected_within_a_prefix(
    shared_app: App, method: str, path: str, target: str | None
) -> None:
    response = shared_app.request(method, path)

    assert response.status == (308 if target else 404)
    if target:
        location = response.headers["Location"]
        assert resolve(f"/prefix{path}", location) == f"/prefix{target}"


def resolve(base: str, location: str) -> str:
    """Return the path of a relative reference (RFC 3986, section 5.2)."""
    above = base.partition("?")[0].split("/")[:-1]
    ups = location.count("../")
    return "/".join([*above[: len(above) - ups], location[3 * ups :]])


def test_a_location_is_right_behind_a_prefix(app: App) -> None:
    response = app.request("POST", "/retrain")

    location = urljoin("https://example.org/corner/retrain", response.headers["Location"])
    assert location == f"https://example.org/corner/jobs/{response.json()['id']}"


def test_a_405_lists_the_allowed_methods(shared_app: App) -> None:
    response = shared_app.request("DELETE", "/rollback")

    assert response.status == 405
    assert response.json()["error"] == "/rollback doesn't accept DELETE; use one of OPTIONS, POST"
    assert set(response.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}


def test_a_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    with App(tmp_path, max_body_bytes=2000) as app:
        fits = b'{"lights": [1, 0, 1]' + b" " * 1900 + b"}"
        large = fits[:-1] + b" " * 200 + b"}"

        assert app.post("/predict", fits)["decision"] == "walk"
        message = app.expect(413, "POST", "/predict", large)["error"]
        assert message == "the body is larger than 2000 bytes, the limit of this server"


@pytest.mark.process
def test_a_chunked_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    with ForkedServer(tmp_path, max_body_bytes=2000) as server:
        with socket.create_connection(("127.0.0.1", server.port), 10) as client:
            client.sendall(
                b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            for _ in range(3):
                client.sendall(b"3e8\r\n" + b" " * 1000 + b"\r\n")
            client.sendall(b"0\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 413 ")
        chunks = iter([b'{"lights": ', b"[1, 0, 1]}"])
        response = server.pool.request("POST", "/predict", body=chunks)
        assert response.json()["decision"] == "walk"


def test_a_prediction_without_a_live_version_is_a_503(app: App) -> None:
    (app.data_dir / "models" / "live").unlink()

    response = app.request("POST", "/predict", {"lights": [1, 0, 1]})

    assert response.status == 503
    assert response.headers["Retry-After"] == "1"
    assert response.json()["error"] == (
        "no version is live; train one with `streetlight train`, or promote one"
    )
    assert app.request("GET", "/readyz").status == 503
    assert app.get("/livez") == {"status": "ok"}
    app.post("/versions/1/promote")
    assert app.get("/readyz")["version"] == 1


def test_a_damaged_live_version_is_a_503(app: App) -> None:
    app.train("--seed", "5")
    path = app.data_dir / "models" / "2.npz"
    path.unlink()
    path.write_bytes(b"rubbish")

    message = app.expect(503, "POST", "/predict", {"lights": [1, 0, 1]})["error"]

    assert message.startswith("the live version can't be read")
    assert app.post("/rollback")["live"] == 1
    assert app.post("/predict", {"lights": [1, 0, 1]})["version"] == 1


def test_a_folder_that_cannot_be_written_is_a_503(app: App) -> None:
    """A folder replaces the lock file, since root can write to a read-only folder."""
    app.train("--no-promote")
    lock = app.data_dir / "models" / ".promote.lock"
    lock.unlink()
    lock.mkdir()

    message = app.expect(503, "POST", "/versions/2/promote")["error"]

    assert message == "the data directory can't be used: Is a directory"
    assert app.post("/predict", {"lights": [1, 0, 1]})["version"] == 1


@pytest.mark.process
def test_an_internal_error_is_logged_and_not_described(server: Server) -> None:
    with closing(sqlite3.connect(server.data_dir / "streetlight.db")) as database, database:
        database.execute("UPDATE observations SET lights = '?'")

    message = server.expect(500, "GET", "/observations", **{"X-Request-ID": "the-bad-one"})["error"]

    assert message == "internal server error; the server's log has the details"
    (line,) = [line for line in server.log.read_text().splitlines() if "Traceback" in line]
    record = json.loads(line)
    assert (record["level"], record["request_id"]) == ("error", "the-bad-one")


@pytest.mark.process
def test_errors_of_the_server_have_the_same_form(shared_server: Server) -> None:
    response = shared_server.request("GET", "/predict?lights=" + "1," * 3000)

    assert response.status == 414
    assert response.headers["Content-Type"] == "application/json"
    assert len(response.headers["X-Request-ID"]) == 32
    assert response.json()["error"].startswith("expected a request line of at most 4094 bytes")
    assert shared_server.request("GET", "/livez", **{"X-Y": "1" * 9000}).json()["error"]


@pytest.mark.parametrize("request_id", ["abc-123", "~" * 128])
def test_a_valid_request_id_is_returned(shared_app: App, request_id: str) -> None:
    response = shared_app.request("GET", "/livez", **{"X-Request-ID": request_id})

    assert response.headers["X-Request-ID"] == request_id


@pytest.mark.process
@pytest.mark.parametrize("request_id", [None, "", "two words", "~" * 129])
def test_an_invalid_request_id_is_replaced(shared_server: Server, request_id: str | None) -> None:
    headers = {} if request_id is None else {"X-Request-ID": request_id}
    generated = {
        shared_server.request("GET", path, **headers).headers["X-Request-ID"]
        for path in ("/livez", "/nope", "/predict")
    }

    assert len(generated) == 3
    assert all(len(request_id) == 32 for request_id in generated)


@pytest.mark.parametrize("path", ["/livez", "/predict?lights=1,0,1"])
def test_request_ids_begin_with_the_time(shared_app: App, path: str) -> None:
    before = time.time()
    request_id = shared_app.request("GET", path).headers["X-Request-ID"]

    assert before - 0.001 <= int(request_id[:12], 16) / 1000 <= time.time()


@pytest.mark.parametrize(
    "path",
    [
        "/versions/1/promote",
        "/rollback",
        "/v2/repository/models/streetlight/load",
        "/v2/repository/models/streetlight/unload",
    ],
)
def test_a_lock_of_the_data_directory_that_is_held_is_a_503(
    app: App, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    lock = ModelRepository.lock
    with lock(app.services.repository, "promote"):
        monkeypatch.setattr(ModelRepository, "lock", partialmethod(lock, timeout=0.1))
        response = app.request("POST", path)

    assert response.status == 503
    assert response.headers["Retry-After"] == "1"
    message = "another process has held the lock models/.promote.lock for "
    assert response.json()["error"].startswith(message)
    assert app.request("POST", "/versions/1/promote").status == 200


def test_a_locked_database_is_a_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOCK_TIMEOUT", 0)
    row = {"lights": [1, 0, 1], "outcome": "walk"}
    with App(tmp_path) as app:
        with databases.outage(app.services.settings.database):
            response = app.request("POST", "/observations", row)
        assert app.request("POST", "/observations", row).status == 201

    assert response.status == 503
    assert response.headers["Retry-After"] == "1"
    assert response.json()["error"] == (
        "the database can't be used: database is locked; "
        "another transaction has held the write lock for 0 s"
    )


def test_a_request_that_needs_more_memory_than_there_is_gets_503(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(queue, "page", fail)
    message = app.expect(503, "GET", "/jobs")["error"]
    assert message.startswith("the server has too little memory for this request")
