"""The files of the demonstration page: compressed for browsers, and sent again only if changed."""

import gzip
from pathlib import Path

import pytest

import streetlight.service.web.page as package
from tests.client import App

FOLDER = Path(str(package.__file__)).with_name("static") / "home"


@pytest.mark.parametrize(("path", "name"), [("/", "index.html"), ("/page/main.js", "main.js")])
def test_a_file_is_compressed_for_clients_that_accept_gzip(
    shared_app: App, path: str, name: str
) -> None:
    content = (FOLDER / name).read_bytes()
    plain = shared_app.request("GET", path, **{"Accept-Encoding": "identity"})
    assert plain.data == content
    small = shared_app.request("GET", path, **{"Accept-Encoding": "gzip, br"})
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(small.data) == content
    assert small.headers["Content-Length"] == str(len(small.data))
    assert small.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert small.headers["ETag"] == plain.headers["ETag"]


def test_a_file_that_the_client_has_is_not_sent_again(shared_app: App) -> None:
    whole = shared_app.request("GET", "/page/main.js")
    headers = {"If-None-Match": whole.headers["ETag"], "Accept-Encoding": "gzip"}
    response = shared_app.request("GET", "/page/main.js", **headers)
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
