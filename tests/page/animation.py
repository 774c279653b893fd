"""Record the README's animated picture: the station Relu learns, first row by row, then faster.

The page runs by a clock that this module moves, so each frame shows the stage at its time, however
long the screenshots take.
"""

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

from tests.page.browser import opened

FRAME = 80  # milliseconds
# The speeds of the player, as positions of its slider, and how long each is recorded.
SPEEDS = {0: 4000, 4: 2480, 5: 2960}
ROWS = 4
VIEWPORT = {"width": 1280, "height": 900}
WIDTH = 800
# The network and the graphs beside it with a margin, without the line of arithmetic below.
CLIP = """() => {
  const [picture, drawing, graphs] = ["picture", "drawing", "graphs"].map(
    (id) => document.getElementById(id).getBoundingClientRect());
  const [x, y] = [picture.x - 12, picture.y - 12];
  return { x, y, width: graphs.right + 12 - x, height: drawing.bottom - picture.y };
}"""

Frames = list[tuple[Image.Image, int]]


def record(browser: Browser, url: str, file: Path) -> None:
    """Write the picture of the server at `url` to `file`."""
    with opened(
        browser,
        f"{url}/#station=relu&speed=0",
        lambda page: page.clock.install(time=0),
        viewport=VIEWPORT,
    ) as page:
        page.clock.pause_at(60)
        frames = run(page)
    # One palette for all frames, so that what doesn't change isn't stored again.
    sample = Image.new("RGB", (WIDTH, 2 * frames[0][0].height))
    sample.paste(frames[len(frames) // 3][0])
    sample.paste(frames[-1][0], (0, frames[0][0].height))
    palette = sample.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1)
    first, *rest = (
        frame.quantize(palette=palette, dither=Image.Dither.NONE).convert("RGB")
        for frame, _ in frames
    )
    first.save(
        file,
        save_all=True,
        append_images=rest,
        duration=[duration for _, duration in frames],
        lossless=True,
        minimize_size=True,
        method=4,
    )


def run(page: Page) -> Frames:
    """Return the frames and their durations: before, while it learns, and each row at the end."""
    clip = page.evaluate(CLIP)
    frames: Frames = []

    def take(duration: int) -> None:
        png = page.screenshot(clip=clip, animations="disabled")
        image = Image.open(io.BytesIO(png)).convert("RGB")
        height = round(WIDTH * image.height / image.width)
        frames.append((image.resize((WIDTH, height), Image.Resampling.LANCZOS), duration))

    take(800)
    page.locator("#player").get_by_role("button", name="Play").click()
    for speed, milliseconds in SPEEDS.items():
        if speed:
            page.get_by_label("speed").fill(str(speed))
        for _ in range(milliseconds // FRAME):
            page.clock.run_for(FRAME)
            take(FRAME)
    for _ in range(ROWS):
        page.get_by_role("button", name="next row").click()
        page.clock.run_for(FRAME)
        take(900)
    return frames
