"""The system's Chromium, driven by Playwright; it also draws pictures for the documentation."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser."""
    with sync_playwright() as playwright:
        # Root, as in containers, has no sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Browser,
    url: str,
    watch: Callable[[Page], None] = lambda _page: None,
    **options: Any,
) -> Iterator[Page]:
    """Open a page in a profile of its own, and wait until all of it is there.

    Args:
        browser: which has no other use for that profile.
        url: of the page.
        watch: called with the page before it is asked for.
        options: of the profile.
    """
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(20_000)
    watch(page)
    page.goto(url)
    page.locator("#pattern-table tbody tr").first.wait_for()
    page.locator("#version-table tbody tr").first.wait_for()
    page.locator("#unpulled", has_text="weights").wait_for()
    yield page
    context.close()
