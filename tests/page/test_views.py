"""Tests of the stage's larger views: heat map, pressure table, equal two-layer network."""

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from streetlight.model.dataset import LAB_DATASETS, is_walk
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import gradient_descent, initial_network
from tests.page.browser import needs_browser
from tests.page.stage_page import open_station, press, stage_page

pytestmark = needs_browser

NUMBER = r"(-?[\d.]+|≈ 0)"


@pytest.fixture(scope="module")
def tab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with stage_page(browser, tmp_path_factory.mktemp("views")) as page:
        yield page


@pytest.fixture
def page(tab: Page) -> Page:
    """The tab, with nothing in it."""
    tab.goto("about:blank")
    tab.emulate_media(color_scheme="light")
    tab.set_viewport_size({"width": 1440, "height": 900})
    return tab


def show(page: Page, station: str, passes: int) -> None:
    """Open the page at a station after so many passes over 4 rows, and wait until it is drawn."""
    open_station(page, f"{station}&steps={passes * 4}")
    expect(page.locator("#happened")).to_contain_text(f"Pass {passes}" if passes else "Not started")
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def trained(passes: int, **recipe: Any) -> Network:
    """Return the network of the lab's four rows after so many passes."""
    rows, of = LAB_DATASETS["four"], Recipe(iterations=passes, target_error=None, **recipe)
    return gradient_descent(initial_network(rows, of, of.seed), rows, of)[0]


def number(text: str | None) -> float:
    """Return the number in a text, where an arrow down stands for a minus."""
    found = re.search(NUMBER, text or "")
    assert found, text
    value = 0.0 if found[1] == "≈ 0" else float(found[1])
    return -value if "▼" in (text or "") else value


def scores_in(label: str) -> list[float]:
    return [number(text) for text in re.findall(rf": {NUMBER}, (?:walk|stop)", label)]


def colours(canvas: Locator) -> Any:
    """Return the red, green and blue of a canvas, row by row."""
    data = canvas.evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    return np.array(data).reshape(24, 24, 4)[:, :, :3]


def test_the_heat_map_shows_the_scores_of_the_service(page: Page) -> None:
    show(page, "relu", 60)
    network, plot = trained(60), page.locator("#heat-map .heat")
    corners = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    expect(plot).to_have_attribute("aria-label", re.compile("left and middle with right 1"))
    label = plot.get_attribute("aria-label") or ""
    assert scores_in(label) == pytest.approx(network.scores(corners).tolist(), abs=0.0006)

    # Walk is greener than red, stop redder than green, on every point but those near the line.
    edge = np.linspace(-0.15, 1.15, 24)
    lights = np.array([[left, middle, 1] for middle in edge[::-1] for left in edge])
    scores = network.scores(lights).reshape(24, 24)
    red, green, _blue = np.moveaxis(colours(plot.locator("canvas")), 2, 0)
    clear = abs(scores - 0.501) > 0.1
    assert ((green > red) == is_walk(scores))[clear].all()
    assert (plot.locator(".line").get_attribute("d") or "").startswith("M")
    # Of the four rows, two are walk and two stop, and the right light is on in all.
    expect(plot.locator("path.walk")).to_have_count(2)
    expect(plot.locator("path.stop")).to_have_count(2)
    expect(plot.locator(".elsewhere")).to_have_count(0)


def test_lights_of_the_heat_map_can_be_chosen(page: Page) -> None:
    show(page, "relu", 1)
    view, plot = page.locator("#heat-map"), page.locator("#heat-map .heat")
    view.get_by_role("slider", name="right").fill("0")
    expect(plot).to_have_attribute("aria-label", re.compile("with right 0.*left 0, middle 0: 0, "))
    expect(plot.locator(".elsewhere")).to_have_count(4)
    view.get_by_role("combobox", name="across").select_option("right")
    expect(view.get_by_role("slider", name="left")).to_have_value("1")
    view.get_by_role("combobox", name="up").select_option("right")
    expect(view.get_by_role("combobox", name="across")).to_have_value("1")
    expect(plot).to_have_attribute("aria-label", re.compile("over middle and right with left 1"))


def test_a_link_keeps_the_lights_of_the_heat_map(page: Page) -> None:
    show(page, "relu", 1)
    plot, slider = page.locator("#heat-map .heat"), page.locator("#heat-map input[type=range]")
    page.locator("#heat-map").get_by_role("combobox", name="across").select_option("right")
    slider.fill("0.35")
    expect(page).to_have_url(re.compile("map=2,1,0.35(&|$)"))
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    expect(plot).to_have_attribute("aria-label", re.compile("right and middle with left 0.35"))
    expect(slider).to_have_value("0.35")
    # A part that doesn't fit is ignored.
    for lights in ("2,2,1", "0,3,1", "0,1,2", "0,1", "x"):
        page.goto(re.sub("map=[^&]*", f"map={lights}", link))
        expect(plot).to_have_attribute("aria-label", re.compile("left and middle with right 1"))


