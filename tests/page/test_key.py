"""Tests of the page on a server with an API key."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.browser import load, needs_browser, opened
from tests.server import ForkedServer, Server

pytestmark = needs_browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with ForkedServer(tmp_path_factory.mktemp("key"), api_key="secret") as server:
        yield server


def give_key(page: Page, key: str) -> None:
    page.get_by_label("This server requires its API key").fill(key)
    page.get_by_role("button", name="Use it in this tab").click()


def test_the_page_asks_until_the_key_is_valid(page: Page) -> None:
    page.locator("#walked").click()
    expect(page.locator("#key-problem")).to_be_hidden()
    give_key(page, "wrong")
    expect(page.locator("#key-problem")).to_have_text("This key is not valid.")
    give_key(page, "secret")
    expect(page.locator("#corner .said")).to_have_text("Recorded as observation 5.")
    expect(page.locator("#walked")).to_be_focused()
    page.locator("#stopped").click()
    expect(page.locator("#corner .said")).to_contain_text("which contradicts")
    assert page.evaluate("localStorage.length") == 0


def test_commands_have_the_header_but_not_the_key(page: Page, site: Server) -> None:
    page.evaluate("sessionStorage.setItem('streetlight-key', 'secret')")
    page.locator("#rollback").click()
    expect(page.locator('[data-curl="versions"] code')).to_have_text(
        f'curl -X POST {site.url}/rollback -H "Authorization: Bearer $STREETLIGHT_API_KEY"'
    )
    # Requests that change no state need no key.
    expect(page.locator('[data-curl="predict"] code')).not_to_contain_text("Authorization")
    assert "secret" not in page.content()


def test_a_request_that_is_given_no_key_says_so(page: Page, site: Server) -> None:
    page.evaluate("sessionStorage.clear()")
    load(page, site.url)
    page.locator("#walked").click()
    page.locator("#key-dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator("#corner .said")).to_contain_text("expected the header Authorization")


def test_a_key_may_have_any_characters(browser: Browser, tmp_path: Path) -> None:
    key = "Schlüssel-€"
    with ForkedServer(tmp_path, api_key=key) as server, opened(browser, server.url) as page:
        page.locator("#walked").click()
        give_key(page, "falscher Schlüssel €")
        expect(page.locator("#key-problem")).to_have_text("This key is not valid.")
        give_key(page, key)
        expect(page.locator("#corner .said")).to_have_text("Recorded as observation 5.")
