"""Tests of the stations: each reaches the lab's outcome, with the bits of the service."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.page.browser import needs_browser
from tests.page.stage_page import happened, open_station, press, stage_page

pytestmark = needs_browser

# Each station, or its variant with that number, and what the page says at its end.
OUTCOMES = [
    ("one-light", 0, "Pass 20", ["The score is -0.002306", "0.5988, 0.48 and -0.6012"]),
    ("six-rows", 0, "Pass 40", ["all 6 rows", "The middle weight is 1.014"]),
    ("six-rows", 1, "Pass 40", ["all 6 rows", "The middle weight is 1.014"]),
    ("six-rows", 3, "Training diverged", ["try a smaller alpha than 0.1"]),
    ("descents", 0, "Pass 40", ["0.009373 (batches of 2) and 0.1237 (full)"]),
    ("pressure", 0, "Pass 40", ["-0.01658, 0.9832 and 0.01926"]),
    ("two-rows", 0, "Pass 40, error 0", ["0.5, 1.5 and -0.5", "the score 1.5", "-0.5."]),
    ("two-rows", 2, "Pass 40", ["all 6 rows", "0.02838, 1.029 and -0.03284"]),
    ("conflicting-pressure", 0, "Pass 40", ["from 0.1 to 0.01926"]),
    ("regularization", 0, "Pass 40", ["L2 0.05 leaves -0.03229, 0.8462 and 0.0894"]),
    ("no-correlation", 0, "Pass 300, error 1", ["2 of 4", "Every score is 0.5: the network did"]),
    ("linear", 0, "Pass 60, error 1.36", ["2 of 4", "the network did not learn the rows"]),
    ("relu", 0, "Pass 60", ["all 4 rows", "The network learnt the rows", "2 are off in every row"]),
    ("relu", 1, "Pass 60, error 1", ["3 of 4", "the network did not learn the rows"]),
    ("deeper", 0, "Pass 60", ["The network learnt the rows"]),
    ("deeper", 2, "Pass 60, error 2", ["Every score is 0: the network did not", "12 are"]),
    ("your-own", 0, "Pass 60", ["The network learnt the rows"]),
]


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with stage_page(browser, tmp_path_factory.mktemp("stations")) as page:
        yield page


@pytest.mark.parametrize(("slug", "variant", "end", "sentences"), OUTCOMES)
def test_station_ends_as_the_lab_says(
    page: Page, slug: str, variant: int, end: str, sentences: list[str]
) -> None:
    open_station(page, f"{slug}&speed=8")
    button = page.locator(".variants button").nth(variant)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(happened(page)).to_contain_text("Not started")
    press(page, "Play")
    expect(happened(page)).to_contain_text(end)
    for sentence in sentences:
        expect(happened(page)).to_contain_text(sentence)
    press(page, "Compare with the service")
    expect(page.locator("#compared")).to_contain_text("Identical")


def test_comparison_names_a_weight_that_differs(page: Page) -> None:
    def answer_with_another_weight(route: Route) -> None:
        route.fulfill(json={"network": {"weights": {"weights_0_1": [[0.5], [0.48], [0.25]]}}})

    open_station(page, "one-light")
    press(page, "One pass")
    page.route("**/fit", answer_with_another_weight)
    press(page, "Compare with the service")
    expect(page.locator("#compared")).to_have_text(
        "weights_0_1[0][0] differs: 0.52 in the browser, 0.5 in the service."
    )
    page.unroute("**/fit")


def test_each_station_links_to_its_page_of_the_tutorial(page: Page) -> None:
    open_station(page, "one-light")
    for station in page.locator("#stations input").all():
        station.check(force=True)  # the label covers it
        link = page.get_by_role("link", name="Read this station")
        expect(link).to_have_attribute("href", f"tutorial/{station.get_attribute('value')}")


def test_stations_are_one_tab_stop_with_arrow_keys(page: Page) -> None:
    open_station(page, "six-rows")
    page.locator("#stations input:checked").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#lesson h2")).to_have_text(
        "After how many rows should the weights change?"
    )
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#stations')") is None


def test_what_happened_is_said_only_while_nothing_moves(page: Page) -> None:
    open_station(page, "no-correlation&speed=4")
    press(page, "Play")
    press(page, "Pause")
    expect(happened(page)).to_contain_text("Pass")
    said = happened(page).inner_text()
    press(page, "Play")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert happened(page).inner_text() == said
    press(page, "Pause")
