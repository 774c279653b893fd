"""Tests of `streetlight serve`: start, invalid settings and shutdown."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial
from http.client import HTTPConnection
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import urllib3

from streetlight.service.config.sources import load_settings
from tests import databases
from tests.client import invoke
from tests.server import DEADLINE, STREETLIGHT, ForkedServer, Server, environment, free_port
from tests.service.conftest import until


@pytest.mark.process
def test_serve_trains_the_first_version_and_prints_an_example(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        curl = f"""curl {server.url}/predict -d '{{"lights": [1, 0, 1]}}'"""
        log = server.wait_for_log(curl)

        assert "published version 1" in log
        assert f"Streetlight listens on {server.url} with 1 worker. Try:" in log
        run = subprocess.run(curl, shell=True, capture_output=True, check=True)  # noqa: S602
        assert run.stdout == b'{"decision":"walk","score":1.0,"version":1}\n'
        assert "STREETLIGHT_API_KEY is not set" in log


@pytest.mark.process
def test_serve_keeps_an_existing_version(tmp_path: Path) -> None:
    invoke("train", data_dir=tmp_path)
    with Server(tmp_path, api_key="secret", host="0.0.0.0") as server:  # noqa: S104
        assert server.get("/versions")["live"] == 1
        assert len(server.get("/versions")["versions"]) == 1
        log = server.wait_for_log(f"listens on {server.url} with")
        assert "version 1 is live: nothing to train" in log
        assert "API_KEY" not in log


@pytest.mark.process
@pytest.mark.parametrize("trainer", [False, True])
def test_serve_isn_t_ready_while_no_version_is_live(tmp_path: Path, trainer: bool) -> None:
    assert invoke("train", "--no-promote", data_dir=tmp_path).returncode == 0
    server = ForkedServer(tmp_path, trainer=trainer)
    server.health = "/livez"
    with server:
        server.wait_for_log("promote one, such as the newest with `streetlight promote 1`")
        server.wait_for_log("No version can be served: promote one.")
        server.expect(503, "GET", "/readyz")
        server.expect(503, "GET", "/predict?lights=1,0,1")
        assert [row["version"] for row in server.get("/versions")["versions"]] == [1]

        assert server.post("/versions/1/promote")["live"] == 1
        server.get("/readyz")


@pytest.mark.process
def test_serve_listens_on_ipv6(tmp_path: Path) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    server = ForkedServer(tmp_path, host="::1")
    server.url = f"http://[::1]:{server.port}"
    with server:
        server.wait_for_log(f"listens on {server.url} with")


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"port": "abc"}, 'STREETLIGHT_PORT: expected a whole number, got "abc"'),
        ({"port": "70000"}, 'STREETLIGHT_PORT: expected a number of at most 65535, got "70000"'),
        ({"workers": "0"}, 'STREETLIGHT_WORKERS: expected a number of at least 1, got "0"'),
        ({"api_key": ""}, "STREETLIGHT_API_KEY: expected"),
        ({"prot": "1"}, "STREETLIGHT_PROT: unknown setting; did you mean STREETLIGHT_PORT?"),
        ({"must_hold": "{"}, "STREETLIGHT_MUST_HOLD: malformed JSON: EOF while parsing an object"),
        ({"must_hold": "\udcff["}, "STREETLIGHT_MUST_HOLD: expected UTF-8 text\n"),
        (
            {"must_hold": '[{"lights": ["on"], "outcome": "walk"}]'},
            'STREETLIGHT_MUST_HOLD[0].lights[0]: expected a number, got "on"',
        ),
        (
            {"must_hold": '[{"lights": [1], "outcome": "walk", "x": 1}]'},
            "STREETLIGHT_MUST_HOLD[0].x: unknown field\n",
        ),
        (
            {"retrain_recipe": '{"alpha": -1}'},
            "STREETLIGHT_RETRAIN_RECIPE: alpha: expected a number from 1e-09 to 1e+09, got -1",
        ),
        (
            {"retrain_recipe": '{"hidden_sizes": ["8"]}'},
            'STREETLIGHT_RETRAIN_RECIPE.hidden_sizes[0]: expected a whole number, got "8"',
        ),
        ({"retrain_recipe": '{"x": 1}'}, "STREETLIGHT_RETRAIN_RECIPE.x: unknown field"),
        ({"retrain_recipe": "\udcff{"}, "STREETLIGHT_RETRAIN_RECIPE: expected UTF-8 text\n"),
        ({"must_hold": "[1]"}, "STREETLIGHT_MUST_HOLD[0]: expected a JSON object, got 1"),
        (
            {"model_name": "a/b"},
            "STREETLIGHT_MODEL_NAME: expected up to 100 characters, none of them white space or",
        ),
        (
            {"health_route": "x/y"},
            "STREETLIGHT_HEALTH_ROUTE: expected a path such as /predictions: letters, digits",
        ),
        ({"predict_route": "x/y"}, "STREETLIGHT_PREDICT_ROUTE: expected a path such as"),
        ({"host": "a" * 70}, "can't listen on"),
        ({"host": "no such host"}, "can't listen on no such host:8000"),
        ({"data_dir": "/dev/null/here"}, "STREETLIGHT_DATA_DIR: can't write to /dev/null/here"),
    ],
)
def test_an_invalid_setting_ends_serve_with_one_line(
    tmp_path: Path, settings: dict[str, str], line: str
) -> None:
    run = invoke("serve", **{"data_dir": tmp_path, **settings})

    assert run.returncode == 2
    assert run.stderr.startswith(f"streetlight: {line}")
    assert run.stderr.count("\n") == 1


def test_an_error_does_not_show_the_key() -> None:
    assert "hunter2" not in invoke("versions", api_key="hunter2", port="x").stderr


@pytest.mark.process
def test_secrets_are_read_from_files(tmp_path: Path) -> None:
    """A newline at the end isn't part of the secret."""
    key, database = tmp_path / "key", tmp_path / "url"
    key.write_bytes(b"hunter2 \xc3\xa4\r\n")
    database.write_text(f"sqlite:///{tmp_path}/other.db\n")
    with ForkedServer(tmp_path / "data", api_key_file=key, database_url_file=database) as server:
        server.expect(401, "POST", "/rollback")
        server.expect(401, "POST", "/rollback", Authorization="Bearer hunter2")
        authorization = "Bearer hunter2 ä".encode().decode("latin-1")
        server.expect(409, "POST", "/rollback", Authorization=authorization)
        assert (tmp_path / "other.db").exists()
        assert not (tmp_path / "data" / "streetlight.db").exists()
        assert "hunter2" not in server.log.read_text()


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (None, {}, "STREETLIGHT_API_KEY_FILE: can't read {path}: No such file or directory"),
        (b"\n", {}, "STREETLIGHT_API_KEY_FILE: expected the value in {path}, got an empty file"),
        (b"hunter2\xff", {}, "STREETLIGHT_API_KEY_FILE: can't read {path}: it isn't UTF-8 text"),
        (
            b"hunter2",
            {"api_key": "hunter2"},
            "STREETLIGHT_API_KEY and STREETLIGHT_API_KEY_FILE: expected one of them, got both",
        ),
    ],
)
def test_an_unusable_file_of_a_secret_ends_serve_with_one_line(
    tmp_path: Path, content: bytes | None, settings: dict[str, str], message: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)

    run = invoke("serve", host="::1", data_dir=tmp_path, api_key_file=path, **settings)

    assert run.returncode == 2
    assert run.stderr == f"streetlight: {message.format(path=path)}\n"


