"""Draws docs/images, from real runs on a real server, by `python -m tests.page.pictures`.

It also says how much the first load transfers, and how long it takes until all of it is there.
"""

import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from tests.page.browser import chromium, opened
from tests.server import Server, streetlight

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDE: dict[str, Any] = {"color_scheme": "light", "viewport": {"width": 1280, "height": 1250}}
LOOKS: dict[str, dict[str, Any]] = {
    "page-light": WIDE,
    "page-dark": WIDE | {"color_scheme": "dark"},
    "page-phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}
CORNER = (
    "left,middle,right,outcome\n"
    "1,0,1,stop\n0,1,1,walk\n0,0,1,stop\n1,1,1,walk\n0,1,1,walk\n1,0,1,stop\n"
)
BYTES = "performance.getEntries().reduce((sum, e) => sum + (e.transferSize ?? 0), 0)"
INTERACTIVE = "performance.getEntriesByName('interactive')[0].startTime"


def main() -> None:
    """Draw all of them."""
    IMAGES.mkdir(exist_ok=True)
    with chromium() as browser:
        with tempfile.TemporaryDirectory() as folder:
            draw_page(browser, Path(folder))
        with tempfile.TemporaryDirectory() as folder:
            draw_curves(browser, Path(folder))


def draw_page(browser: Browser, folder: Path) -> None:
    """Draw the page; it learns something first, so that there is something to see."""
    with Server(folder, trainer=True) as server:
        for lights, outcome in (([0, 1, 0], "stop"), ([1, 1, 0], "stop"), ([1, 1, 1], "walk")):
            server.expect(201, "POST", "/observations", {"lights": lights, "outcome": outcome})
        server.expect(200, "DELETE", "/observations/7")
        for name, look in LOOKS.items():
            with opened(browser, f"{server.url}/#lights=0,1,0", **look) as page:
                print(f"{name}: {page.evaluate(BYTES)} bytes, {page.evaluate(INTERACTIVE):.0f} ms")
                page.locator("#recipe [name=seed]").fill(str(len(name)))
                page.locator("#start").click()
                page.locator("#job", has_text="succeeded").wait_for()
                page.locator("#verdict li").first.wait_for()
                page.evaluate("scrollTo(0, 0)")
                page.screenshot(path=IMAGES / f"{name}.png")
        with opened(browser, f"{server.url}/#scratch.start=seed&scratch.seed=4", **WIDE) as page:
            page.locator("#step-one").click()
            page.locator("#step-table td").first.wait_for()
            page.locator("#step").screenshot(path=IMAGES / "step.png")


def draw_curves(browser: Browser, folder: Path) -> None:
    """Draw what the tutorial compares: three descents, and three networks on the lab's data."""
    corner = folder / "corner.csv"
    corner.write_text(CORNER, encoding="ascii")
    usual = ["--target-error", "none", "--no-promote", "--restarts", "0"]
    two_layers = ["--hidden-sizes", "none"]
    descent = ["--dataset", str(corner), *two_layers, "--alpha", "0.1", "--iterations", "40"]
    with Server(folder) as server:
        for options in (
            *([*descent, "--batch-size", size] for size in ("1", "2", "all")),
            ["--dataset", "lab", *two_layers],
            ["--dataset", "lab", "--activation", "linear"],
        ):
            run = streetlight("train", *options, *usual, data_dir=folder)
            if run.returncode:
                raise RuntimeError(run.stderr)
        for name, versions in (("descents", "2,3,4"), ("networks", "1,5,6")):
            with opened(browser, f"{server.url}/#curves={versions}", **WIDE) as page:
                page.locator("#version-curves path").nth(3).wait_for()
                page.locator("#version-curves").screenshot(path=IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
