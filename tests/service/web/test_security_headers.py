"""Every response forbids guessing its type and storing it."""

import socket

import pytest
import urllib3

from tests.client import App
from tests.server import DEADLINE, Server

FILES = {"/page/<path:name>", "/docs", "/docs/<name>", "/tutorial", "/tutorial/<name>"}
VERSION = ("version:number", "version:a", "version:b")
FILES |= {"/openapi.json", "/versions/<version:number>/weights"}


def assert_headers(response: urllib3.BaseHTTPResponse, cache: str, about: object) -> None:
    assert response.headers.getlist("X-Content-Type-Options") == ["nosniff"], about
    assert response.headers.getlist("Cache-Control") == [cache], about


def test_every_route_has_the_headers(shared_app: App) -> None:
    names = {"path:name": "main.js", "label": "live", "version": "1", "model": "streetlight"}
    for rule in shared_app.application.url_map.iter_rules():
        path = rule.rule.replace("/docs/<name>", "/docs/start.js")
        path = path.replace("/tutorial/<name>", "/tutorial/relu")
        for name, value in {"int:number": "1", **dict.fromkeys(VERSION, "1"), **names}.items():
            path = path.replace(f"<{name}>", value)
        for method in {*(rule.methods or ()), "PUT"} - {"DELETE", "POST"}:
            cache = "no-cache" if rule.rule in FILES and method in "GET HEAD" else "no-store"
            assert_headers(shared_app.request(method, path), cache, (method, path))
    for path in ("/nope", "/page/nope", "/versions//1", "/versions/1/weights?x"):
        assert_headers(shared_app.request("GET", path), "no-store", path)
    for path in ("/predict", "/predict/batch", "/versions/9/promote", "/rollback"):
        assert_headers(shared_app.request("POST", path, b"{"), "no-store", path)


@pytest.mark.process
def test_responses_of_the_server_have_the_headers(shared_server: Server) -> None:
    body = {"lights": [1, 0, 1]}
    for method, path, content in (
        ("POST", "/predict", body),  # the fast path
        ("GET", "/predict?lights=1,0,1", None),
        ("GET", "/predict?lights=" + "1," * 3000, None),  # rejected by the server
        ("GET", "/observations?format=csv", None),
        ("GET", "/livez", None),
        ("HEAD", "/livez", None),
    ):
        assert_headers(shared_server.request(method, path, content), "no-store", path)
    with socket.create_connection(("127.0.0.1", shared_server.port), DEADLINE) as client:
        client.sendall(b"rubbish\r\n\r\n")
        head = client.makefile("rb").read().partition(b"\r\n\r\n")[0]
    assert {b"X-Content-Type-Options: nosniff", b"Cache-Control: no-store"} < set(
        head.split(b"\r\n")
    )
