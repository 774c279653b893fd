"""The page in a browser: frames a second while it trains, and what its first load costs.

The browser is the system's Chromium without a window, which draws at most 60 frames a second.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page

from benchmarks import results
from benchmarks.results import Table
from tests.page.browser import chromium, opened
from tests.server import Server

LOADS = 5
SECONDS = 5
VIEWPORT = {"width": 1440, "height": 900}
# Stations, what differs in their setup, and the position of the speed.
RUNS = {
    "3-4-1, 1,000 passes/s": ("relu", {}, 8),
    "3-1, three networks compared, 1,000 passes/s": ("descents", {}, 8),
    "8-16-16-16-16-1, 1,000 passes/s": ("relu", {"hiddenSizes": [16] * 4, "alpha": 0.001}, 8),
    "3-4-1, 4 rows/s": ("relu", {}, 3),
    "8-16-16-16-16-1, 4 rows/s": ("relu", {"hiddenSizes": [16] * 4, "alpha": 0.001}, 3),
    "3-4-1, paused": ("relu", {}, None),
}
START = """async ([slug, changes, speed]) => {
  const { stage } = await import("/page/main.js");
  const { STATIONS } = await import("/page/stage/stations.js");
  const { setup } = STATIONS.find((station) => station.slug === slug);
  if (changes.hiddenSizes) changes.lights = setup.lights.map((row) => [...row, ...row, 0, 1]);
  stage.change({ ...setup, iterations: 1e6, ...changes });
  if (speed !== null) {
    stage.setSpeed(speed);
    stage.play();
  }
}"""
MEASURE = """async (seconds) => {
  const { stage } = await import("/page/main.js");
  const frame = () => new Promise(requestAnimationFrame);
  let last = await frame();
  const [start, passes] = [last, stage.experiment.errors.length];
  const intervals = [];
  while (last < start + 1000 * seconds) {
    const now = await frame();
    intervals.push(now - last);
    last = now;
  }
  const trained = stage.experiment.errors.length - passes;
  stage.pause();
  return { intervals, passes: (1000 * trained) / (last - start) };
}"""
TIMES = """() => {
  const [load] = performance.getEntriesByType("navigation");
  const loaded = performance.getEntriesByType("resource");
  const files = loaded.filter(({ name }) => name.includes("/page/"));
  const total = (field) => files.reduce((sum, file) => sum + file[field], load[field]);
  return {
    files: files.length + 1, raw: total("decodedBodySize"), gzip: total("encodedBodySize"),
    painted: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    interactive: load.domContentLoadedEventEnd,
  };
}"""


def main(folder: Path) -> None:
    """Measure the page of a new server, and write `results/page.md`."""
    with Server(folder) as server, chromium() as browser:
        tables = [frames(browser, server.url), first_load(browser, server.url)]
    results.write(
        "page",
        "The page",
        "The stage of the page trains and draws in a browser: Chromium without a window and "
        f"without a graphics card, {VIEWPORT['width']} x {VIEWPORT['height']} pixels. The browser, "
        "the server and other load share the cores.",
        tables,
    )


def frames(browser: Browser, url: str) -> Table:
    """Return a table of the frames that are drawn while each network of `RUNS` learns."""
    with opened(browser, url, viewport=VIEWPORT) as page:
        rows = [[name, *_frames(page, run)] for name, run in RUNS.items()]
    return Table(
        "Frames while it trains",
        ["", "frames/s, median", "frames above 20 ms", "main thread, CPU ms a frame", "passes/s"],
        rows,
        f"Intervals between frames during {SECONDS} s. A frame at 60 Hz has 16.7 ms: the main "
        "thread trains, draws and lays out in this time.",
    )


def _frames(page: Page, run: Sequence[Any]) -> list[str]:
    page.evaluate(START, run)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = _busy(session)
    measured = page.evaluate(MEASURE, SECONDS)
    busy = _busy(session) - before
    intervals = measured["intervals"]
    slow = sum(interval > 20 for interval in intervals) / len(intervals)
    return [
        f"{1000 / statistics.median(intervals):.0f}",
        f"{100 * slow:.1f}%",
        f"{1000 * busy / len(intervals):.1f}",
        f"{measured['passes']:,.0f}",
    ]


def _busy(session: CDPSession) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    seconds: float = next(each["value"] for each in metrics if each["name"] == "TaskDuration")
    return seconds


def first_load(browser: Browser, url: str) -> Table:
    """Return a table with the bytes and the times of the first load, each in a new context."""
    loads = []
    for _ in range(LOADS):
        with opened(browser, url, viewport=VIEWPORT) as page:
            loads.append(page.evaluate(TIMES))
    median = {name: statistics.median(load[name] for load in loads) for name in loads[0]}
    row = [
        f"{median['files']:.0f}",
        f"{median['raw'] / 1000:.0f} kB",
        f"{median['gzip'] / 1000:.0f} kB",
        f"{median['painted']:.0f} ms",
        f"{median['interactive']:.0f} ms",
    ]
    return Table(
        "First load",
        ["files", "bytes", "bytes as gzip", "first content", "interactive"],
        [row],
        f"The median of {LOADS} loads from a local server. The page is interactive when all its "
        "modules have run. Answers of the API are not counted.",
    )
