"""Start the system's Chromium with Playwright, for the tests and the documentation's pictures."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.server import DEADLINE

# The headless shell is the same browser without a window, and takes half of the processor time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)


expect.set_options(timeout=1000 * DEADLINE)

# The marks of a module with tests of the page.
needs_browser = [
    pytest.mark.process,
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed"),
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser, and close it at the end of the block."""
    with sync_playwright() as playwright:
        # Chromium's sandbox doesn't run as root, which is the user in containers.
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
    """Open a page in a new browser context, and wait until all its sections have loaded.

    Args:
        browser: the browser, in which the context shares nothing with other contexts.
        url: the address of the page.
        watch: called with the page before it loads, to register event handlers.
        options: the options of the context, such as `viewport`.
    """
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(1000 * DEADLINE)
    watch(page)
    load(page, url)
    yield page
    context.close()


def load(page: Page, url: str) -> None:
    """Load the page at `url`, and wait until all its sections have loaded."""
    page.goto("about:blank")  # a change of the fragment alone would not load the page
    page.goto(url)
    page.locator("#version-table tbody tr").first.wait_for()
    page.locator("#ledger-part", has_text="observation").wait_for()
    page.locator("#live", has_text="●").wait_for()  # the stream of events is open
