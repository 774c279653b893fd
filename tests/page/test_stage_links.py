"""Tests of the stage in the URL: a link shows the same network, or says what is wrong with it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.browser import needs_browser
from tests.page.stage_page import happened, open_station, press, stage_page

pytestmark = needs_browser


ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with stage_page(browser, tmp_path_factory.mktemp("links")) as page:
        yield page


def test_link_shows_the_same_network_after_the_same_steps(page: Page) -> None:
    open_station(page, "six-rows")
    page.get_by_label("alpha", exact=True).first.fill("0.15")
    page.locator("#setup [name=weightDecay]").fill("0.01")
    page.get_by_label("rows per update").first.select_option("4")
    page.get_by_role("button", name="row 3, left: 0").click()
    press(page, "One pass")
    press(page, "One batch")
    expect(page).to_have_url(re.compile(r"alpha=0.15&batch=4&l2=0.01.*steps=3"))
    shown = [happened(page).inner_text(), page.locator("#proof code").inner_text()]

    link = page.url
    page.goto("about:blank")
    page.goto(link)
    expect(happened(page)).to_have_text(shown[0])
    expect(page.locator("#proof code")).to_have_text(shown[1])
    expect(page.get_by_role("button", name="row 3, left: 1")).to_be_visible()


def test_link_keeps_start_weights_and_layers(page: Page) -> None:
    open_station(page, "relu&hidden=2&start=0.1,-0.2,0.3,0.4,0.5,-0.6,0.7,0.8&steps=4")
    press(page, "Compare with the service")
    expect(page.locator("#compared")).to_have_text("Identical to the last bit: all 8 weights.")
    expect(page.get_by_label("nodes in layer_1")).to_have_value("2")
    expect(page.locator("[name=seed]").first).to_have_value("")


@pytest.mark.parametrize(
    ("station", "chosen", "labels"),
    [
        ("descents", "Show full on the stage", ["full", "batches of 2", "stochastic"]),
        ("descents", "batches of 2", ["batches of 2", "stochastic", "full"]),
        ("regularization", "L2 alone", []),
        ("regularization", "Show L2 0.05 on the stage", ["L2 0.05", "no penalty", "L1 0.005"]),
    ],
)
def test_link_shows_the_networks_that_are_compared(
    page: Page, station: str, chosen: str, labels: list[str]
) -> None:
    open_station(page, station)
    page.locator("#lesson, #comparison").get_by_role("button", name=chosen, exact=True).click()
    press(page, "One pass")
    expect(page).to_have_url(re.compile("compare=.*steps="))
    expect(page.locator("#comparison h4")).to_have_text(labels)
    shown, link = happened(page).inner_text(), page.url
    page.goto("about:blank")
    page.goto(link)
    expect(happened(page)).to_have_text(shown)
    expect(page.locator("#comparison h4")).to_have_text(labels)


def test_networks_that_diverged_are_named_so(page: Page) -> None:
    open_station(page, "descents&batch=all&alpha=1.9&compare=batch_1,batch_2&steps=200")
    expect(happened(page)).to_contain_text("(stochastic, which diverged)")


def test_networks_that_are_compared_are_named_by_their_own_setup(page: Page) -> None:
    open_station(page, "regularization&l2=0.2")
    expect(page.locator("#comparison h4")).to_have_text(["L2 0.2", "L2 0.05", "L2 0.2, L1 0.005"])


def test_link_to_a_diverged_run_shows_the_divergence(page: Page) -> None:
    open_station(page, "six-rows&speed=8")
    page.get_by_role("button", name="on = 10 with scale 1").click()
    press(page, "Play")
    expect(happened(page)).to_contain_text("diverged")
    expect(page).to_have_url(re.compile("scale=1&steps="))
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    expect(happened(page)).to_contain_text(
        "Training diverged: the error became inf in iteration 25"
    )


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ("&alpha=abc&steps=6", "alpha: expected a number from 0.000000001 to 1000000000, got abc"),
        ("&hidden=99", "hidden: expected from 1 to 16 nodes in a layer, got 99"),
        ("&rows=1_0_1,5", "rows: expected"),
        ("&compare=lamps_3", "compare: expected networks such as batch_2"),
        ("&compare=batch_0", "compare: expected a whole number from 1 to"),
        ("&compare=l2_1,l2_2,l2_3,l2_4", "compare: expected at most 3 networks, got 4"),
        ("&start=1,2", "start: expected 3 rows of 1 weights in weights_0_1"),
        ("&start=1,2,3,4", "start: expected 1 weight matrices, got 2"),
        ("&steps=-1", "steps: expected a whole number from 0 to 300000"),
        ("&steps=many", "steps: expected a whole number from 0 to 300000"),
        ("&row=0&speed=99&l1=", "l1: expected a number from 0 to 1000000000, got nothing"),
    ],
)
def test_broken_values_are_ignored_with_a_sentence(
    page: Page, parameters: str, problem: str
) -> None:
    open_station(page, f"six-rows{parameters}")
    expect(page.locator("#notice")).to_contain_text("A part of this link was ignored.")
    expect(page.locator("#notice")).to_contain_text(problem)
    expect(happened(page)).to_contain_text("Pass 1" if "steps=6" in parameters else "Not started")
    press(page, "One row")
    expect(happened(page)).not_to_contain_text("Not started")
    page.get_by_role("button", name="on = 10 (matrix B)").click()
    expect(page.locator("#notice")).to_be_hidden()


def test_speed_that_is_no_number_is_the_usual_one(page: Page) -> None:
    open_station(page, "six-rows&speed=length&steps=6")
    expect(page.locator(".speed output")).to_have_text("2 rows a second")


def test_documentation_lists_the_parameters(page: Page) -> None:
    table = (ROOT / "docs/page.md").read_text().partition("| parameter | value |")[2]
    names = re.findall(
        "`([a-z0-9]+)`", " ".join(row.split("|")[0] for row in table.split("\n|")[1:])
    )
    module = "import('/page/stage/setup_parameters.js')"
    setup = page.evaluate(f"{module}.then(({{ PARAMETERS }}) => Object.keys(PARAMETERS))")
    assert set(names) == {"station", "steps", "speed", "row", "curve", "map", *setup}


def test_unknown_station_shows_the_first_one(page: Page) -> None:
    page.goto("/#station=none")
    expect(page.locator("#notice")).to_contain_text("station: expected one of one-light, six-rows")
    expect(page.locator("#lesson h2")).to_have_text("How does a network learn one light state?")


def test_back_and_forward_walk_the_stations(page: Page) -> None:
    open_station(page, "six-rows")
    page.locator("#lesson").get_by_role("button", name="Next").click()
    expect(page).to_have_url(re.compile("station=descents"))
    press(page, "One pass")
    expect(page).to_have_url(re.compile("station=descents&steps=6"))
    page.go_back()
    expect(page.locator("#lesson h2")).to_have_text("Which of the three lights means walk?")
    expect(happened(page)).to_contain_text("Not started")
    page.go_forward()
    expect(page.locator("#lesson h2")).to_have_text(
        "After how many rows should the weights change?"
    )
    expect(happened(page)).to_contain_text("Pass 1,")


def test_links_on_the_page_keep_the_fragment(page: Page) -> None:
    open_station(page, "relu&steps=8")
    page.get_by_role("link", name="Service").click()
    expect(page.locator("#service")).to_be_focused()
    assert "station=relu&steps=8" in page.url