def test_the_settings_do_not_show_the_secrets() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STREETLIGHT_API_KEY", "hunter2")
        patch.setenv("STREETLIGHT_DATABASE_URL", "postgresql+psycopg://me:hunter2@host/ledger")
        settings = load_settings()

    assert "hunter2" not in f"{settings!r} {settings}"
    assert "hunter2" in settings.database


@pytest.mark.process
def test_a_port_in_use_ends_serve_with_one_line(shared_server: Server, tmp_path: Path) -> None:
    """Although the other server shares the port among its own workers."""
    port = shared_server.port
    run = invoke("serve", "--port", str(port), data_dir=tmp_path)

    assert run.returncode == 2
    assert run.stderr == (
        f"streetlight: can't listen on 127.0.0.1:{port}: Address already in use; "
        "choose others with --host and --port\n"
    )
    assert not (tmp_path / "models").exists()


def test_options_override_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("AIP_HTTP_PORT", str(port))
    run = invoke("serve", "--port", "x", "--host", "::1", port=port, data_dir=tmp_path)
    assert 'STREETLIGHT_PORT: expected a whole number, got "x"' in run.stderr


@pytest.mark.process
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server(tmp_path: Path, by: signal.Signals) -> None:
    with ForkedServer(tmp_path) as server:
        assert server.stop(by) == 0
        with pytest.raises(urllib3.exceptions.HTTPError):
            server.get("/livez")


@pytest.mark.process
def test_a_stopping_server_answers_open_requests(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        body = b'{"lights": [1, 0, 1]}'
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body[:5])
        # A response on another connection shows that the worker has read the first one.
        server.get("/livez")
        server.process.send_signal(signal.SIGTERM)
        client.sendall(body[5:])
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
    assert server.process.wait(DEADLINE) == 0


