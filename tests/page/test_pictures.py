"""Tests of the scripts that take the pictures of the page, which read it by its names and texts."""

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser

from tests.page import animation, pictures
from tests.page.browser import needs_browser
from tests.server import Server

pytestmark = needs_browser


def test_the_stage_and_the_service_are_taken(
    browser: Browser, site: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "stage-descents-light"
    monkeypatch.setattr(pictures, "STAGES", {name: pictures.STAGES[name]})
    pictures.take(browser, site, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {f"{name}.png", "service-light.png"}
    with Image.open(tmp_path / f"{name}.png") as picture:
        assert (picture.size, picture.mode) == ((1440, 900), "P")


def test_the_animated_picture_moves(
    browser: Browser, site: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(animation, "SPEEDS", {0: 4 * animation.FRAME, 8: 2 * animation.FRAME})
    file = tmp_path / "learning.webp"
    animation.record(browser, site.url, file)
    with Image.open(file) as picture:
        assert picture.width == animation.WIDTH
        assert getattr(picture, "n_frames", 1) >= 8
