"""Tests of the whole page: widths, accessibility, first load, security headers, path prefix."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.page.browser import load, needs_browser, opened
from tests.server import ForkedServer, Server
from tests.service.services import publish_network

pytestmark = needs_browser

OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Controls whose text is cut off, and boxes of the service's half that scroll sideways.
CLIPPED = """[...document.querySelectorAll("button, select, #service .scroll")]
  .filter((it) => it.checkVisibility() && it.scrollWidth > it.clientWidth + 1)
  .map((it) => `${it.id || it.className} ${it.textContent.slice(0, 40)}`)"""
TAB_STOPS = """[...document.querySelectorAll("a, button, input, select, [tabindex='0']")]
  .filter((it) => it.checkVisibility() && it.tabIndex >= 0 && !it.closest("main"))
  .filter((it) => it.type !== "radio" || it.checked).length"""


@pytest.fixture(scope="module", autouse=True)
def hundred_rows(site: Server) -> None:
    rows = [
        {"lights": [i & 1, i >> 1 & 1, (i % 10) / 10], "outcome": "walk" if i & 2 else "stop"}
        for i in range(100)
    ]
    site.expect(201, "POST", "/observations", {"observations": rows})
    site.expect(202, "POST", "/retrain", {"iterations": 20, "restarts": 0})


@pytest.fixture(scope="module")
def twelve_lights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("twelve")
    publish_network(folder / "models", (12, 4))
    with ForkedServer(folder, start_empty=True) as server:
        rows = [{"lights": [i / 100] * 12, "outcome": "walk"} for i in range(100)]
        server.expect(201, "POST", "/observations", {"observations": rows})
        dataset = folder / f"{'long' * 50}.csv"
        table = f"{','.join('abcdefghijkl')},outcome\n{'1,' * 12}walk\n"
        dataset.write_text(table, encoding="ascii")
        server.train("--dataset", str(dataset), "--no-promote")
        yield server


@pytest.mark.parametrize("width", [390, 768, 1440, 2560])
def test_nothing_overflows_or_is_clipped(page: Page, width: int) -> None:
    before = page.viewport_size
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate(OVERFLOW) == 0
    assert page.evaluate(CLIPPED) == []
    if before:
        page.set_viewport_size(before)


def test_rows_of_16_lights_leave_room_for_the_form(page: Page, site: Server) -> None:
    before = page.viewport_size
    page.set_viewport_size({"width": 768, "height": 900})
    row = "_".join(["1", "0"] * 8)
    load(page, f"{site.url}/#station=your-own&rows={row}_1,{row}_0")
    assert page.evaluate(OVERFLOW) == 0
    form = page.get_by_role("form", name="Add a row").bounding_box()
    assert form
    assert form["width"] > 200
    if before:
        page.set_viewport_size(before)


@pytest.mark.parametrize("width", [390, 768, 1440, 2560])
def test_twelve_lights_and_long_names_fit(
    browser: Browser, twelve_lights: Server, width: int
) -> None:
    viewport = {"width": width, "height": 900}
    with opened(browser, twelve_lights.url, viewport=viewport) as page:
        expect(page.locator("#contributions li")).to_have_count(12)
        expect(page.get_by_role("button", name="light 11", exact=True)).to_be_visible()
        expect(page.get_by_label("brightness of light 11", exact=True)).to_be_visible()
        expect(page.locator("#patterns")).to_be_hidden()
        expect(page.locator("#version-table tbody tr")).to_have_count(2)
        page.locator("#csv").set_input_files(twelve_lights.data_dir / f"{'long' * 50}.csv")
        expect(page.locator("#observe .said")).to_contain_text("recorded 1")
        assert page.evaluate(OVERFLOW) == 0
        assert page.evaluate(CLIPPED) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_accessibility_violations(page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    expect(page.locator("#ledger tbody tr")).to_have_count(100)
    expect(page.locator("#version-table tbody tr")).to_have_count(2)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_the_stage_is_reached_with_few_tab_stops(page: Page) -> None:
    assert page.evaluate(TAB_STOPS) <= 12
    page.locator("body").press("Tab")
    expect(page.locator(".skip")).to_be_focused()


def test_the_first_load_is_small(browser: Browser, site: Server) -> None:
    with opened(browser, site.url) as page:
        sizes = page.evaluate("""performance.getEntries()
            .filter((it) => it.entryType === "navigation" || it.name?.includes("/page/"))
            .map((it) => it.transferSize)""")
        assert len(sizes) > 10
        assert 10_000 < sum(sizes) < 150_000


class PrefixProxy(BaseHTTPRequestHandler):
    """A proxy that serves the application under the path prefix `/crossing`."""

    site: Server
    protocol_version = "HTTP/1.1"

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.removeprefix("/crossing")
        if path == self.path:
            self.send_error(404)
            return
        headers = {"Accept": self.headers["Accept"]}
        response = self.site.pool.urlopen(
            self.command, path, body or None, headers, redirect=False, preload_content=False
        )
        self.send_response(response.status)
        for name in ("Content-Type", "Content-Security-Policy", "Content-Length"):
            if name in response.headers:
                self.send_header(name, response.headers[name])
        if "Content-Length" not in response.headers:
            self.send_header("Connection", "close")
        self.end_headers()
        try:
            while data := response.read1():
                self.wfile.write(data)
        except (OSError, urllib3.exceptions.HTTPError):
            self.close_connection = True

    do_GET = do_POST = forward  # noqa: N815 - http.server's names

    def log_message(self, *_arguments: object) -> None:
        """Log nothing."""


def test_the_page_works_behind_a_path_prefix(browser: Browser, site: Server) -> None:
    handler = type("SitePrefixProxy", (PrefixProxy,), {"site": site})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        threading.Thread(target=proxy.serve_forever).start()
        url = f"http://127.0.0.1:{proxy.server_port}/crossing/"
        failed: list[str] = []

        def watch(page: Page) -> None:
            page.on("response", lambda r: failed.append(r.url) if r.status >= 400 else None)

        try:
            with opened(browser, url, watch) as page:
                page.get_by_role("button", name="left light", exact=True).click()
                expect(page.locator("#decision")).to_have_text("Stop")
                expect(page.locator('[data-curl="predict"] code')).to_contain_text(
                    f"curl {url}predict "
                )
        finally:
            proxy.shutdown()
        assert failed == []


def test_the_page_has_security_headers_and_an_etag(site: Server) -> None:
    html = {"Accept": "text/html"}
    response = site.request("GET", "/", **html)
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    cached = site.request("GET", "/", **html, **{"If-None-Match": response.headers["ETag"]})
    assert cached.status == 304
    assert site.expect(404, "GET", "/page/other.js")["error"]
