"""Tests of the guided tour: it walks the stations in the lab's order, by keyboard alone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.browser import needs_browser
from tests.page.stage_page import open_station, stage_page

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with stage_page(browser, tmp_path_factory.mktemp("tour")) as page:
        yield page


def test_tour_walks_all_stations_by_keyboard(page: Page) -> None:
    open_station(page, "relu")
    page.get_by_role("button", name="Take the guided tour").press("Enter")
    tour = page.get_by_role("complementary", name="Guided tour")
    expect(tour.get_by_role("heading")).to_be_focused()
    page.keyboard.press("Tab")  # Back is disabled in the first step
    expect(tour.get_by_role("button", name="Next")).to_be_focused()
    visited: list[str] = []
    while tour.is_visible():
        station = page.locator("#stations input:checked").get_attribute("value")
        assert station
        if station not in visited:
            visited.append(station)
        expect(page.locator(".pointed-at")).to_have_count(1)
        expect(page.locator(".pointed-at")).to_be_in_viewport()
        expect(tour.get_by_role("button", name="Leave")).to_be_in_viewport(ratio=1)
        count = tour.get_by_role("heading").inner_text()
        page.keyboard.press("Enter")
        expect(tour.get_by_role("heading", name=count, exact=True)).to_be_hidden()
    stations = page.locator("#stations input")
    assert visited == stations.evaluate_all("all => all.map((one) => one.value)")
    expect(page.get_by_role("button", name="Take the guided tour")).to_be_focused()
    expect(page.locator(".pointed-at")).to_have_count(0)


def test_tour_is_left_and_taken_up_again(page: Page) -> None:
    open_station(page, "six-rows")
    page.get_by_role("button", name="Take the guided tour").press("Enter")
    tour = page.get_by_role("complementary", name="Guided tour")
    for _ in range(4):
        tour.get_by_role("button", name="Next").press("Enter")
    expect(tour).to_contain_text("step 5 of")
    text = tour.inner_text()
    page.keyboard.press("Escape")
    expect(tour).to_be_hidden()
    go_on = page.get_by_role("button", name="Go on with the tour (step 5 of")
    expect(go_on).to_be_focused()
    page.reload()
    go_on.press("Enter")
    expect(tour).to_be_visible()
    assert tour.inner_text() == text
    tour.get_by_role("button", name="Back").press("Enter")
    expect(tour).to_contain_text("step 4 of")
    expect(page.locator("#data.pointed-at")).to_be_visible()
    page.keyboard.press("Escape")


def test_tour_does_not_trap_the_focus(page: Page) -> None:
    open_station(page, "six-rows")
    page.locator("#take-tour").click()
    leave = page.get_by_role("button", name="Leave")
    leave.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#tour')") is None
    leave.click()