@pytest.mark.process
def test_a_stopping_server_refuses_new_connections(server: Server) -> None:
    """Until then it answers the requests on new connections, and later those on open ones."""
    body = b'{"lights": [1, 0, 1]}'
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    address = ("127.0.0.1", server.port)
    with socket.create_connection(address, 10) as slow:
        slow.sendall(head + body[:5])
        server.get("/livez")
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(address, 5) as new:
                    new.sendall(head + body)
                    assert new.recv(65536).startswith(b"HTTP/1.1 200 OK")
            except (ConnectionRefusedError, ConnectionResetError):
                break
        else:
            raise AssertionError("the server still accepts connections")
        slow.sendall(body[5:])
        assert slow.recv(65536).startswith(b"HTTP/1.1 200 OK")
    assert server.process.wait(DEADLINE) == 0


@pytest.mark.process
@pytest.mark.storm
def test_restarts_under_load_drop_no_request(tmp_path: Path) -> None:
    """Two servers share a data directory; clients send to the one that isn't restarting."""
    restarts = min(20, int(os.environ.get("STORM_ROUNDS", "3")))
    servers = [Server(tmp_path, workers=2), Server(tmp_path, workers=2)]
    with servers[0], servers[1]:
        done, active, answered = threading.Event(), [0], [0] * 4
        switching = threading.Lock()

        def send_requests(client: int) -> None:
            while not done.is_set():
                # A new connection for each request, and no retries. A server must answer all
                # connections that were made before its clients switched to the other server.
                with switching:
                    connection = HTTPConnection(
                        "127.0.0.1", servers[active[0]].port, timeout=DEADLINE
                    )
                    connection.connect()
                with closing(connection):
                    connection.request("POST", "/predict", b'{"lights": [1, 0, 1]}')
                    assert connection.getresponse().status == 200
                answered[client] += 1

        def all_answered(counts: list[int]) -> bool:
            failed = [client.exception() for client in clients if client.done()]
            assert not failed, failed
            return all(now > before for now, before in zip(answered, counts, strict=True))

        with ThreadPoolExecutor(4) as threads:
            clients = [threads.submit(send_requests, client) for client in range(4)]
            try:
                for _ in range(restarts):
                    until(partial(all_answered, list(answered)))
                    with switching:
                        stopping = servers[active[0]]
                        active[0] = 1 - active[0]
                    assert stopping.stop() == 0
                    stopping.__enter__()
            finally:
                done.set()
            for client in clients:
                client.result(DEADLINE)
    print(f"{restarts} restarts, {sum(answered)} responses, no request failed")


@pytest.mark.process
def test_a_killed_worker_is_replaced(server: Server) -> None:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    workers = set(children.read_text().split())
    assert len(workers) == 1
    for worker in workers:
        os.kill(int(worker), signal.SIGKILL)
    until(lambda: not workers & set(children.read_text().split()))
    server.wait_until_ready()
    assert server.post("/predict", {"lights": [1, 0, 1]})["version"] == 1


UNREACHABLE = "postgresql+psycopg://127.0.0.1:1/none"


@pytest.mark.parametrize("command", ["serve", "work"])
def test_the_first_training_needs_the_database(tmp_path: Path, command: str) -> None:
    url = f"sqlite:///{tmp_path}/none/none.db"
    run = invoke(command, data_dir=tmp_path, port=free_port(), database_url=url)

    assert run.returncode == 2
    assert run.stderr.startswith("streetlight: the database can't be used: unable to open")
    assert run.stderr.count("\n") == 1
    assert not (tmp_path / "models").exists()


@pytest.mark.process
def test_serve_starts_without_the_database(tmp_path: Path) -> None:
    invoke("train", data_dir=tmp_path)
    with ForkedServer(tmp_path, database_url=UNREACHABLE) as server:
        until(lambda: server.get("/readyz").get("missing") == ["database"])
        assert server.post("/predict", {"lights": [1, 0, 1]})["version"] == 1
        assert server.request("GET", "/observations").status == 503
        log = server.wait_for_log("predictions are answered without it")
        assert "Traceback" not in log.partition("predictions are answered")[0]


