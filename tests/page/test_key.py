"""Tests of the page on a server with API keys."""

import json
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


def write_keys(file: Path, **rights: list[str]) -> None:
    """Write a key for each name, with the name as its text."""
    entries = [{"name": name, "key": name, "rights": found} for name, found in rights.items()]
    file.write_text(json.dumps(entries))


def test_a_key_without_the_right_is_named(browser: Browser, tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.json", people=["observe"], ops=["admin"])
    with (
        ForkedServer(tmp_path / "data", api_keys_file=tmp_path / "keys.json") as server,
        opened(browser, server.url) as page,
    ):
        page.locator("#walked").click()
        give_key(page, "people")
        expect(page.locator("#corner .said")).to_have_text("Recorded as observation 5.")
        page.get_by_role("button", name="withdraw observation 5").click()
        problem = "this request requires the right admin, and the API key people has observe"
        expect(page.locator("#key-problem")).to_have_text(problem)
        page.locator("#key-dialog").get_by_role("button", name="Cancel").click()
        expect(page.locator("#service")).to_contain_text(problem)
        page.locator("#walked").click()  # with the key as before
        expect(page.locator("#corner .said")).to_have_text("Recorded as observation 6.")
        page.get_by_role("button", name="withdraw observation 5").click()
        give_key(page, "ops")
        expect(page.locator("#ledger tbody tr.gone")).to_contain_text("5")


def test_a_server_that_guards_reads_is_shown_with_a_key(browser: Browser, tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.json", eyes=["read", "predict"], ops=["admin"])
    settings = {"api_keys_file": tmp_path / "keys.json", "guard": "all"}
    with ForkedServer(tmp_path / "data", **settings) as server:
        context = browser.new_context(accept_downloads=True)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.goto(server.url)
        expect(page.locator("#key-dialog")).to_be_visible()
        page.locator("#key-dialog").get_by_role("button", name="Cancel").click()
        expect(page.locator("#trouble")).to_contain_text("requires an API key with the right read")
        load_with_key(page, server.url, "eyes")
        expect(page.locator("#key-dialog")).to_be_hidden()
        expect(page.locator("#decision")).to_have_text("Walk")
        expect(page.locator('[data-curl="predict"] code')).to_contain_text("Authorization: Bearer")
        with page.expect_download() as download:
            page.locator("#download").click()
        assert download.value.suggested_filename == "streetlight-1.npz"
        assert download.value.path().stat().st_size > 1000
        # The stream of events has the key, too.
        row = {"lights": [1, 0, 1], "outcome": "walk"}
        server.expect(201, "POST", "/observations", row, Authorization="Bearer ops")
        expect(page.locator("#ledger tbody tr").first).to_contain_text("5")
        page.locator("#walked").click()
        expect(page.locator("#key-problem")).to_contain_text("the right observe, and the API key")
        context.close()


def load_with_key(page: Page, url: str, key: str) -> None:
    """Load the page, and give it the key for which it asks."""
    page.goto(url)
    give_key(page, key)
    page.locator("#live", has_text="●").wait_for()
