"""Tests of the worker as a process: TLS, its threads, its followers, and what it leaves behind."""

import contextlib
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
import urllib3
from sqlalchemy import delete, text

from streetlight.service.config.settings import THREADS
from streetlight.service.store.engine import (
    open_engine,
    ordered_write_transaction,
    write_transaction,
)
from streetlight.service.store.tables import jobs
from streetlight.service.web.event_stream import MAX_EVENT_STREAMS
from tests.server import DEADLINE, ForkedServer, Server
from tests.service.conftest import Site, until
from tests.service.server.processes import threads_of
from tests.service.server.test_hostile import read_response

pytestmark = pytest.mark.process


class TLSServer(ForkedServer):
    """A server that speaks TLS with a certificate of its own."""

    def new_pool(self) -> urllib3.HTTPConnectionPool:
        """Return a client that trusts the certificate."""
        self.url = self.url.replace("http://", "https://")
        return urllib3.connection_from_url(
            self.url, maxsize=8, retries=False, timeout=DEADLINE, ca_certs=self.data_dir / "cert"
        )


def test_tls_is_configured_as_in_gunicorn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = tmp_path / "cert", tmp_path / "key"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1"
    command += f" -subj /CN=x -addext subjectAltName=IP:127.0.0.1 -keyout {key} -out {cert}"
    subprocess.run(command.split(), check=True, capture_output=True)
    monkeypatch.setenv("GUNICORN_CMD_ARGS", f"--certfile={cert} --keyfile={key}")
    with TLSServer(tmp_path) as server:
        for _ in range(3):
            assert server.post("/predict", {"lights": [1, 0, 1]})["decision"] == "walk"
        rows = [[1, 0, 1]] * 100_000
        assert len(server.post("/predict/batch", {"lights": rows})["decisions"]) == 100_000
        # Without a Content-Length, urllib3 sends chunks.
        chunks = iter([b'{"lights": ', b"[1, 0, 1]}"])
        assert server.pool.request("POST", "/predict", body=chunks, chunked=True).status == 200
        closed = server.request("POST", "/predict", {"lights": [1, 0, 1]}, Connection="close")
        assert closed.json()["version"] == 1
        plain = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
        with plain:
            plain.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert not plain.recv(1).startswith(b"H")
        assert server.get("/livez") == {"status": "ok"}
        assert f"Listening at: {server.url} " in server.log.read_text()
        assert f"curl {server.url}/predict" in server.log.read_text()
        assert server.stop() == 0


def test_the_log_names_the_address(shared_server: Server) -> None:
    assert f"Listening at: http://127.0.0.1:{shared_server.port} (" in shared_server.log.read_text()


def test_requests_that_wait_for_the_database_do_not_delay_others(
    tmp_path: Path, database_url: str | None
) -> None:
    observation = {"lights": [1, 0, 0], "outcome": "walk"}
    count = 2 * THREADS
    with Site(tmp_path, database_url) as site, ThreadPoolExecutor(count + 2) as pool:
        engine = open_engine(site.database)
        with write_transaction(engine) as connection:
            if database_url:
                connection.execute(text("LOCK TABLE observations IN ACCESS EXCLUSIVE MODE"))
            posts = [
                pool.submit(site.request, "POST", "/observations", observation)
                for _ in range(count)
            ]
            # As soon as a post waits, all of them are on their way.
            until(lambda: threads_of(site.workers()[0]) > 8)
            for _ in range(5):
                start = time.monotonic()
                assert site.get("/livez") == {"status": "ok"}
                assert site.get("/readyz")["version"] == 1
                assert site.get("/predict?lights=1,0,1")["decision"] == "walk"
                assert site.post("/explain", {"lights": [1, 0, 1]})["decision"] == "walk"
                if database_url is None:  # otherwise it is one of those that wait
                    message = site.expect(409, "POST", "/rollback")["error"]
                    assert message.startswith("nothing to roll back to")
                assert time.monotonic() - start < 2
            # It can read SQLite. Other scrapes, and the posts, wait for the lock of PostgreSQL.
            scrapes = [pool.submit(site.request, "GET", "/metrics") for _ in range(2)]
            wait(scrapes, DEADLINE, FIRST_COMPLETED)
            up = b"streetlight_database_up 0.0" if database_url else b"streetlight_database_up 1.0"
            assert any(scrape.done() and up in scrape.result().data for scrape in scrapes)
            assert not any(post.done() for post in posts)
        statuses = {post.result().status for post in posts}
        engine.dispose()
    assert statuses == {201}


