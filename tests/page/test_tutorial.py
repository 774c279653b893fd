"""The tutorial that the service serves: its pages are current, and a browser shows them."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from streetlight.service.web.page.tutorial import FILES
from tests import tutorial
from tests.client import App
from tests.page.browser import CHROMIUM, chromium
from tests.server import Server

HEADING = "main > h1"
PAGES = [f"tutorial/{path.stem}" for path in sorted((tutorial.DOCS / "tutorial").glob("*.md"))]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_the_served_pages_are_those_of_the_documentation() -> None:
    for name, text in tutorial.files().items():
        assert (tutorial.SERVED / name).read_text(encoding="utf-8") == text, "run make docs"


def test_the_tutorial_takes_less_than_150_kb() -> None:
    assert sum(file.stat().st_size for file in FILES.values()) < 150_000


def test_every_link_is_served(shared_app: App) -> None:
    for page in ("tutorial", *PAGES):
        base = "/tutorial/" if "/" in page else "/"
        text = shared_app.request("GET", f"/{page}").data.decode()
        for link in re.findall(r'(?:href|src)="([^"#]*)#?[^"]*"', text):
            path = (base + link).replace("/tutorial/../", "/").replace("/./", "/")
            response = shared_app.request("GET", path)
            assert response.status == 200, (page, link)


def test_the_page_and_the_tutorial_have_the_same_stations() -> None:
    stations = Path(str(files("streetlight.service.web.page"))) / "static/home/stage/stations.js"
    listed = re.findall(r"\(tutorial/([\w-]+)\.md\) \|", tutorial.INDEX.read_text(encoding="utf-8"))
    assert listed == re.findall(r'^  station\("([\w-]+)"', stations.read_text(), re.MULTILINE)
    assert sorted(f"tutorial/{station}" for station in listed) == PAGES


def test_an_unknown_page_is_not_found(shared_app: App) -> None:
    error = shared_app.expect(404, "GET", "/tutorial/nope")["error"]
    assert error.startswith("there is no route /tutorial/nope")


@pytest.mark.process
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
def test_every_page_is_accessible_and_fits_a_phone(browser: Browser, shared_server: Server) -> None:
    page: Page = browser.new_page(viewport={"width": 390, "height": 844})
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    for path in ("tutorial", *PAGES):
        page.goto(f"{shared_server.url}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
        for image in page.locator("img").all():
            assert image.evaluate("it => it.naturalWidth") > 0, path
    # The other pages consist of the same elements.
    for scheme, path in (
        ("light", "tutorial"),
        ("light", "tutorial/relu"),
        ("dark", "tutorial/relu"),
    ):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(f"{shared_server.url}/{path}")
        assert Axe().run(page).response["violations"] == [], (scheme, path)
    page.close()
    assert errors == []


@pytest.mark.process
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
def test_the_pages_lead_from_station_to_station(browser: Browser, shared_server: Server) -> None:
    page: Page = browser.new_page()
    page.goto(f"{shared_server.url}/tutorial")
    page.get_by_role("link", name="One light").click()
    for station in range(1, len(PAGES) + 1):
        expect(page.locator(HEADING)).to_contain_text(f"{station}. ")
        # The commands have the address of this server.
        expect(page.locator(".language-sh").last).not_to_contain_text("127.0.0.1:8000")
        name = page.url.rpartition("/")[2]
        assert page.get_by_role("link", name="See it learn").last.get_attribute("href") == (
            f"../#station={name}"
        )
        if station < len(PAGES):
            page.locator("main > p").last.get_by_role("link").nth(2 if station > 1 else 1).click()
    page.get_by_role("link", name="All stations").click()
    expect(page.locator(HEADING)).to_contain_text("Tutorial")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").last.click()
    expect(page.get_by_role("button", name="Copied")).to_have_count(1)
    assert page.evaluate("navigator.clipboard.readText()") == (
        f"curl -s {shared_server.url}/predict -d '{{\"lights\": [1, 0, 1]}}'\n"
    )
    # From a station's page to its place on the demonstration page, and back.
    page.get_by_role("link", name="Relu", exact=True).click()
    page.get_by_role("link", name="See it learn").first.click()
    expect(page.locator("#lesson")).to_contain_text("Station 10 of 12")
    page.locator("#lesson a").click()
    expect(page.locator(HEADING)).to_have_text("10. Relu")
    page.close()


@pytest.mark.process
@pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")
def test_a_picture_can_be_opened_by_itself(browser: Browser, shared_server: Server) -> None:
    page = browser.new_page()
    page.goto(f"{shared_server.url}/tutorial/descents.svg")
    line = page.locator("polyline, path").first
    assert line.evaluate("line => getComputedStyle(line).fill") == "none"
