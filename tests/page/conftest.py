"""A browser for each module of tests, a server, and a tab that has the page open."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from tests.page.browser import chromium, load, opened
from tests.server import ForkedServer, Server


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
