"""Take the screenshots in docs/images of a real server: `python -m tests.page.pictures`.

The animated picture is made in `animation`, the tutorial's pictures in `tests.tutorial_pictures`.
"""

import io
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.page import animation
from tests.page.browser import chromium, opened
from tests.server import Server

IMAGES = Path(__file__).parents[2] / "docs" / "images"
DESKTOP: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}}
DARK = {"color_scheme": "dark"}
PHONE = {"viewport": {"width": 390, "height": 844}}
# Of each picture of the stage: the fragment of its address, the pass that it shows, the context.
STAGES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "stage-descents-light": ("descents&steps=240", 40, {}),
    "stage-relu-light": ("relu&steps=60", 15, {}),
    "stage-relu-dark": ("relu&steps=60", 15, DARK),
    "stage-relu-phone": ("relu&steps=60", 15, PHONE),
    "stage-deeper-light": ("deeper&steps=240", 60, {}),
}

# The header stays at the top of the window, and would cover a part of a higher picture.
UNSTICK = "header => { header.style.position = 'static' }"


def main() -> None:
    """Write all pictures."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder), trainer=True) as server,
        chromium() as browser,
    ):
        take(browser, server, IMAGES)
        animation.record(browser, server.url, IMAGES / "learning.webp")


def take(browser: Browser, server: Server, folder: Path) -> None:
    """Write the screenshots of a server without observations of its own."""
    for name, (fragment, shown, context) in STAGES.items():
        url = f"{server.url}/#station={fragment}"
        with opened(browser, url, **DESKTOP | {"reduced_motion": "reduce"} | context) as page:
            expect(page.locator("#happened")).to_contain_text(f"Pass {shown},")
            save(folder / f"{name}.png", page.screenshot())
    with opened(browser, server.url, **DESKTOP) as page:
        retrain(page, server)
        page.locator("header").evaluate(UNSTICK)
        save(folder / "service-light.png", page.locator("#service").screenshot())


def retrain(page: Page, server: Server) -> None:
    """Record observations, and retrain on the page, up to the verdict with its exam.

    The right light decides, and every ninth person does the opposite.
    """
    rows = ["left,middle,right,outcome"]
    for i in range(240):
        right = i // 4 % 2
        outcome = "walk" if right != (i % 9 == 4) else "stop"
        rows.append(f"{i % 2},{i // 2 % 2},{right},{outcome}")
    server.expect(201, "POST", "/observations", "\n".join(rows), **{"Content-Type": "text/csv"})
    page.locator("#recipe summary").click()
    page.locator("#recipe [name=target_error]").fill("")
    page.locator("#recipe [name=iterations]").fill("100")
    page.locator("#recipe summary").click()
    page.locator("#start").click()
    expect(page.locator("#headline")).to_have_text("Version 2 was promoted.")
    expect(page.locator("#decision")).to_have_text("Walk")
    page.mouse.move(0, 0)


def save(file: Path, png: bytes) -> None:
    """Write a screenshot with a palette, which is a third as large."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image = image.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    image.save(file, optimize=True)


if __name__ == "__main__":
    main()
