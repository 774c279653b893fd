"""Take the screenshots in docs/images of a real server: `python -m tests.page.pictures`.

Also print, for the first load, the bytes transferred and the milliseconds until it is complete.
"""

import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from tests.page.browser import chromium, opened
from tests.server import Server

IMAGES = Path(__file__).parents[2] / "docs" / "images"
DESKTOP: dict[str, Any] = {"color_scheme": "light", "viewport": {"width": 1280, "height": 1250}}
CONTEXTS: dict[str, dict[str, Any]] = {
    "page-light": DESKTOP,
    "page-dark": DESKTOP | {"color_scheme": "dark"},
    "page-phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}
TRANSFERRED_BYTES = "performance.getEntries().reduce((sum, e) => sum + (e.transferSize ?? 0), 0)"
LOAD_MILLISECONDS = "performance.getEntriesByName('interactive')[0].startTime"


def main() -> None:
    """Write all pictures."""
    IMAGES.mkdir(exist_ok=True)
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        take_page_pictures(browser, Path(folder))


def take_page_pictures(browser: Browser, folder: Path) -> None:
    """Take pictures of the page with observations, a retraining and its verdict."""
    with Server(folder, trainer=True) as server:
        for lights, outcome in (([0, 1, 0], "stop"), ([1, 1, 0], "stop"), ([1, 1, 1], "walk")):
            server.expect(201, "POST", "/observations", {"lights": lights, "outcome": outcome})
        server.expect(200, "DELETE", "/observations/7")
        for name, context in CONTEXTS.items():
            with opened(browser, f"{server.url}/#lights=0,1,0", **context) as page:
                size, load = page.evaluate(TRANSFERRED_BYTES), page.evaluate(LOAD_MILLISECONDS)
                print(f"{name}: {size} bytes, {load:.0f} ms")
                page.locator("#recipe [name=seed]").fill(str(len(name)))
                page.locator("#start").click()
                page.locator("#job", has_text="succeeded").wait_for()
                page.locator("#headline", has_text="Version").wait_for()
                page.evaluate("scrollTo(0, 0)")
                page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