def test_large_requests_that_wait_for_the_database_do_not_delay_large_predictions(
    tmp_path: Path, database_url: str | None
) -> None:
    row = {"lights": [1, 0, 1], "outcome": "walk"}
    rows = {"observations": [row] * 4000}
    states = {"lights": [[1, 0, 1]] * 50_000}
    pattern = json.dumps({"must_hold": [row] * 1000}) + " " * 128 * 1024
    with Site(tmp_path, database_url) as site, ThreadPoolExecutor(2) as pool:
        engine = open_engine(site.database)
        with ordered_write_transaction(engine):
            posts = [
                pool.submit(site.request, "POST", path, body)
                for path, body in (("/observations", rows), ("/retrain", pattern.encode()))
            ]
            time.sleep(1)
            start = time.monotonic()
            assert len(site.post("/predict/batch", states)["scores"]) == 50_000
            assert time.monotonic() - start < 3
            assert not any(post.done() for post in posts)
        assert [post.result().status for post in posts] == [201, 202]
        engine.dispose()


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process open as many connections as a test needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4000:
        pytest.skip("this machine allows too few files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.storm
@pytest.mark.usefixtures("many_files")
def test_thousands_of_clients_follow_a_job_without_a_thread_each(tmp_path: Path) -> None:
    with Site(tmp_path, None) as site, contextlib.ExitStack() as stack:
        number = site.retrain()
        request = b"GET /jobs/%d/events HTTP/1.1\r\nHost: x\r\n\r\n" % number
        clients = []
        for _ in range(MAX_EVENT_STREAMS):
            address = ("127.0.0.1", site.port)
            clients.append(stack.enter_context(socket.create_connection(address, DEADLINE)))
            clients[-1].sendall(request)
        received = [b""] * len(clients)

        def receive(until_text: bytes) -> None:
            for i, client in enumerate(clients):
                while until_text not in received[i]:
                    part = client.recv(65536)
                    assert part, received[i]
                    received[i] += part

        receive(b'"state":"queued"')
        [worker] = site.workers()
        assert threads_of(worker) < 2 * THREADS
        for path in (f"/jobs/{number}/events", "/events"):
            refused = site.request("GET", path)
            assert refused.status == 503
            assert refused.headers["Retry-After"] == "5"
            assert f"limit of {MAX_EVENT_STREAMS} event streams" in refused.json()["error"]
        for _ in range(20):
            assert site.post("/predict", {"lights": [1, 0, 1]})["version"] == 1
        start = time.monotonic()
        site.expect(200, "DELETE", f"/jobs/{number}")
        receive(b"event: end\ndata: {}\n\n")
        print(f"{len(clients)} followers received the end after {time.monotonic() - start:.2f} s")
        with socket.create_connection(("127.0.0.1", site.port), DEADLINE) as again:
            again.sendall(request.replace(b"1.1", b"1.0"))
            with again.makefile("rb") as file:
                assert file.read().endswith(b"\nevent: end\ndata: {}\n\n")


def test_connections_wait_while_the_worker_is_busy(tmp_path: Path) -> None:
    with Site(tmp_path, None) as site, contextlib.ExitStack() as stack:
        [worker] = site.workers()
        os.kill(worker, signal.SIGSTOP)
        try:
            # The kernel drops a connection for which there is no room, and the client tries again.
            clients = [
                stack.enter_context(socket.create_connection(("127.0.0.1", site.port), 5))
                for _ in range(500)
            ]
        finally:
            os.kill(worker, signal.SIGCONT)
        for client in clients:
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        for client in clients:
            with client.makefile("rb") as file:
                assert read_response(file)[0] == 200


def test_an_upgrade_that_is_not_offered_is_ignored(shared_server: Server) -> None:
    body = b'{"lights": [1, 0, 1]}'
    request = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nContent-Length: %d\r\n\r\n%s"
    ) % (len(body), body)
    websocket = (
        b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", shared_server.port), DEADLINE) as client:
        client.sendall(
            request * 2 + websocket + b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        with client.makefile("rb") as file:
            responses = file.read()
    assert responses.count(b"HTTP/1.1 200 OK\r\n") == 4
    assert responses.count(b'"decision":"walk"') == 2


def test_a_request_behind_another_gets_its_100_continue(shared_server: Server) -> None:
    body = b'{"lights": [[1, 0, 1]' + b" " * 500_000 + b"]}"
    heads = b"GET /versions HTTP/1.1\r\nHost: x\r\n\r\n"
    heads += b"POST /predict/batch HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
    heads += b"Content-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", shared_server.port), DEADLINE) as client:
        client.sendall(heads)
        with client.makefile("rb") as file:
            read_response(file)
            assert [file.readline(), file.readline()] == [b"HTTP/1.1 100 Continue\r\n", b"\r\n"]
            client.sendall(body)
            assert read_response(file)[1]["decisions"] == ["walk"]


