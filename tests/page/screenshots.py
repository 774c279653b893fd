"""Draws docs/images, the page in its looks, by `python -m tests.page.screenshots`."""

import tempfile
from pathlib import Path
from typing import Any

from tests.page.browser import chromium, opened
from tests.server import Server

IMAGES = Path(__file__).parents[2] / "docs" / "images"
LOOKS: dict[str, dict[str, Any]] = {
    "page-light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 1250}},
    "page-dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 1250}},
    "page-phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}


def main() -> None:
    """Let it learn something first, so that there is something to see."""
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder), trainer=True) as server,
        chromium() as browser,
    ):
        for lights, outcome in (([0, 1, 0], "stop"), ([1, 1, 0], "stop"), ([1, 1, 1], "walk")):
            server.expect(201, "POST", "/observations", {"lights": lights, "outcome": outcome})
        server.expect(200, "DELETE", "/observations/7")
        for name, look in LOOKS.items():
            with opened(browser, f"{server.url}/#lights=0,1,0", **look) as page:
                page.locator("#recipe [name=seed]").fill(str(len(name)))
                page.locator("#start").click()
                page.locator("#job", has_text="succeeded").wait_for()
                page.locator("#verdict li").first.wait_for()
                page.evaluate("scrollTo(0, 0)")
                page.screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
