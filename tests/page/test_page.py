"""Tests of the page: lights, network, ledger, retraining and versions, by mouse and keyboard."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from tests.page.browser import CHROMIUM, chromium, load, opened
from tests.server import ForkedServer, Server
from tests.service.services import publish_network

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ForkedServer(tmp_path_factory.mktemp("page"), trainer=True) as server:
        yield server


@pytest.fixture(scope="module")
def tab(browser: Browser, site: Server) -> Iterator[tuple[Page, list[str]]]:
    """A tab with the page, and the list of its errors; opening a tab takes longer than a test."""
    errors: list[str] = []

    def check_message(message: ConsoleMessage) -> None:
        # The browser logs each 4xx response; the page handles these.
        if message.type == "error" and "status of 4" not in message.text:
            errors.append(message.text)

    def check_request(request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(site.url).netloc:
            errors.append(f"request to another host: {request.url}")

    def watch(page: Page) -> None:
        page.on("console", check_message)
        page.on("request", check_request)
        page.on("pageerror", lambda error: errors.append(str(error)))

    with opened(browser, site.url, watch) as page:
        yield page, errors


@pytest.fixture
def page(tab: tuple[Page, list[str]], site: Server) -> Iterator[Page]:
    """The page; fails the test on a script error, a console error or a request to another host."""
    page, errors = tab
    errors.clear()
    load(page, site.url)
    yield page
    page.goto("about:blank")
    assert errors == []


def light_button(page: Page, i: int) -> Any:
    return page.get_by_role("button", name=f"light {i}", exact=True)


def test_switching_a_light_updates_the_decision(page: Page, site: Server) -> None:
    expect(page.locator("#decision")).to_have_text("▶ Walk")
    light_button(page, 0).click()
    expect(page.locator("#decision")).to_have_text("■ Stop")
    expect(page.locator("#score")).to_contain_text("version 1")
    expect(page.locator("#figure")).to_have_class("stop")
    expect(page).to_have_url(re.compile("#lights=0,0,1$"))
    expect(page.locator('[data-curl="predict"] code')).to_have_text(
        f"curl {site.url}/predict -d '{{\"lights\":[0,0,1]}}'"
    )
    # The space key toggles the light, and the button keeps the focus.
    light_button(page, 0).focus()
    page.keyboard.press("Space")
    expect(page.locator("#decision")).to_have_text("▶ Walk")
    expect(light_button(page, 0)).to_be_focused()
    page.get_by_label("brightness of light 2").fill("0.5")
    expect(page).to_have_url(re.compile("#lights=1,0,0.5$"))


def test_a_link_restores_the_lights(page: Page, site: Server) -> None:
    load(page, f"{site.url}/#lights=0,1,1")
    expect(light_button(page, 1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#pattern-table tr.now")).to_contain_text("0 1 1")
    page.get_by_role("button", name="0 0 1", exact=True).click()
    expect(page.locator("#decision")).to_have_text("■ Stop")


def test_pointing_at_a_node_shows_its_calculation(page: Page, site: Server) -> None:
    explanation = site.post("/explain", {"lights": [1, 0, 1]})
    off_count = explanation["relu"]["layer_1"].count(False)

    expect(page.locator("#live-drawing g[role=button]")).to_have_count(3 + 4 + 1)
    expect(page.locator("#live-drawing").get_by_text("off")).to_have_count(off_count)
    page.locator("#live-drawing g").last.hover()
    expect(page.locator("#live-arithmetic")).to_contain_text("layer_2[0] = ")
    page.locator("#live-drawing g").nth(3).focus()
    expect(page.locator("#live-arithmetic")).to_contain_text("layer_1[0] = relu(1 ")


def test_observing_retraining_and_rolling_back(page: Page, site: Server, tmp_path: Path) -> None:
    page.get_by_role("button", name="0 1 0", exact=True).click()
    expect(page.locator("#decision")).to_have_text("▶ Walk")
    page.locator("#stopped").click()
    expect(page.locator("#observed")).to_have_text("Recorded as observation 5.")
    page.locator("#walked").click()
    expect(page.locator("#observed")).to_have_text(
        "Recorded as observation 6, which contradicts 5."
    )
    expect(page.locator("#ledger tr", has_text="contradicted")).to_have_count(2)
    page.get_by_role("button", name="withdraw observation 6").click()
    expect(page.locator("#ledger tr.gone")).to_have_count(1)
    (tmp_path / "more.csv").write_text('"left, low",middle,right,outcome\n1,1,0,stop\n0,0,x,walk\n')
    page.locator("#csv").set_input_files(tmp_path / "more.csv")
    expect(page.get_by_role("alert")).to_contain_text("line 3: right: expected a finite number")
    (tmp_path / "more.csv").write_text('"left, low",middle,right,outcome\n1,1,0,stop\n')
    page.locator("#csv").set_input_files(tmp_path / "more.csv")
    expect(page.locator("#observed")).to_have_text(
        "more.csv: recorded 1, of which 0 contradict others."
    )
    expect(page.get_by_role("alert")).to_be_hidden()

    page.get_by_label("iterations").fill("0")
    page.locator("#start").evaluate("button => button.form.noValidate = true")
    page.locator("#start").click()
    expect(page.get_by_role("alert")).to_contain_text("iterations: expected")
    page.get_by_label("iterations").fill("500")
    page.locator("#start").click()
    expect(page.locator("#job")).to_contain_text("Job 1 succeeded")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#verdict")).to_contain_text("Version 2 is live now.")
    expect(page.locator("#verdict")).to_contain_text("0 1 0: was walk, now stop")
    expect(page.locator("#exam")).to_contain_text(
        "Judged on the training data: an exam requires 30 "
    )
    expect(page.locator("#exam-table tr")).to_have_count(0)
    expect(page.locator("#job-curve path")).to_have_count(2)
    expect(page.locator("#version-table tr.now")).to_contain_text("★ 2 (live)")
    expect(page.locator("#decision")).to_have_text("■ Stop")
    expect(page.locator("#pattern-table tr.now")).to_contain_text("≠")

    for version in (1, 2):
        page.get_by_label(f"show the curve of version {version}").check()
    expect(page.locator("#version-curves text", has_text="version")).to_have_count(2)
    expect(page).to_have_url(re.compile("curves=1,2"))

    page.get_by_role("button", name="verify version 2").click()
    expect(page.locator("#switched")).to_contain_text("identical bit for bit")
    page.get_by_role("button", name="Roll back").click()
    expect(page.locator("#switched")).to_have_text("Version 1 is live.")
    page.get_by_role("button", name="promote version 2").click()
    expect(page.locator("#version-table tr.now")).to_contain_text("★ 2 (live)")
    with page.expect_download() as download:
        page.get_by_role("link", name=".npz").first.click()
    assert download.value.path().read_bytes() == (site.data_dir / "models/2.npz").read_bytes()
    site.post("/versions/1/promote")


def test_the_verdict_shows_the_exam(browser: Browser, tmp_path: Path) -> None:
    with ForkedServer(tmp_path, trainer=True, start_empty=True) as server:
        # The outcome is that of the last light; version 1 decides half of the patterns otherwise.
        for row in range(80):
            lights = [row & 1, row >> 1 & 1, row >> 2 & 1]
            outcome = "walk" if lights[2] else "stop"
            server.expect(201, "POST", "/observations", {"lights": lights, "outcome": outcome})
        with opened(browser, server.url) as page:
            page.get_by_label("go live").select_option("never")
            page.locator("#start").click()
            expect(page.locator("#verdict")).to_contain_text("Version 2 was not promoted.")
            expect(page.locator("#exam")).to_have_text(
                "Judged on 30 observations that neither version has learnt from. "
                "Version 1 has 50 % right (95 % interval: 33.15 % to 66.85 %). "
                "Version 2 has 100 % right (95 % interval: 88.65 % to 100 %). "
                "McNemar's test: p = 6.1e-5."
            )
            expect(page.locator("#exam-table tr")).to_have_text(
                ["version2 right2 wrong", "1 right150", "1 wrong150"]
            )
            expect(page.locator("#verdict")).to_contain_text(
                "0 1 0: was walk, now stop; observations: 10"
            )
            page.get_by_label("go live").select_option("better")
            page.locator("#start").click()
            expect(page.locator("#verdict")).to_contain_text("Version 3 is live now.")
            assert server.get("/jobs/2")["promote"] == "better"
            results = Axe().run(page, context="#retrain")
            assert results.violations_count == 0, results.generate_report()


def test_stepping_through_the_training_of_a_scratch_network(page: Page, site: Server) -> None:
    versions = site.get("/versions")
    rows = [row for row in site.get("/observations")["observations"] if not row["withdrawn"]]
    expect(page.locator("#step-next")).to_contain_text(f"Next: example 1 of {len(rows)}, 1 0 1")
    page.locator("#step-one").click()
    expect(page.locator("#stepped")).to_contain_text("Step 1: 1 0 1, walk. The score was 1, now")
    expect(page.locator("#step-table tbody tr")).to_have_count(3 * 4 + 4)

    page.get_by_label("start with").select_option("seed")
    expect(page.locator("#step-table tbody tr")).to_have_count(0)
    page.locator("#step-one").click()
    result = site.post("/step", {"lights": [1, 0, 1], "outcome": "walk", "seed": 1})
    expect(page.locator("#stepped")).to_contain_text(f"The score was {result['score']:.4g}")
    changed = sum(
        delta != 0 for m in result["weight_deltas"].values() for row in m for delta in row
    )
    assert 0 < changed < 16
    expect(page.locator("#step-table tr.now")).to_have_count(changed)
    page.locator("#step-drawing g").last.hover()
    expect(page.locator("#step-arithmetic")).to_contain_text("; its delta is ")
    expect(page.locator('[data-curl="step"] code')).to_contain_text('"seed":1')
    page.locator("#step-pass").click()
    expect(page.locator("#stepped")).to_contain_text(f"Step {len(rows)}:")
    page.locator("#step-pass").click()
    expect(page.locator("#step-curve text", has_text="error of the pass")).to_be_visible()
    page.locator("#step-again").click()
    expect(page.locator("#stepped")).to_have_text("Started over.")
    expect(page).to_have_url(re.compile("scratch.start=seed"))
    assert site.get("/versions") == versions


def test_the_weight_pressure_of_a_row_is_shown(page: Page, site: Server) -> None:
    live = site.get("/versions")["live"]
    expect(page.locator("#pressure-table th")).to_have_count(4)
    page.locator("#pressure-row").select_option("1")
    expect(page.locator("#pressure-table th")).to_have_count(5)
    row = site.get(f"/versions/{live}/pressure?limit=2")["rows"][1]
    arrows = page.locator("#pressure-table td:nth-child(2)", has_text=re.compile("[↑↓]"))
    nonzero = sum(bool(p) for m in row["pressure"].values() for weights in m for p in weights)
    assert nonzero > 0
    expect(arrows).to_have_count(nonzero)
    expect(page).to_have_url(re.compile("row=1"))


def test_a_link_restores_the_state_of_the_page(page: Page, site: Server) -> None:
    state = "#lights=0,0.5,1&row=2&curves=1&recipe.alpha=0.1&scratch.start=seed&scratch.seed=7"
    load(page, site.url + "/" + state)
    expect(page.get_by_label("brightness of light 1")).to_have_value("0.5")
    expect(page.locator("#pressure-row")).to_have_value("2")
    expect(page.get_by_label("show the curve of version 1")).to_be_checked()
    expect(page.locator("#version-curves text", has_text="version 1")).to_be_visible()
    expect(page.locator("#recipe [name=alpha]")).to_have_value("0.1")
    expect(page.locator("#scratch [name=seed]")).to_have_value("7")
    page.locator("#recipe [name=alpha]").fill("0.3")
    page.locator("#recipe [name=seed]").focus()
    expect(page).to_have_url(f"{site.url}/{state.replace('recipe.alpha=0.1', 'recipe.alpha=0.3')}")


def test_a_job_can_be_cancelled(page: Page) -> None:
    page.get_by_label("iterations").fill("1000000")
    page.locator("#recipe [name=alpha]").fill("0.000001")
    page.locator("#start").click()
    page.locator("#cancel").click()
    expect(page.locator("#job")).to_contain_text("cancelled")
    expect(page.locator("#cancel")).to_be_hidden()


def test_the_page_prompts_for_the_api_key(browser: Browser, tmp_path: Path) -> None:
    with ForkedServer(tmp_path, api_key="secret") as server, opened(browser, server.url) as page:
        page.locator("#walked").click()
        page.get_by_label("This server requires its API key").fill("secret")
        page.get_by_role("button", name="Use it in this tab").click()
        expect(page.locator("#observed")).to_have_text("Recorded as observation 5.")
        page.locator("#stopped").click()
        expect(page.locator("#observed")).to_contain_text("which contradicts")
        assert page.evaluate("localStorage.length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_accessibility_violations(page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_the_page_fits_a_phone_screen_and_a_transfer_limit(browser: Browser, site: Server) -> None:
    with opened(browser, site.url, viewport={"width": 360, "height": 740}) as page:
        overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(overflow) == 0
        sizes = page.evaluate(
            "performance.getEntries().filter(e => 'transferSize' in e).map(e => e.transferSize)"
        )
        assert 10_000 < sum(sizes) < 150_000


class PrefixProxy(BaseHTTPRequestHandler):
    """A proxy that serves the application under the path prefix `/crossing`."""

    site: Server
    protocol_version = "HTTP/1.1"

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.removeprefix("/crossing")
        has_prefix = path != self.path
        response = self.site.request(self.command, path, body or None) if has_prefix else None
        self.send_response(response.status if response else 404)
        for name in ("Content-Type", "Content-Security-Policy"):
            if response and name in response.headers:
                self.send_header(name, response.headers[name])
        data = response.data if response else b""
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

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
                light_button(page, 0).click()
                expect(page.locator("#decision")).to_have_text("■ Stop")
                expect(page.locator('[data-curl="predict"] code')).to_contain_text(
                    f"curl {url}predict "
                )
        finally:
            proxy.shutdown()
        assert failed == []


def test_the_page_has_security_headers_and_an_etag(site: Server) -> None:
    response = site.request("GET", "/")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    cached = site.request("GET", "/", **{"If-None-Match": response.headers["ETag"]})
    assert cached.status == 304
    assert site.expect(404, "GET", "/page/other.js")["error"]


def test_the_page_shows_a_wide_network(browser: Browser, tmp_path: Path) -> None:
    publish_network(tmp_path / "models", (3, 100, 100), rows=300)
    with ForkedServer(tmp_path) as server, opened(browser, server.url) as page:
        expect(page.locator("#pressure-row option")).to_have_count(1 + 1_000_000 // 10_400)
        expect(page.locator("#trouble")).to_be_hidden()
