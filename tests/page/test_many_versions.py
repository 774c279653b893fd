"""The page with thousands of versions: it loads the newest ones, and those that it shows."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.browser import load, needs_browser, opened
from tests.server import ForkedServer, Server

pytestmark = needs_browser

NEWEST = 3000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with 3,000 versions, of which 2 are intact; the first is live."""
    with ForkedServer(tmp_path_factory.mktemp("many")) as server:
        server.train("--no-promote", "--seed", "5")
        for number in range(3, NEWEST + 1):
            (server.data_dir / "models" / f"{number}.npz").touch()
        yield server


def test_the_page_shows_the_newest_versions_and_the_live_one(
    browser: Browser, many: Server
) -> None:
    requested: list[str] = []

    def watch(page: Page) -> None:
        page.on("request", lambda request: requested.append(urlsplit(request.url).path))

    with opened(browser, many.url, watch) as page:
        rows = page.locator("#version-table tbody tr")
        expect(rows).to_have_count(101)
        expect(rows.first).to_contain_text(str(NEWEST))
        expect(rows.last).to_contain_text("1 ● live")
        expect(page.locator("#version-name")).to_have_text("Version 1, live")
        assert requested.count("/versions") < 5
        page.get_by_role("button", name="Show older versions").click()
        expect(rows).to_have_count(201)
        page.evaluate("location.hash = 'version=2'")
        expect(page.locator("#version-name")).to_have_text("Version 2")
        load(page, f"{many.url}/#version=2&curves=1")
        expect(page.locator("#version-name")).to_have_text("Version 2")
        expect(page.locator("#version-curves path.line")).to_have_count(2)
