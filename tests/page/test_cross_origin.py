"""Tests of a page of another origin that uses the service, in a browser that checks what it may."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.page.browser import needs_browser
from tests.server import DEADLINE, ForkedServer

pytestmark = needs_browser

# Sends a request as a script of the page, and returns what the script can read of the response.
SEND = """async ([url, options]) => {
  const response = await fetch(url, options).catch(error => error);
  if (response instanceof Error) return null;
  return {status: response.status, body: await response.json(),
    location: response.headers.get("Location"), id: response.headers.get("X-Request-ID")};
}"""
LISTEN = """url => new Promise((resolve, reject) => {
  const source = new EventSource(url);
  source.addEventListener("versions", event => { source.close(); resolve(event.data); });
  source.onerror = () => { source.close(); reject(new Error("no stream")); };
})"""


class EmptyPage(BaseHTTPRequestHandler):
    """Answers every request with an empty page."""

    def do_GET(self) -> None:
        """Answer a request."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Write no log."""


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page of another origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.set_default_timeout(1000 * DEADLINE)
        page.goto(f"http://127.0.0.1:{other.server_port}/")
        yield page
        page.close()
        other.shutdown()


def test_a_listed_page_reads_and_with_the_key_changes(page: Page, tmp_path: Path) -> None:
    origin = page.evaluate("location.origin")
    with ForkedServer(
        tmp_path, cors_origins=origin, api_key="secret", max_body_bytes=2000
    ) as server:

        def send(method: str, path: str, body: str | None = None, **headers: str) -> Any:
            options = {"method": method, "headers": headers}
            if body is not None:
                options["body"] = body
            return page.evaluate(SEND, [server.url + path, options])

        key, json = {"Authorization": "Bearer secret"}, {"Content-Type": "application/json"}
        predicted = send("POST", "/predict", '{"lights": [1, 0, 1]}', **json)
        assert (predicted["status"], predicted["body"]["decision"]) == (200, "walk")
        assert predicted["id"]
        assert send("GET", "/versions/1", **{"X-Request-ID": "mine"})["id"] == "mine"
        assert send("POST", "/retrain")["status"] == 401
        queued = send("POST", "/retrain", "{}", **key, **json, **{"Idempotency-Key": "k"})
        assert (queued["status"], queued["location"]) == (202, "jobs/1")
        assert send("DELETE", "/jobs/1", **key)["status"] == 200
        assert send("GET", "/nope")["status"] == 404
        assert send("POST", "/predict", " " * 3000)["status"] == 413
        assert page.evaluate(LISTEN, f"{server.url}/events")

        page.goto(page.url.replace("127.0.0.1", "localhost"))
        assert send("GET", "/versions/1") is None
        assert send("POST", "/rollback", **key) is None
