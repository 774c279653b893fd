"""Tests of the versions on the page: details, curves, comparison, promotion, verification."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.page.browser import load, needs_browser
from tests.server import Server

pytestmark = needs_browser


@pytest.fixture(scope="module", autouse=True)
def second_version(site: Server) -> None:
    corner = site.data_dir / "corner.csv"
    corner.write_text("left,middle,right,outcome\n0,1,0,stop\n", encoding="ascii")
    site.train("--dataset", str(corner), "--no-promote")


def said(page: Page) -> Locator:
    return page.locator("#version-details .said")


def test_versions_are_compared_verified_promoted_and_rolled_back(page: Page) -> None:
    expect(page.locator("#version-name")).to_have_text("Version 2")
    expect(page.locator("#difference")).to_contain_text(
        re.compile("Version 2 decides . light states? otherwise")
    )
    expect(page.locator("#difference-table tbody tr").first).to_contain_text("▶ walk■ stop")
    page.locator("#verify").click()
    expect(said(page)).to_have_text("Version 2 was trained again: identical bit for bit.")
    page.get_by_role("button", name="Promote version 2").press("Enter")
    expect(said(page)).to_have_text("Version 2 is live.")
    expect(page.locator("#version-table tr", has_text="● live")).to_contain_text("2 ●")
    expect(page.locator("#live")).to_contain_text("live: version 2")
    expect(page.locator("#promote")).to_be_hidden()
    expect(page.locator("#verify")).to_be_focused()
    page.get_by_role("button", name="Roll back").click()
    expect(page.locator("#rollback").locator("xpath=../../*[@role='status']")).to_have_text(
        "Version 1 is live."
    )
    expect(page.locator("#version-table tr", has_text="● live")).to_contain_text("1 ●")
    page.get_by_role("button", name="Roll back").click()
    expect(page.locator("#rollback").locator("xpath=../../*[@role='alert']")).to_contain_text(
        "roll back"
    )


def test_the_weights_can_be_downloaded(page: Page, site: Server) -> None:
    page.get_by_role("button", name="show version 1").click()
    expect(page.locator("#version-name")).to_have_text("Version 1, live")
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.path().read_bytes() == (site.data_dir / "models/1.npz").read_bytes()


def test_curves_are_compared_and_in_the_link(page: Page, site: Server) -> None:
    page.get_by_label("show the curve of version 1").check()
    expect(page.locator("#version-curves path.line")).to_have_count(2)
    # The command is that of the version whose details are shown.
    expect(page.locator('[data-curl="versions"] code')).to_have_text(f"curl {site.url}/versions/2")
    expect(page).to_have_url(re.compile("curves=1"))
    expect(page.get_by_label("show the curve of version 1")).to_be_focused()
    page.evaluate("location.hash = 'curves=2'")
    expect(page.get_by_label("show the curve of version 1")).not_to_be_checked()
    expect(page.get_by_label("show the curve of version 2")).to_be_checked()
    load(page, f"{site.url}/#version=1&curves=2")
    expect(page.locator("#version-name")).to_have_text("Version 1, live")
    expect(page.get_by_label("show the curve of version 2")).to_be_checked()
    expect(page.locator("#version-curves path.line")).to_have_count(2)


def test_a_long_verification_can_be_cancelled(page: Page) -> None:
    page.route("**/verify", lambda _route: None)  # no response
    page.locator("#verify").click()
    expect(said(page)).to_contain_text("Working …")
    said(page).get_by_role("button", name="Cancel").click()
    expect(said(page)).to_have_text("Cancelled.")
    expect(page.locator("#verify")).to_be_focused()
    page.unroute("**/verify")


def test_an_error_of_a_selection_appears_at_the_details(page: Page) -> None:
    page.route("**/versions/1", lambda route: route.fulfill(status=410, json={"error": "gone"}))
    page.get_by_role("button", name="show version 1").click()
    expect(said(page)).to_have_text("gone")
    expect(said(page)).to_have_role("alert")
    page.unroute_all()
    page.get_by_role("button", name="show version 2").click()
    expect(page.locator("#version-name")).to_have_text("Version 2")
    expect(said(page)).to_have_text("")
