"""A page whose stage is tested: without animations, so that a step ends at once."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from tests.server import DEADLINE, ForkedServer

READ_ANOTHER_FRAGMENT = """new Promise((resolve) => {
  addEventListener("hashchange", resolve, { once: true });
  location.hash = performance.now();
})"""


@contextmanager
def stage_page(browser: Browser, directory: Path) -> Iterator[Page]:
    """Start a server and open its page; fail at the end if the console has an error."""
    errors: list[str] = []

    def check_message(message: ConsoleMessage) -> None:
        # The browser logs each 4xx response; the page handles these.
        if message.type == "error" and "status of 4" not in message.text:
            errors.append(message.text)

    with ForkedServer(directory) as server:
        context = browser.new_context(base_url=server.url, reduced_motion="reduce")
        page = context.new_page()
        page.set_default_timeout(1000 * DEADLINE)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", check_message)
        page.goto("/")
        yield page
        context.close()
    assert errors == []


def step_body(setup: dict[str, Any], row: int, network: dict[str, Any]) -> dict[str, Any]:
    """Return the body of POST /step with which `network` learns a row as with `setup`."""
    return {
        "lights": setup["lights"][row],
        "outcome": "walk" if setup["outcomes"][row] else "stop",
        "network": network,
        "alpha": setup["alpha"],
        "weight_decay": setup["weightDecay"],
        "l1_penalty": setup["l1Penalty"],
    }


def open_station(page: Page, fragment: str) -> None:
    """Go to the stage with `fragment`, and wait until its station is shown.

    No control has the focus then.
    """
    page.evaluate("document.activeElement.blur()")
    # The stage may not have written its fragment yet, which would take the place of the same one.
    page.evaluate(READ_ANOTHER_FRAGMENT)
    page.goto(f"/#station={fragment}")
    slug = fragment.partition("&")[0]
    expect(page.locator(f"#stations input[value={slug}]")).to_be_checked()
    expect(page).to_have_url(re.compile(f"station={slug}(&|$)"))


def happened(page: Page) -> Locator:
    """Return the element that says what happened."""
    return page.locator("#happened")


def press(page: Page, name: str) -> None:
    """Click the button of the stage with `name`."""
    page.locator("#stage, #details").get_by_role("button", name=name).click()
