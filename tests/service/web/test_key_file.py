"""Tests of a server whose API keys are in a file: their rights, and the change of a key."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client import App, Client, invoke
from tests.server import ForkedServer, streetlight
from tests.service.conftest import until
from tests.service.web.test_auth import CHANGES_STATE, PRIVATE, RIGHTS, routes


def write(file: Path, *entries: tuple[str, str, list[str]]) -> None:
    """Write a name, a key and its rights for each entry."""
    names = ("name", "key", "rights")
    file.write_text(json.dumps([dict(zip(names, entry, strict=True)) for entry in entries]))


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def write_rights(file: Path) -> None:
    """Write a key for each right, which has the name of the right."""
    write(file, *((right, f"key-{right}", [right]) for right in RIGHTS if right))


@pytest.fixture(scope="module", params=["changes", "all"])
def app(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[App]:
    """An application with a key for each right, and with each value of the setting `guard`."""
    folder = tmp_path_factory.mktemp("rights")
    write_rights(folder / "keys.json")
    settings = {"api_keys_file": folder / "keys.json", "api_key": "default-key"}
    with App(folder, guard=request.param, health_route="/health", **settings) as app:
        yield app


def test_each_right_permits_its_routes_only(app: App) -> None:
    wanted = {route: right for right, found in RIGHTS.items() for route in found}
    wanted["GET /health"] = None
    for route, method, path in routes(app):
        right = wanted[route]
        is_guarded = route in CHANGES_STATE | PRIVATE
        if app.services.settings.guard == "all":
            is_guarded = right is not None
        assert (app.request(method, path, b"").status == 401) == is_guarded, route
        for other in [right for right in RIGHTS if right]:
            response = app.request(method, path, b"", **bearer(f"key-{other}"))
            if not is_guarded or other in (right, "admin"):
                assert response.status not in (401, 403), (route, other)
                continue
            assert response.status == 403, (route, other)
            assert response.json()["error"] == (
                f"this request requires the right {right}, and the API key {other} has {other}"
            )
            assert response.headers["WWW-Authenticate"] == (
                f'Bearer realm="Streetlight", error="insufficient_scope", scope="{right}"'
            )
        response = app.request(method, path, b"", **bearer("default-key"))
        assert response.status not in (401, 403), route
        assert app.request("OPTIONS", path).status == 200


@pytest.mark.process
def test_with_guard_all_a_server_guards_every_door(tmp_path: Path) -> None:
    """The routes that are answered without the application, and event streams, over HTTP."""
    write_rights(tmp_path / "keys.json")
    settings = {"api_keys_file": tmp_path / "keys.json", "guard": "all"}
    with ForkedServer(tmp_path / "data", **settings) as server:
        row = [1, 0, 1]
        tensor = {"name": "lights", "datatype": "FP64", "shape": [1, 3], "data": row}
        for method, path, body in (
            ("GET", "/predict?lights=1,0,1", None),
            ("POST", "/predict", {"lights": row}),
            ("POST", "/predict/batch", {"lights": [row]}),
            ("POST", "/v1/models/streetlight:predict", {"instances": [row]}),
            ("POST", "/v2/models/streetlight/infer", {"inputs": [tensor]}),
            ("POST", "/invocations", {"instances": [row]}),
        ):
            for headers, status in (
                ({}, 401),
                (bearer("key-predic"), 401),
                ({"Authorization": "key-predict"}, 401),
                (bearer("key-read"), 403),
                (bearer("key-predict"), 200),
                ({"Authorization": "bearer  key-admin "}, 200),
            ):
                for more in ({}, {"Accept-Encoding": "gzip"}):  # which has no fast path
                    response = server.request(method, path, body, **headers, **more)
                    assert response.status == status, (path, headers)
        assert server.request("GET", "/events").status == 401
        assert server.request("GET", "/events", **bearer("key-predict")).status == 403
        stream = server.pool.request(
            "GET", "/events", headers=bearer("key-read"), preload_content=False
        )
        assert (stream.status, stream.read(7)) == (200, b"retry: ")
        stream.close()
        for path in ("/livez", "/readyz", "/ping", "/v2/health/ready", "/", "/docs", "/tutorial"):
            assert server.request("GET", path).status == 200
        server.request("POST", "/predict", {"lights": row}, **bearer("key-predict"))
        server.request("POST", "/rollback", **bearer("key-read"))
        server.wait_for_log('"/rollback"')
        log = server.log.read_text()
    lines = [json.loads(line) for line in log.splitlines() if '"route"' in line]
    named = {(line["route"], line["status"], line.get("key")) for line in lines}
    assert ("/predict", 200, "predict") in named
    assert ("/predict", 401, None) in named
    assert ("/invocations", 200, "predict") in named
    assert ("/rollback", 403, "read") in named
    assert "key-" not in log


def test_without_a_key_there_is_nothing_to_guard_by(tmp_path: Path) -> None:
    run = invoke("serve", data_dir=tmp_path, guard="all")
    assert run.returncode == 2
    assert run.stderr == (
        "streetlight: STREETLIGHT_GUARD: expected a key with `all`, got none; set "
        "STREETLIGHT_API_KEY or STREETLIGHT_API_KEYS_FILE\n"
    )


def test_the_right_train_does_not_include_promoting_unjudged_versions(app: App) -> None:
    rows = [{"lights": [0, 1, 1], "outcome": "walk"}, {"lights": [1, 0, 1], "outcome": "stop"}]
    own: dict[str, object] = {"rows": rows}
    for body, status in (
        ({}, 202),
        ({"promote": "better"}, 202),
        ({"promote": "always"}, 403),
        (own, 202),
        (own | {"promote": "never"}, 202),
        (own | {"promote": "not_worse"}, 403),
        ({"dataset": "six", "promote": "if_better"}, 403),
    ):
        response = app.request("POST", "/retrain", body, **bearer("key-train"))
        assert response.status == status, body
        if status == 403:
            assert app.request("POST", "/retrain", body, **bearer("key-admin")).status == 202
            assert "the right admin, and the API key train has train" in response.json()["error"]


def test_the_challenge_says_whether_a_key_was_sent(app: App) -> None:
    path = "/versions/1/promote"
    for headers, got, challenge in (
        ({}, "no key", ""),
        ({"Authorization": "Basic YTpi"}, "no key", ""),
        (bearer("key-of-no-one"), "an unknown key", ', error="invalid_token"'),
    ):
        response = app.request("POST", path, **headers)
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == f'Bearer realm="Streetlight"{challenge}'
        assert response.json()["error"] == (
            "this request requires an API key with the right admin: expected the header "
            f"Authorization: Bearer <the API key>, got {got}"
        )


def replace(file: Path, new: Path) -> None:
    """As an editor, or `mv`."""
    new.replace(file)


def overwrite(file: Path, new: Path) -> None:
    """As a bind mount shows it: the file stays the same."""
    file.write_bytes(new.read_bytes())


def switch(file: Path, new: Path) -> None:
    """As a volume of Kubernetes: the file is a link into `..data`, which is a link to a folder."""
    folder = Path(tempfile.mkdtemp(prefix="..", dir=file.parent))
    new.rename(folder / file.name)
    link = file.parent / "..data_tmp"
    link.symlink_to(folder.name)
    link.replace(file.parent / "..data")
    if not file.is_symlink():
        file.unlink(missing_ok=True)
        file.symlink_to(f"..data/{file.name}")


def answers(client: Client, key: str, times: int = 12) -> set[int]:
    """Return the statuses that requests get over as many connections, so by all workers."""
    return {
        client.request("POST", "/versions/1/promote", Connection="close", **bearer(key)).status
        for _ in range(times)
    }


@pytest.mark.process
def test_a_key_is_replaced_without_a_restart(tmp_path: Path) -> None:
    file, new = tmp_path / "keys" / "keys.json", tmp_path / "new.json"
    file.parent.mkdir()
    write(file, ("ops", "key 0", ["admin"]))
    with ForkedServer(tmp_path / "data", api_keys_file=file, workers=3) as server:
        for i, change in enumerate((replace, overwrite, switch, switch), 1):
            assert answers(server, f"key {i - 1}") == {200}
            write(new, ("ops", f"key {i}", ["admin"]))
            change(file, new)
            until(lambda key=f"key {i - 1}": answers(server, key) == {401})  # type: ignore[misc]
            assert answers(server, f"key {i}") == {200}
        log = server.log.read_text()
    assert "the API keys are now those of ops" in log
    assert "key 1" not in log


@pytest.mark.process
def test_an_event_stream_ends_when_its_key_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    eyes, ops = ("eyes", "a", ["read"]), ("ops", "b", ["admin"])
    write(file, eyes, ops)
    with ForkedServer(tmp_path / "data", api_keys_file=file, guard="all") as server:
        stream = server.pool.request("GET", "/events", headers=bearer("a"), preload_content=False)
        assert stream.read(7) == b"retry: "
        write(file, ops)
        stream.read()  # until the end, or the timeout of the client
        assert server.request("GET", "/events", **bearer("a")).status == 401


@pytest.mark.process
def test_an_invalid_file_keeps_the_keys_and_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    write(file, ("ops", "a secret", ["admin"]))
    with ForkedServer(tmp_path / "data", api_keys_file=file) as server:

        def is_valid() -> bool:
            return (
                b"\nstreetlight_api_keys_file_valid 1.0" in server.request("GET", "/metrics").data
            )

        assert is_valid()
        file.write_text('[{"name": "ci", "key": "a secret"')
        until(lambda: not is_valid())
        assert answers(server, "a secret") == {200}
        write(file, ("ops", "a secret", ["admin"]))
        until(is_valid)
        log = server.log.read_text()
    assert log.count("STREETLIGHT_API_KEYS_FILE: ") == 1
    assert "keys.json: malformed JSON: EOF while parsing" in log
    assert "a secret" not in log


@pytest.mark.process
def test_no_key_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    write(file, ("ci", "hunter2-a", ["train"]), ("ops", "hunter2-b", ["admin"]))
    settings = {"api_keys_file": file, "api_key": "hunter2-c"}
    with ForkedServer(tmp_path / "data", **settings) as server:
        for path in ("/openapi.json", "/metrics", "/docs", "/", "/readyz", "/versions", "/jobs"):
            assert b"hunter2" not in server.request("GET", path, **bearer("hunter2-b")).data
        for key in ("hunter2-a", "hunter2-wrong"):
            response = server.request("POST", "/rollback", **bearer(key))
            assert response.status in (401, 403)
            assert b"hunter2" not in response.data
        server.expect(202, "POST", "/retrain", {}, **bearer("hunter2-a"))
        # An error with a traceback.
        (server.data_dir / "models" / "promotions.jsonl").unlink()
        (server.data_dir / "models" / "promotions.jsonl").mkdir()
        path = "/v2/repository/models/streetlight/unload"
        assert server.request("POST", path, **bearer("hunter2-c")).status == 503
        assert "Traceback" in server.wait_for_log(path)
    shown = streetlight("config", **server.settings)
    assert str(file) in shown.stdout
    for stored in server.data_dir.rglob("*"):
        assert stored.is_dir() or b"hunter2" not in stored.read_bytes(), stored
    assert "hunter2" not in shown.stdout + shown.stderr


@pytest.mark.process
def test_a_server_with_an_invalid_file_does_not_start(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text('[{"name": "ci", "key": "a secret", "rights": ["fly"]}]')
    run = streetlight("serve", data_dir=tmp_path / "data", api_keys_file=file)
    assert run.returncode == 2
    assert run.stderr.startswith(
        f"streetlight: STREETLIGHT_API_KEYS_FILE: {file}: [0].rights[0]: expected 'read', "
    )
    assert "a secret" not in run.stderr


def test_promotions_and_jobs_name_their_key(
    tmp_path: Path, database_kind: str, database_url: str | None
) -> None:
    write(tmp_path / "keys.json", ("ci", "a", ["train"]), ("ops", "b", ["admin"]))
    settings: dict[str, Any] = {
        "data_dir": tmp_path,
        **({"database_url": database_url} if database_url else {}),
    }
    with App(api_keys_file=tmp_path / "keys.json", **settings) as app:
        job = app.expect(202, "POST", "/retrain", {"target_error": None}, **bearer("a"))
        assert (job["key"], app.get("/jobs")["jobs"][0]["key"]) == ("ci", "ci")
        app.work()
        assert app.get("/jobs/1")["promoted"]
        assert app.get("/versions")["versions"][0]["promoted_by"] == "ci"
        model = "/v2/repository/models/streetlight"
        for path, body in (
            ("/rollback", {}),
            ("/versions/2/promote", {}),
            (f"{model}/unload", {}),
            (f"{model}/load", {"parameters": {"version": "1"}}),
        ):
            app.expect(200, "POST", path, body, **bearer("b"))
        switched = app.expect(200, "POST", "/versions/2/promote", {}, **bearer("b"))
        assert switched["promotion"]["key"] == "ops"
        assert invoke("promote", "1", **settings).returncode == 0
        promotions = [app.get(f"/versions/{number}")["promotions"] for number in (1, 2)]
        assert [[entry["key"] for entry in found] for found in promotions] == [
            [None, "ops", "ops", None],
            ["ci", "ops", "ops", "ops"],
        ]
        listed = invoke("versions", **settings).stdout.splitlines()
        assert listed[0].endswith("  promoted by")
        assert listed[1].endswith("  ops")
        assert not listed[2].endswith("  ops")
    if database_kind == "sqlite":  # an older release reads no line with the field
        log = (tmp_path / "models" / "promotions.jsonl").read_text().splitlines()
        assert ['"key"' in line for line in (log[0], log[-1])] == [False, False]
