"""Tests of compressed responses: which are, for which clients, and what they leave unchanged."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from streetlight.service.web.response import MIN_COMPRESSED_BYTES
from tests.client import App
from tests.server import ForkedServer

GZIP = {"Accept-Encoding": "gzip"}
# A list of 500 observations, streams, documents and files of pages.
LARGE = [
    "/observations?limit=500",
    "/observations?format=jsonl",
    "/observations?format=csv",
    "/openapi.json",
    "/metrics",
    "/tutorial",
    "/docs/swagger-ui-bundle.js",
    "/page/stage/stations.js",
]
STATIC = ["/openapi.json", "/docs", "/docs/swagger-ui.css", "/page/main.js", "/tutorial/relu"]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with App(tmp_path_factory.mktemp("filled")) as app:
        rows = [{"lights": [n, 0, 1], "outcome": "walk"} for n in range(500)]
        app.expect(201, "POST", "/observations", {"observations": rows})
        yield app


@pytest.mark.parametrize("path", LARGE)
def test_a_large_response_is_compressed(filled: App, path: str) -> None:
    plain = filled.request("GET", path)
    assert "Content-Encoding" not in plain.headers
    assert plain.headers["Vary"] == "Accept-Encoding"
    assert len(plain.data) >= MIN_COMPRESSED_BYTES
    small = filled.request("GET", path, **GZIP)
    assert (small.status, small.headers["Content-Encoding"]) == (200, "gzip")
    assert small.headers["Vary"] == "Accept-Encoding"
    assert small.headers["Content-Type"] == plain.headers["Content-Type"]
    assert len(small.data) < len(plain.data) / 2
    if path != "/metrics":  # which count the first request
        assert gzip.decompress(small.data) == plain.data
    head = filled.request("HEAD", path, **GZIP)
    assert head.headers.get("Content-Length") == small.headers.get("Content-Length") or (
        path == "/metrics"
    )


@pytest.mark.parametrize(
    ("accept", "encoding"),
    [
        ("gzip;q=0", None),
        ("identity", None),
        ("br, zstd", None),
        ("gzip;q=0.5, identity", None),
        ("*;q=0", None),
        ("gzip;q=0.5", "gzip"),
        ("*", "gzip"),
        ("br;q=1, gzip;q=0.1", "gzip"),
        ("deflate, gzip;q=0.5", "deflate"),
        ("deflate", "deflate"),
        ("GZIP", "gzip"),
    ],
)
def test_the_encoding_is_the_one_that_the_client_prefers(
    filled: App, accept: str, encoding: str | None
) -> None:
    path = "/observations?limit=500"
    response = filled.request("GET", path, **{"Accept-Encoding": accept})
    assert response.headers.get("Content-Encoding") == encoding
    data = zlib.decompress(response.data, 47) if encoding else response.data
    assert len(json.loads(data)["observations"]) == 500


@pytest.mark.parametrize("path", ["/livez", "/versions", "/predict?lights=1,0,1"])
def test_a_short_response_and_a_prediction_are_not_compressed(filled: App, path: str) -> None:
    assert "Content-Encoding" not in filled.request("GET", path, **GZIP).headers


def test_a_batch_and_an_archive_are_not_compressed(filled: App) -> None:
    body = {"lights": [[1, 0, 1]] * 1000}
    assert "Content-Encoding" not in filled.request("POST", "/predict/batch", body, **GZIP).headers
    whole = filled.request("GET", "/versions/1/weights", **GZIP)
    assert "Content-Encoding" not in whole.headers
    part = filled.request("GET", "/versions/1/weights", Range="bytes=1-3", **GZIP)
    assert (part.status, part.data) == (206, whole.data[1:4])


@pytest.mark.parametrize("path", [*STATIC, "/versions/1/weights", "/versions/live/weights"])
def test_what_the_client_has_is_not_sent_again(filled: App, path: str) -> None:
    tags = set()
    for headers in ({}, GZIP):
        whole = filled.request("GET", path, **headers)
        tag = whole.headers["ETag"]
        assert not tag.startswith("W/")
        assert whole.headers["Cache-Control"] == "no-cache"
        for method in ("GET", "HEAD"):
            again = filled.request(method, path, **headers, **{"If-None-Match": f'"x", {tag}'})
            assert (again.status, again.headers["ETag"], again.data or b"") == (304, tag, b"")
            assert again.headers.get("Vary") == whole.headers.get("Vary")
        assert filled.request("GET", path, **headers, **{"If-None-Match": '"x"'}).status == 200
        tags.add(tag)
    # Each encoding is another sequence of bytes.
    assert len(tags) == (1 if "weights" in path else 2)


@pytest.mark.process
def test_a_server_sends_a_compressed_stream_to_its_end(tmp_path: Path) -> None:
    with ForkedServer(tmp_path) as server:
        rows = [{"lights": [n, 0, 1], "outcome": "walk"} for n in range(3000)]
        server.expect(201, "POST", "/observations", {"observations": rows})
        stream = server.request("GET", "/observations?format=jsonl", **GZIP)
        assert stream.headers["Content-Encoding"] == "gzip"
        assert len(stream.data.splitlines()) == 3004  # urllib3 decompresses
        events = server.pool.request("GET", "/events", headers=GZIP, preload_content=False)
        assert "Content-Encoding" not in events.headers
        events.close()
        tag = server.request("GET", "/openapi.json", **GZIP).headers["ETag"]
        again = server.request("GET", "/openapi.json", **GZIP, **{"If-None-Match": tag})
        assert (again.status, again.data) == (304, b"")
        for path in ("/docs", "/versions/1/weights"):
            assert len(server.request("GET", path).headers.getlist("Date")) == 1