@pytest.mark.process
@pytest.mark.parametrize("bare", [False, True])
def test_the_tables_are_created_when_the_database_answers(tmp_path: Path, bare: bool) -> None:
    """A bare gunicorn and `serve`; the trainer waits, too."""
    if not databases.POSTGRESQL:
        pytest.skip("needs PostgreSQL")
    invoke("train", data_dir=tmp_path)
    with databases.fresh("postgresql") as url:
        server = (Server if bare else ForkedServer)(tmp_path, database_url=url, trainer=not bare)
        if bare:
            gunicorn, package = (
                Path(STREETLIGHT).with_name("gunicorn"),
                "streetlight.service.server",
            )
            config = f"python:{package}.gunicorn_conf"
            server.command = (str(gunicorn), "-c", config, f"{package}.wsgi:app")
        with ExitStack() as stack:
            with databases.outage(str(url)):
                stack.enter_context(server)
                assert "database" in server.get("/readyz")["missing"]
                if not bare:
                    server.wait_for_log("trying again every")
            # A bare gunicorn has no follower.
            missing = ["follower"] if bare else None
            until(lambda: server.get("/readyz").get("missing") == missing)
            assert server.get("/observations")["total"] == 4
            job = server.expect(202, "POST", "/retrain", {})["id"]
            if not bare:
                until(lambda: server.get(f"/jobs/{job}")["state"] == "succeeded")


@pytest.mark.process
def test_gunicorn_runs_without_the_command(tmp_path: Path) -> None:
    invoke("train", data_dir=tmp_path)
    port = free_port()
    gunicorn, server = Path(STREETLIGHT).with_name("gunicorn"), "streetlight.service.server"
    with subprocess.Popen(
        [gunicorn, "-c", f"python:{server}.gunicorn_conf", f"{server}.wsgi:app"],
        env=environment(data_dir=tmp_path, port=port, workers=1),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any(f"listens on http://127.0.0.1:{port}" in line for line in process.stdout)
        process.terminate()
        process.stdout.read()
        assert process.wait(DEADLINE) == 0


@pytest.mark.process
def test_a_signal_stops_a_worker_that_was_just_forked(tmp_path: Path) -> None:
    """The worker hasn't installed its signal handlers yet, and the signal must not be lost."""
    invoke("train", data_dir=tmp_path)
    config = tmp_path / "config.py"
    config.write_text(
        "import os, signal\n"
        "from streetlight.service.server import gunicorn_conf\n"
        "from streetlight.service.server.gunicorn_conf import *\n"
        "def post_fork(server, worker):\n"
        "    gunicorn_conf.post_fork(server, worker)\n"
        "    stop = {1: signal.SIGTERM, 2: signal.SIGINT, 3: signal.SIGQUIT}.get(worker.age)\n"
        "    if stop:\n"
        "        os.kill(worker.pid, stop)\n"
    )
    gunicorn = str(Path(STREETLIGHT).with_name("gunicorn"))
    server = Server(tmp_path)
    server.command = (gunicorn, "-c", str(config), "streetlight.service.server.wsgi:app")
    with server:
        until(lambda: server.log.read_text().count("Worker exiting") == 3)


@pytest.fixture
def folder_of_traps(tmp_path: Path) -> Iterator[Path]:
    """A folder with modules of all names that Python and the packages use; none may be imported."""
    folder, imported = tmp_path / "traps", tmp_path / "imported"
    folder.mkdir()
    names = {*sys.stdlib_module_names, *packages_distributions(), "sitecustomize", "usercustomize"}
    # The first are ours; our dependencies import the others if they exist.
    names |= {"client", "model", "service", "streetlight"}
    names |= {"gunicorn.conf", "snappy", "winreg", "_winapi"}
    for name in names:
        (folder / f"{name}.py").write_text(
            f"open({str(imported)!r}, 'a').write({name!r} + ' '); raise SystemExit({name!r})\n"
        )
    yield folder
    assert not imported.exists(), imported.read_text()


def run_in(folder: Path, *command: str, **settings: object) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, cwd=folder, env=environment(**settings), timeout=DEADLINE, check=True)


@pytest.mark.process
def test_no_process_imports_from_the_working_directory(
    tmp_path: Path, folder_of_traps: Path
) -> None:
    """Server, trainer, verification, health check of the image, and a command."""
    server = Server(tmp_path / "data", trainer=True)
    server.cwd = folder_of_traps
    dockerfile = (Path(__file__).parents[3] / "Dockerfile").read_text().replace("\\\n", "")
    (health_check,) = re.findall(
        r'^HEALTHCHECK .* CMD \["python", (.*)\]$', dockerfile, re.MULTILINE
    )
    with server:
        job = server.expect(202, "POST", "/retrain", {})["id"]
        until(lambda: server.get(f"/jobs/{job}")["state"] == "succeeded")
        assert server.post("/versions/1/verify")["identical"]
        for path in ("/", "/docs", "/openapi.json", "/metrics", "/observations?format=csv"):
            assert server.request("GET", path).status == 200
        arguments = json.loads(f"[{health_check}]")
        run_in(folder_of_traps, sys.executable, *arguments, port=server.port)
    run_in(folder_of_traps, STREETLIGHT, "versions", data_dir=server.data_dir)
