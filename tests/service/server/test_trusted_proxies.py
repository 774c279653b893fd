"""Tests of the headers of proxies: which are read, and from whom."""

import json
import socket
from ipaddress import ip_network
from pathlib import Path

import pytest

from streetlight.service.server.proxy import MAX_PROXIES, TrustedProxies
from tests.client import invoke
from tests.server import DEADLINE, ForkedServer
from tests.service.conftest import until

PROXIES = TrustedProxies(list(map(ip_network, ("10.0.0.0/8", "127.0.0.1", "2001:db8::/32"))))
PEER = "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("127.0.0.1", True),
        ("10.255.0.1", True),
        ("::ffff:10.0.0.1", True),  # of an IPv4 client that has reached an IPv6 socket
        ("2001:db8::7", True),
        ("", True),  # of a Unix socket
        ("127.0.0.2", False),
        ("::1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_the_peers_of_the_networks_are_trusted(peer: str, trusted: bool) -> None:
    assert PROXIES.include(peer) == trusted
    assert not TrustedProxies(()).include(peer)


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.9, 192.0.2.1", "192.0.2.1"),  # the client itself has sent the first
        ("192.0.2.1, 10.0.0.1,\t10.0.0.2", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("[2001:db9::1]:443, 10.0.0.2", "2001:db9::1"),
        ("[2001:db9::1]", "2001:db9::1"),
        ("2001:DB9::1", "2001:db9::1"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # What isn't an address is ignored, and what comes before it.
        ("", PEER),
        ("unknown", PEER),
        ("192.0.2.1, _hidden, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1,, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1,", PEER),
        ("192.0.2.256", PEER),
        ("[192.0.2.1", PEER),
        ("fe80::1%\x1b[2J", PEER),
        ("192.0.2.1 192.0.2.2", PEER),
        ("é", PEER),
        ("9" * 10_000, PEER),
        ("192.0.2.1, " + "10.0.0.2, " * MAX_PROXIES, PEER),
        ("10.0.0.9, " + ",".join(["10.0.0.2"] * 5000), "10.0.0.2"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxy(value: str, client: str) -> None:
    headers = {b"x-forwarded-for": value.encode("latin-1")}

    assert PROXIES.variables(headers, PEER) == {"REMOTE_ADDR": client}


@pytest.mark.parametrize(
    ("name", "value", "variables"),
    [
        ("proto", "https", {"wsgi.url_scheme": "https"}),
        ("proto", "http, https", {"wsgi.url_scheme": "https"}),
        ("proto", "javascript", {}),
        ("host", "evil.example, app.example.org:8443", {"HTTP_HOST": "app.example.org:8443"}),
        ("host", "[::1]:8443", {"HTTP_HOST": "[::1]:8443"}),
        ("host", "app.example.org/x", {}),
        ("host", "user@app.example.org", {}),
        ("host", "a" * 10_000, {}),
        ("host", "", {}),
        ("prefix", "/corner/north", {"SCRIPT_NAME": "/corner/north"}),
        ("prefix", "//evil.example", {}),
        ("prefix", "/corner/", {}),
        ("prefix", "corner", {}),
        ("prefix", "/a b", {}),
    ],
)
def test_a_url_is_read_only_if_it_is_valid(
    name: str, value: str, variables: dict[str, str]
) -> None:
    assert PROXIES.variables({f"x-forwarded-{name}".encode(): value.encode()}, PEER) == variables


FORWARDED = {
    "X-Forwarded-For": "203.0.113.9, 192.0.2.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "app.example.org",
    "X-Forwarded-Prefix": "/corner",
    "Forwarded": 'for=198.51.100.1;host="evil.example"',
}
ROW = {"lights": [1, 0, 1]}


def wait_for_line(server: ForkedServer, **fields: object) -> None:
    """Wait until the log has a line with `fields`."""

    def found() -> bool:
        lines = [line for line in server.log.read_text().splitlines() if line.startswith("{")]
        return any(fields.items() <= json.loads(line).items() for line in lines)

    until(found)


@pytest.mark.process
def test_a_trusted_proxy_names_the_client_and_the_host(tmp_path: Path) -> None:
    with ForkedServer(tmp_path, trusted_proxies="127.0.0.0/8") as server:

        def client_of(number: int) -> dict[str, str]:
            return FORWARDED | {"X-Forwarded-For": f"192.0.2.{number}"}

        server.post("/predict", ROW, **client_of(1))
        wait_for_line(server, client="192.0.2.1", status=200, route="/predict")
        server.get("/versions", **client_of(2))
        wait_for_line(server, client="192.0.2.2", status=200, route="/versions")
        location = server.request("GET", "/versions//1", **FORWARDED).headers["Location"]
        assert location == "../../versions/1"
        # Rejected before the application, once its head and once only a part of it is read.
        with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as peer:
            peer.sendall(
                b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.3\r\n"
                b"Content-Length: 999999999\r\n\r\n"
            )
            assert peer.recv(100).startswith(b"HTTP/1.1 413 ")
        wait_for_line(server, client="192.0.2.3", status=413)
        with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as peer:
            peer.sendall(
                b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.4\r\nX-A: b\r\nX Y: z"
            )
            assert peer.recv(100).startswith(b"HTTP/1.1 400 ")
        wait_for_line(server, client="192.0.2.4", status=400)
        # A page of the forwarded host has the same origin, and that of the header Host hasn't.
        own, other = "https://app.example.org", server.url
        row = ROW | {"outcome": "walk"}
        error = server.expect(403, "POST", "/observations", row, Origin=other, **FORWARDED)
        assert "same origin" in error["error"]
        error = server.expect(403, "POST", "/observations", row, Origin=own, **FORWARDED)
        assert 'STREETLIGHT_ALLOWED_HOSTS, got "app.example.org"' in error["error"]
        # A page under a name that now resolves to this server, of a browser on a trusted address.
        foreign = {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}
        for origin in (foreign, foreign | {"Origin": "null"}):
            hosts = {"Host": "evil.example", "X-Forwarded-Host": "localhost"}
            error = server.expect(403, "POST", "/observations", row, **hosts, **origin)
            assert f'got "{origin["Origin"].removeprefix("http://")}"' in error["error"]


@pytest.mark.process
def test_the_headers_of_others_are_ignored(tmp_path: Path) -> None:
    for number, trusted in enumerate(("", "10.0.0.0/8")):
        with ForkedServer(tmp_path / str(number), trusted_proxies=trusted) as server:
            headers = FORWARDED | {"Origin": server.url}
            server.post("/predict", ROW, **headers)
            wait_for_line(server, client="127.0.0.1", path="/predict")
            server.expect(201, "POST", "/observations", ROW | {"outcome": "walk"}, **headers)
            wait_for_line(server, client="127.0.0.1", path="/observations")


def test_a_network_with_host_bits_is_refused() -> None:
    result = invoke("serve", trusted_proxies="10.0.0.1/8, proxy")

    assert result.returncode == 2
    for index in (0, 1):
        assert f"STREETLIGHT_TRUSTED_PROXIES[{index}]: " in result.stderr
