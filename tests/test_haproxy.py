"""HAProxy with the configuration of deploy/compose: which requests it sends to a second server.

The servers are stand-ins that break connections. `.ci/compose-many` has real ones.
"""

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.server import DEADLINE, free_port
from tests.service.conftest import until

pytestmark = [pytest.mark.process, pytest.mark.storm]

CONFIGURATION = Path(__file__).parent.parent / "deploy" / "compose" / "haproxy" / "haproxy.cfg"


class StandIn(ThreadingHTTPServer):
    """A server that counts requests, and may break their connections or not be ready."""

    daemon_threads = True
    breaks = False
    ready = True

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.clients: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    """Answers 200, unless the server breaks connections or isn't ready."""

    protocol_version = "HTTP/1.1"
    server: StandIn

    def do_GET(self) -> None:
        """Answer a request; checks aren't counted."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        check = self.path in ("/livez", "/readyz")
        if not check:
            self.server.requests.append(self.path)
            self.server.clients.append(self.headers["X-Forwarded-For"])
            if self.server.breaks:
                self.close_connection = True
                return
        self.send_response(503 if self.path == "/readyz" and not self.server.ready else 200)
        self.send_header("Content-Length", "0")
        if check:  # so that HAProxy keeps no connection to a server that a test stops
            self.send_header("Connection", "close")
        self.end_headers()

    do_POST = do_GET  # noqa: N815 - the name that http.server expects

    def log_message(self, *_arguments: Any) -> None:
        """Write no log."""


@pytest.fixture
def servers() -> Iterator[list[StandIn]]:
    """Two servers, of which the first breaks the connection of each request."""
    found = [StandIn(), StandIn()]
    found[0].breaks = True
    for server in found:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    for server in found:
        server.shutdown()
        server.server_close()


@pytest.fixture
def proxy(servers: list[StandIn], tmp_path: Path) -> Iterator[urllib3.HTTPConnectionPool]:
    """HAProxy in front of the servers."""
    assert shutil.which("haproxy"), "expected haproxy; install it with: apt-get install haproxy"
    port, text = free_port(), CONFIGURATION.read_text()
    by_address = "\n  ".join(
        f"server server{number} 127.0.0.1:{server.server_port}"
        for number, server in enumerate(servers)
    )
    for written, here in (
        ("bind :8000", f"bind 127.0.0.1:{port}"),
        (" resolvers docker init-addr none", ""),
        ("server-template server 10 server:8000 inter 5s", by_address),
        ("server-template server 10 server:8000", by_address),
    ):
        assert written in text
        text = text.replace(written, here)
    (tmp_path / "haproxy.cfg").write_text(text)
    command = ["haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")]
    pool = urllib3.HTTPConnectionPool("127.0.0.1", port, retries=False, timeout=DEADLINE)

    def answers() -> bool:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            return pool.request("GET", "/livez").status == 200
        return False

    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(answers)
            yield pool
        finally:
            process.terminate()
            process.wait(DEADLINE)


@pytest.mark.parametrize(("method", "path"), [("POST", "/predict"), ("GET", "/jobs")])
def test_a_request_that_changes_nothing_is_repeated(
    proxy: urllib3.HTTPConnectionPool, servers: list[StandIn], method: str, path: str
) -> None:
    for _ in range(10):
        assert proxy.request(method, path, body=b"{}").status == 200

    assert servers[0].requests  # each was sent to the other server
    assert len(servers[1].requests) == 10
    assert set(servers[1].clients) == {"127.0.0.1"}


def test_a_request_that_may_change_something_is_sent_once(
    proxy: urllib3.HTTPConnectionPool, servers: list[StandIn]
) -> None:
    # If the client has kept its connection, HAProxy closes it instead of sending 502.
    new = {"Connection": "close"}
    statuses = [
        proxy.request("POST", "/observations", body=b"{}", headers=new).status for _ in range(10)
    ]

    assert statuses.count(502) == len(servers[0].requests) > 0
    assert statuses.count(200) == len(servers[1].requests) > 0
    assert len(servers[0].requests) + len(servers[1].requests) == 10


def test_a_request_goes_to_another_server_if_one_refuses_connections(
    proxy: urllib3.HTTPConnectionPool, servers: list[StandIn]
) -> None:
    servers[0].shutdown()
    servers[0].server_close()

    for _ in range(10):
        assert proxy.request("POST", "/observations", body=b"{}").status == 200


def test_servers_that_are_not_ready_still_get_requests_if_none_is_ready(
    proxy: urllib3.HTTPConnectionPool, servers: list[StandIn]
) -> None:
    for server in servers:
        server.breaks = server.ready = False

    def not_ready() -> bool:
        return proxy.request("GET", "/readyz").status == 503

    until(not_ready)
    assert proxy.request("POST", "/versions/1/promote").status == 200