def test_the_score_of_a_place_is_read_by_pointer_and_keys(page: Page) -> None:
    show(page, "relu", 1)
    network, plot, output = trained(1), page.locator("#heat-map .heat"), "#heat-map > output"
    plot.hover()
    expect(page.locator(output)).to_contain_text("left 0.5, middle 0.5, right 1:")
    shown = page.locator(output).text_content() or ""
    lights = [float(light) for light in re.findall(r"(?:left|middle|right) (-?[\d.]+)", shown)]
    assert scores_in(shown) == pytest.approx([network.score(lights)], abs=0.02)
    page.mouse.move(0, 0)
    plot.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    expect(page.locator(output)).to_contain_text("left 0.76, middle 0.5, right 1:")
    expect(page.locator("#happened")).to_contain_text("Pass 1,")  # no step was made


def test_each_hidden_node_has_a_map(page: Page) -> None:
    show(page, "deeper", 20)
    network, maps = trained(20, hidden_sizes=(4, 3)), page.locator(".hidden-maps figure")
    expect(maps).to_have_count(4 + 3)
    edge = np.linspace(-0.15, 1.15, 24)
    layers = network.layers(np.array([[x, y, 1] for y in edge for x in edge]))
    highest = np.concatenate([layers[1].max(axis=0), layers[2].max(axis=0)])
    for text, expected in zip(maps.all_text_contents(), highest, strict=True):
        found = re.fullmatch(rf"layer_\d\[\d\](?:off|[\d.]+…{NUMBER})", text)
        assert found, text
        assert number(found[1] or "0") == pytest.approx(expected, rel=0.01, abs=0.006)
    # Pointing at a map points at the node.
    maps.nth(5).hover()
    expect(maps.nth(5)).to_have_class("focused")


def test_the_heat_map_has_an_axis_or_a_slider_for_each_light(page: Page) -> None:
    show(page, "your-own", 0)
    change = """async (lights) => {
      const { stage } = await import("/page/main.js");
      stage.change({ lights, outcomes: [1, 0] });
    }"""
    view, plot = page.locator("#heat-map"), page.locator("#heat-map .heat")
    page.evaluate(change, [[0], [1]])
    expect(plot).to_have_attribute(
        "aria-label", re.compile(r"The score over light 0\. light 0 0: 0, stop; light 0 1: ")
    )
    expect(view.get_by_role("combobox")).to_have_count(1)
    page.evaluate(change, [[0, 0, 0, 0, 255], [255, 0, 0, 0, 0]])
    expect(plot).to_have_attribute(
        "aria-label", re.compile("over light 0 and light 1 with light 2 255, light 3 255, ")
    )
    expect(view.get_by_role("combobox")).to_have_count(2)
    expect(view.get_by_role("slider")).to_have_count(3)


def test_the_contour_crosses_where_the_values_cross(page: Page) -> None:
    show(page, "relu", 0)
    path = page.evaluate(
        """async () => {
          const { contour } = await import("/page/stage/contour.js");
          const grids = [
            [[[0, 1], [0, 1]], 0.25], [[[0, 1], [1, 0]], 0.5], [[[1, 1], [1, 1]], 0.5],
          ];
          return grids.map(([values, level]) => contour(values, level));
        }"""
    )
    assert path == ["M0.25 0.00L0.25 1.00", "M0.50 0.00L1.00 0.50M0.50 1.00L0.00 0.50", ""]


def check_pressure(page: Page) -> None:
    """Compare the table with the response to the request that it offers."""
    command = page.locator("[data-curl=stage-pressure] code").text_content() or ""
    address, _, body = command.removeprefix("curl ").partition(" -d ")
    result = page.request.post(address, data=json.loads(body.strip("'"))).json()
    expected = [row["pressure"] for row in result["rows"]]
    expected += [result["up"], result["down"], result["sum"]]
    rows = page.locator(".pressure tbody tr, .pressure tfoot tr").all()
    assert len(rows) == len(expected)
    for row, matrices in zip(rows, expected, strict=True):
        shown = [number(text) for text in row.locator("td").all_text_contents()]
        pressures = [cell for matrix in matrices.values() for line in matrix for cell in line]
        assert shown == pytest.approx(pressures, rel=0.001, abs=0.0006)


def test_the_pressure_table_changes_with_every_step(page: Page) -> None:
    show(page, "pressure", 0)
    expect(page.locator(".pressure tr.now th")).to_have_text(["1: 1 0 1 ■ stop"])
    check_pressure(page)
    press(page, "One row")
    expect(page.locator(".pressure tr.now th")).to_have_text(["2: 0 1 1 ▶ walk"])
    expect(page.locator(".pressure thead th")).to_have_text(
        ["weights_0_1", "row", "left", "middle", "right"]
    )
    check_pressure(page)
    page.get_by_role("combobox", name="rows per update").select_option("all")
    expect(page.locator(".pressure tr.now")).to_have_count(6)


