"""nginx, HAProxy and Caddy in front of the server: both find the same requests in any bytes.

Each proxy adds the `X-Request-ID` of the request it forwarded to the response, as X-Proxied-ID. If
the server found other requests in the forwarded bytes than the proxy, which is request smuggling,
the two ids of a response would differ. Events pass through each proxy as they happen.
"""

import contextlib
import re
import secrets
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import urllib3

from tests.conftest import STORM
from tests.proxies import running_proxy
from tests.server import DEADLINE, Server, free_port
from tests.service.conftest import ROUNDS
from tests.service.server.mutated_requests import (
    LIGHTS,
    Response,
    mutated_requests,
    read_responses,
)

pytestmark = [pytest.mark.process, pytest.mark.storm]

REQUEST_ID = re.compile(rb"\d+\.(\d)(\.hidden)?")
# Connections at a time. A proxy closes a connection that is silent for a second.
CONCURRENCY = 50

NGINX = """
client_header_timeout 1s;
client_body_timeout 1s;
keepalive_timeout 1s;
upstream streetlight {{ server 127.0.0.1:{server}; keepalive 8; }}
server {{
  listen 127.0.0.1:{port};
  location / {{
    proxy_pass http://streetlight;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    add_header X-Proxied-ID $http_x_request_id always;
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 5s
  timeout server 5s
  timeout client 1s
  timeout http-request 1s
  timeout http-keep-alive 1s
frontend clients
  bind 127.0.0.1:{port}
  http-request set-var(txn.id) req.fhdr(X-Request-ID)
  http-response set-header X-Proxied-ID %[var(txn.id)]
  default_backend streetlight
backend streetlight
  server streetlight 127.0.0.1:{server}
"""
CADDY = """
{{
  admin off
  auto_https off
  servers {{
    timeouts {{
      read_header 1s
      read_body 1s
      idle 1s
    }}
  }}
}}
http://:{port} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{server} {{
    header_down X-Proxied-ID {{http.request.header.X-Request-ID}}
  }}
}}
"""
CONFIGURATIONS = {"nginx": NGINX, "haproxy": HAPROXY, "caddy": CADDY}


@contextlib.contextmanager
def proxy_of(name: str, server: Server, directory: Path) -> Iterator[int]:
    """Run a proxy in front of the server, and return its port."""
    port = free_port()
    configuration = CONFIGURATIONS[name].format(port=port, server=server.port)
    with running_proxy(name, configuration, port, directory):
        yield port


def exchange(port: int, data: bytes) -> list[Response]:
    """Send bytes and return the responses until the proxy closes the connection."""
    received = b""
    # A reset may end the responses.
    reset = contextlib.suppress(BrokenPipeError, ConnectionResetError)
    with socket.create_connection(("127.0.0.1", port), DEADLINE) as client, reset:
        client.sendall(data)
        while part := client.recv(65536):
            received += part
    return read_responses(received)


@pytest.mark.parametrize("rounds", ROUNDS)
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_server_finds_the_requests_that_the_proxy_forwarded(
    target: Server, tmp_path: Path, name: str, rounds: int
) -> None:
    first = secrets.randbits(32) if STORM else 0
    seeds = range(first, first + max(200, 20 * rounds))
    scores = {
        light: target.post("/predict", {"lights": [light, 0, 1]})["score"] for light in LIGHTS
    }
    done = Event()

    def ordinary_traffic(client: int) -> int:
        """Send valid requests on a kept-alive connection, and check each response."""
        pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=1, timeout=DEADLINE)
        count = 0
        while not done.is_set():
            light, request_id = count % len(LIGHTS), f"ordinary.{client}.{count}"
            response = pool.request(
                "POST",
                "/predict",
                json={"lights": [light, 0, 1]},
                headers={"X-Request-ID": request_id},
            )
            assert response.status == 200, response.data
            assert response.headers["X-Request-ID"] == request_id
            assert response.json()["score"] == scores[light]
            count += 1
        return count

    with proxy_of(name, target, tmp_path) as port, ThreadPoolExecutor(CONCURRENCY + 2) as pool:
        ordinary = [pool.submit(ordinary_traffic, client) for client in range(2)]
        try:
            inputs = list(map(mutated_requests, seeds))
            found = list(pool.map(lambda data: exchange(port, data), inputs))
        finally:
            done.set()
        valid = sum(traffic.result() for traffic in ordinary)
    succeeded, wrong = 0, []
    for seed, data, responses in zip(seeds, inputs, found, strict=True):
        for response in responses:
            if response.status >= 400:
                continue
            ids = [response.headers.get(name, b"") for name in (b"x-request-id", b"x-proxied-id")]
            sent = REQUEST_ID.fullmatch(ids[0]) or REQUEST_ID.fullmatch(ids[1])
            if sent is None:  # the request's id was mutated, and the server generated one
                continue
            succeeded += 1
            light = int(sent[1]) + 5 * bool(sent[2])
            if ids[0] != ids[1] or response.score != scores[light]:
                wrong.append(f"seed {seed}: {data!r}\n{response}")
    print(
        f"{name}: {len(seeds)} inputs from seed {first}: {succeeded} requests answered, "
        f"{valid} ordinary requests"
    )
    assert not wrong, f"{len(wrong)} responses:\n" + "\n".join(wrong[:20])
    assert succeeded > len(seeds) / 3
    assert valid > 10


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_events_pass_through_the_proxy_at_once(target: Server, tmp_path: Path, name: str) -> None:
    request = b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n"
    with (
        proxy_of(name, target, tmp_path) as port,
        socket.create_connection(("127.0.0.1", port), DEADLINE) as client,
        client.makefile("rb") as file,
    ):
        client.sendall(request)
        next(line for line in file if line.startswith(b"event: observations"))
        row = {"lights": [1, 0, 1], "outcome": "walk"}
        latest = target.expect(201, "POST", "/observations", row)["results"][0]["id"]
        start = time.monotonic()
        next(line for line in file if b'"latest":%d' % latest in line)
        seconds = time.monotonic() - start
        print(f"{name}: the event arrived after {seconds:.2f} s")
        assert seconds < 3
