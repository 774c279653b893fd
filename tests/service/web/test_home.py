"""The files of the page, compressed and sent again only if changed; and JSON at its address."""

import gzip
from pathlib import Path

import pytest

import streetlight.service.web.page as package
from tests.client import App
from tests.server import Server

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
FOLDER = Path(str(package.__file__)).with_name("static") / "home"


@pytest.mark.parametrize(("path", "name"), [("/", "index.html"), ("/page/main.js", "main.js")])
def test_a_file_is_compressed_for_clients_that_accept_gzip(
    shared_app: App, path: str, name: str
) -> None:
    content = (FOLDER / name).read_bytes()
    html = {"Accept": BROWSER}
    plain = shared_app.request("GET", path, **html, **{"Accept-Encoding": "identity"})
    assert plain.data == content
    small = shared_app.request("GET", path, **html, **{"Accept-Encoding": "gzip, br"})
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.data) == content
    assert small.headers["Content-Length"] == str(len(small.data))
    assert small.headers["Vary"] == plain.headers["Vary"]
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert small.headers["ETag"] != plain.headers["ETag"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("accept", "is_html"),
    [
        (None, False),
        ("*/*", False),  # curl, requests, KServe's client
        ("application/json", False),
        ("application/json, text/plain, */*", False),  # axios
        ("application/json;q=0.9, */*", False),
        ("text/html;q=0", False),
        ("image/png", False),
        ("text/html", True),
        ("text/html, */*", True),
        (BROWSER, True),
    ],
)
def test_the_address_answers_in_json_unless_html_is_asked_for(
    shared_server: Server, accept: str | None, is_html: bool
) -> None:
    headers = {} if accept is None else {"Accept": accept}
    response = shared_server.request("GET", "/", **headers)
    assert response.status == 200
    assert "Accept" in response.headers["Vary"].split(", ")
    assert ("Content-Security-Policy" in response.headers) == is_html
    assert response.data.startswith(b"<!doctype html>") == is_html
    head = shared_server.request("HEAD", "/", **headers)
    for name in ("Content-Type", "Content-Length", "Vary"):
        assert head.headers[name] == response.headers[name]
    if not is_html:
        service = response.json()
        assert (service["status"], service["live_version"]) == ("alive", 1)
        for name in ("example", "docs", "openapi"):  # relative to this address
            assert shared_server.request("GET", f"/{service[name]}").status == 200


def test_the_address_answers_without_a_live_version(app: App) -> None:
    app.post("/v2/repository/models/streetlight/unload")
    assert app.get("/")["live_version"] is None


def test_a_file_that_the_client_has_is_not_sent_again(shared_app: App) -> None:
    accepted = {"Accept-Encoding": "gzip"}
    whole = shared_app.request("GET", "/page/main.js", **accepted)
    headers = {"If-None-Match": whole.headers["ETag"]}
    response = shared_app.request("GET", "/page/main.js", **accepted, **headers)
    assert response.status == 304
    assert not response.data
    for name in ("ETag", "Vary", "Cache-Control"):
        assert response.headers[name] == whole.headers[name]


def test_a_client_never_joins_compressed_bytes_with_others(shared_app: App) -> None:
    tag = shared_app.request("GET", "/page/main.js").headers["ETag"]
    headers = {"Range": "bytes=100-", "If-Range": tag, "Accept-Encoding": "gzip"}
    response = shared_app.request("GET", "/page/main.js", **headers)
    assert response.status == 200
    assert gzip.decompress(response.data) == (FOLDER / "main.js").read_bytes()
    assert "Accept-Ranges" not in response.headers