def test_the_pressure_table_of_large_networks_is_divided(page: Page) -> None:
    show(page, "deeper", 0)
    matrices = page.locator(".pressure th[scope=colgroup]")
    expect(matrices).to_have_count(3)
    check_pressure(page)
    page.evaluate(
        """async () => {
          const { stage } = await import("/page/main.js");
          const lights = Array.from({ length: 300 }, (_, i) => [1, i % 2, 1]);
          const outcomes = lights.map(([, middle]) => middle);
          stage.change({ lights, outcomes, hiddenSizes: [16, 16] });
        }"""
    )
    expect(matrices).to_have_text(["weights_0_1"])
    page.locator("#pressure").get_by_role("combobox").select_option("weights_1_2")
    expect(matrices).to_have_text(["weights_1_2"])
    expect(page.locator(".pressure tfoot tr").first.locator("td")).to_have_count(16 * 16)
    expect(page.locator(".pressure tbody tr")).to_have_count(6)
    expect(page.locator("#pressure")).to_contain_text("Rows 1 to 6 of 300")


def test_the_equal_two_layer_network_is_shown(page: Page) -> None:
    show(page, "linear", 60)
    view = page.locator("#equivalent")
    network = trained(60, activation="linear")
    product = network.weights[0] @ network.weights[1]
    expect(view).to_contain_text("by rounding")
    shown = [number(text) for text in view.locator(".collapsed td").all_text_contents()]
    assert shown == pytest.approx(product[:, 0].tolist(), abs=0.0006)
    scores = network.scores(LAB_DATASETS["four"].lights)
    for row, score in zip(view.locator(".scroll tbody tr").all(), scores.tolist(), strict=True):
        cells = [number(text) for text in row.locator("td").all_text_contents()]
        assert cells == pytest.approx([score, score], abs=0.0006)
    page.get_by_role("combobox", name="hidden nodes are").select_option("relu")
    expect(view).to_be_hidden()


@pytest.mark.parametrize("colour_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_views_are_accessible(page: Page, colour_scheme: Any, width: int) -> None:
    page.emulate_media(color_scheme=colour_scheme)
    page.set_viewport_size({"width": width, "height": 900})
    show(page, "linear", 3)
    views = [page.locator(f"#{name}") for name in ("heat-map", "pressure", "equivalent")]
    expect(page.locator("[data-curl=stage-pressure] code")).not_to_be_empty()
    scope = {"include": [["#heat-map"], ["#pressure"], ["#equivalent"]]}
    results = Axe().run(page, context=scope)
    assert results.response["violations"] == [], results.generate_report()
    # The colours of the canvas are those of the scheme.
    plot = colours(page.locator("#heat-map .heat canvas"))
    assert (plot.mean() > 128) == (colour_scheme == "light")
    for view in views:
        assert view.evaluate("view => view.scrollWidth - view.clientWidth") <= 1


def test_the_views_show_the_last_finite_numbers_of_a_training_that_diverges(page: Page) -> None:
    open_station(page, "relu&activation=linear&alpha=1000000")
    for _ in range(20):
        press(page, "One pass")
    expect(page.locator("#happened")).to_contain_text("Training diverged")
    expect(page.locator("#heat-map .heat")).to_have_attribute("aria-label", re.compile("999,999"))
    expect(page.locator(".pressure tfoot")).to_contain_text("▲ > 999,999")


@pytest.mark.parametrize("hidden_sizes", [[], [4], [16] * 4], ids=str)
def test_the_heat_map_fits_on_the_first_screen(page: Page, hidden_sizes: list[int]) -> None:
    show(page, "deeper", 0)
    page.evaluate(
        """async (hiddenSizes) => {
          const { stage } = await import("/page/main.js");
          const lights = [0, 1].map((light) => Array(16).fill(light));
          stage.change({ lights, outcomes: [0, 1], hiddenSizes });
        }""",
        hidden_sizes,
    )
    expect(page.locator(".hidden-maps figure")).to_have_count(sum(hidden_sizes))
    expect(page.locator("#heat-map").get_by_role("slider")).to_have_count(14)
    curve, view, player = [
        page.locator(f"#{name}").evaluate("element => element.getBoundingClientRect().toJSON()")
        for name in ("curve", "heat-map", "player")
    ]
    assert curve["height"] >= 180
    assert curve["bottom"] <= view["top"]
    assert view["bottom"] <= player["top"]


def test_in_a_low_window_the_graphs_scroll(page: Page) -> None:
    before = page.viewport_size
    assert before
    page.set_viewport_size({"width": 1280, "height": 720})
    show(page, "deeper", 60)
    expect(page.locator(".hidden-maps figure")).to_have_count(7)
    caption, view = [
        page.locator(name).evaluate("element => element.getBoundingClientRect().toJSON()")
        for name in ("#curve figcaption", "#heat-map")
    ]
    assert caption["bottom"] <= view["top"]
    covered = """() => {
      const { right, top, bottom } = document.getElementById("player").getBoundingClientRect();
      return document.elementFromPoint(right - 100, (top + bottom) / 2).closest("#graphs") !== null;
    }"""
    assert not page.evaluate(covered)
    page.set_viewport_size(before)