def test_a_large_body_behind_another_request_arrives_unchanged(shared_server: Server) -> None:
    """The body is received while the request before it is answered in a thread."""
    rows = [[1, 0, 1]] * 20_000 + [[0, 0, 1]] * 30_000
    body = json.dumps({"lights": rows}).encode()
    requests = b"GET /versions HTTP/1.1\r\nHost: x\r\n\r\n"
    requests += b"POST /predict/batch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", shared_server.port), DEADLINE) as client:
        for _ in range(10):
            client.sendall(requests + body)
            with client.makefile("rb") as file:
                read_response(file)
                decisions = read_response(file)[1]["decisions"]
            assert decisions == ["walk"] * 20_000 + ["stop"] * 30_000


def test_the_stream_of_a_job_that_is_deleted_ends(tmp_path: Path, database_url: str | None) -> None:
    with Site(tmp_path, database_url) as site, contextlib.ExitStack() as stack:
        deleted, other = site.retrain(), site.retrain()
        streams = []
        for number in (deleted, other):
            client = stack.enter_context(
                socket.create_connection(("127.0.0.1", site.port), DEADLINE)
            )
            client.sendall(b"GET /jobs/%d/events HTTP/1.0\r\nHost: x\r\n\r\n" % number)
            streams.append(stack.enter_context(client.makefile("rb")))
            assert any(b'"state":"queued"' in line for line in streams[-1])
        engine = open_engine(site.database)
        with write_transaction(engine) as connection:
            connection.execute(delete(jobs).where(jobs.c.id == deleted))
        engine.dispose()
        assert streams[0].read() == b"\nevent: end\ndata: {}\n\n"
        site.expect(200, "DELETE", f"/jobs/{other}")
        assert b'"state":"cancelled"' in streams[1].read()


def test_a_head_of_events_is_answered_at_once(server: Server) -> None:
    number = server.expect(202, "POST", "/retrain")["id"]
    for path in (f"/jobs/{number}/events", "/events"):
        head = server.request("HEAD", path)
        assert head.headers["Content-Type"].startswith("text/event-stream")
    assert server.get(f"/jobs/{number}")["state"] == "queued"


def resident_mib(pid: int) -> float:
    """Return the memory of a process in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def test_clients_that_leave_while_the_database_is_slow_leave_no_bodies_behind(
    tmp_path: Path,
) -> None:
    """The place of a large request is free only when its body is."""
    body = b'{"lights": [1, 0, 0], "outcome": "walk"}' + b" " * 20_000_000
    head = b"POST /observations HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    with Site(tmp_path, None) as site:
        [worker] = site.workers()
        before, engine = resident_mib(worker), open_engine(site.database)
        with write_transaction(engine):
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", site.port), DEADLINE) as client:
                    client.settimeout(0.2)
                    with contextlib.suppress(TimeoutError):
                        client.sendall(head + body)
                    linger = struct.pack("ii", 1, 0)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            peak = resident_mib(worker)
            assert site.get("/livez") == {"status": "ok"}
        engine.dispose()
        site.wait_for_log('"message":"POST /observations 499"')
        print(f"{before:.0f} MiB before, peak {peak:.0f} MiB")
        # Four requests at once, each received and decoded.
        assert peak < before + 4 * 2 * 20 + 20


@pytest.mark.storm
def test_a_slow_but_steady_reader_gets_the_whole_response(tmp_path: Path) -> None:
    """It reads faster than the least rate, but the kernel could buffer more than a minute of it."""
    number = "0.12345678901234567"
    table = "a,b,c,outcome\n" + f"{number},{number},{number},walk\n" * 9_000
    with Site(tmp_path, None) as site, socket.socket() as client:
        for _ in range(5):
            site.expect(201, "POST", "/observations", table, **{"Content-Type": "text/csv"})
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.settimeout(DEADLINE)
        client.connect(("127.0.0.1", site.port))
        client.sendall(
            b"GET /observations?format=csv HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        received, start = b"", time.monotonic()
        while time.monotonic() < start + 50:
            received += client.recv(5 * 1024)
            time.sleep(0.25)
        while part := client.recv(1_000_000):
            received += part
    assert received.endswith(b"\r\n0\r\n\r\n")
    assert received.count(b",walk\n") >= 45_000
