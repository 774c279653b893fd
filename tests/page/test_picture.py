"""Tests of the stage's picture: drawing, arithmetic, curve, comparison, and the player's phases."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.browser import needs_browser
from tests.page.stage_page import step_body
from tests.server import DEADLINE, Server

pytestmark = needs_browser

# Let a script use the page's stage, and the function `until`, which waits for a condition.
SCRIPT = """async (argument) => {
  const { stage } = await import("/page/main.js");
  const { STATIONS } = await import("/page/stage/stations.js");
  const frame = () => new Promise(requestAnimationFrame);
  const until = async (condition) => {
    for (const end = performance.now() + 20000; !condition(); await frame()) {
      if (performance.now() > end) throw new Error(`expected ${condition}`);
    }
  };
  const result = await (async () => { %s })();
  await frame();
  await frame();
  return result;
}"""
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def page(browser: Browser, site: Server) -> Iterator[Page]:
    """A page on which the stage is drawn; fails the module on a script error."""
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        page.set_default_timeout(1000 * DEADLINE)
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(site.url)
        page.locator("#drawing .node").first.wait_for()
        yield page
        assert errors == []


@pytest.fixture
def run(page: Page) -> Run:
    """Run a script on the page, which has `stage`, `STATIONS`, `until` and `argument`."""
    page.emulate_media(reduced_motion="no-preference")
    page.mouse.move(0, 0)

    def run(script: str, argument: object = None) -> Any:
        return page.evaluate(SCRIPT % script, argument)

    return run


def show(run: Run, slug: str, **changes: object) -> None:
    """Show a station of the lab, with other fields of its setup."""
    run(
        """const [slug, changes] = argument;
        document.activeElement.blur();
        const { setup } = STATIONS.find((station) => station.slug === slug);
        stage.change({ ...setup, ...changes });""",
        [slug, changes],
    )


def texts(page: Page, selector: str) -> list[str]:
    return [text for text in page.locator(selector).all_text_contents() if text]


def test_the_drawing_has_a_node_for_each_value_and_a_line_for_each_weight(
    page: Page, run: Run
) -> None:
    show(run, "relu")
    assert texts(page, "#drawing .name") == ["layer_0lights", "layer_1relu", "layer_2score"]
    assert texts(page, "#drawing .light .soft") == ["left", "middle", "right"]
    assert texts(page, "#drawing .light .value") == ["1", "0", "1"]
    assert page.locator("#drawing .weight").count() == 16
    labels = page.locator("#drawing .label").all_text_contents()
    weights = run("return stage.weights.flat(2)")
    assert len(labels) == len(weights)
    for label, weight in zip(labels, weights, strict=True):
        assert float(label) == pytest.approx(weight, abs=0.005)
    signs = page.locator("#drawing .weight").evaluate_all(
        "(all) => all.map((g) => g.matches('.negative'))"
    )
    assert signs == [weight < 0 for weight in weights]
    expect(page.locator("#drawing .output")).to_contain_text("STOP")
    expect(page.locator("#drawing .output")).to_contain_text("goal 1 walk ✗")


def test_labels_cover_no_other_label_and_no_node(page: Page, run: Run) -> None:
    boxes = """() => [...document.querySelectorAll("#drawing .label, #drawing .node circle")]
      .filter((e) => !e.matches(".back")).map((e) => e.getBBox())
      .map(({ x, y, width, height }) => [x, y, x + width, y + height])"""
    for slug in ("six-rows", "relu", "deeper"):
        show(run, slug)
        run("stage.skip(1)")
        found = page.evaluate(boxes)
        for i, (left, top, right, bottom) in enumerate(found):
            for other in found[:i]:
                overlap = (
                    min(right, other[2]) - max(left, other[0]),
                    min(bottom, other[3]) - max(top, other[1]),
                )
                assert min(overlap) < 6, (slug, found[i], other)


def test_nodes_that_relu_turns_off_are_drawn_as_off(page: Page, run: Run) -> None:
    show(run, "relu")
    values = run("return stage.layers[1]")
    hidden = page.locator("#drawing .node:not(.light):not(.output)")
    for i, value in enumerate(values):
        expect(hidden.nth(i)).to_have_class(re.compile(r"\boff\b" if value == 0 else r"node *$"))
        expect(hidden.nth(i).locator(".value")).to_have_text(
            "off" if value == 0 else f"{value:.2f}"
        )
    assert 0 < values.count(0) < 4
    show(run, "linear")
    assert page.locator("#drawing .off").count() == 0


def test_a_step_shows_its_phases_in_order_and_ends(page: Page, run: Run) -> None:
    show(run, "relu")
    seen = run(
        """const seen = [];
        const look = () => {
          const { name } = stage.phase;
          const pulses = document.querySelectorAll(`.pulses .${name}`).length;
          const known = document.querySelectorAll("#drawing .unknown").length === 0;
          const labels = [...document.querySelectorAll("#drawing .change")];
          const changes = labels.filter((label) => label.textContent).length;
          if (name !== seen.at(-1)?.name) seen.push({ name, pulses: 0, hidden: 0, changes: 0 });
          const last = seen.at(-1);
          last.pulses = Math.max(last.pulses, pulses);
          last.hidden = Math.max(last.hidden, known ? 0 : 1);
          last.changes = Math.max(last.changes, changes);
        };
        stage.subscribe(look);
        stage.step();
        await until(() => stage.phase.name === "forward");
        await until(() => stage.phase.name === "rest");
        await frame();
        return seen;"""
    )
    seen = [each for each in seen if each["name"] != "rest"]
    assert [each["name"] for each in seen] == ["forward", "backward", "update"]
    forward, backward, update = seen
    assert forward["pulses"] > 0 < backward["pulses"]
    assert (forward["hidden"], backward["hidden"]) == (1, 0)
    assert forward["changes"] == backward["changes"] == 0 < update["changes"]
    assert page.locator(".pulses .forward, .pulses .backward").count() == 0


def test_reduced_motion_shows_no_pulses_and_the_same_numbers(page: Page, run: Run) -> None:
    show(run, "relu")
    run("stage.step(); await until(() => stage.phase.name === 'rest')")
    numbers = texts(page, "#drawing text")
    assert any("▲" in text for text in numbers)
    page.emulate_media(reduced_motion="reduce")
    show(run, "relu")
    phases = run(
        """const names = new Set();
        stage.subscribe(() => names.add(stage.phase.name));
        stage.step();
        await frame(); await frame();
        return [...names];"""
    )
    assert phases == ["rest"]
    assert texts(page, "#drawing text") == numbers


def test_play_pause_step_pass_and_speed(run: Run) -> None:
    show(run, "six-rows")
    assert run("stage.step(); return stage.experiment.steps") == 1
    assert run("stage.pass(); return stage.experiment.steps") == 6
    assert run("stage.pass(); return stage.experiment.steps") == 12
    # 20 passes a second: one frame, however late, makes at most five.
    passes = run(
        """stage.setSpeed(5);
        stage.play();
        await until(() => stage.experiment.errors.length > 5);
        stage.pause();
        const { length } = stage.experiment.errors;
        for (let i = 0; i < 10; i += 1) await frame();
        return [length, stage.experiment.errors.length, stage.playing];"""
    )
    assert passes[0] == passes[1] < 40
    assert not passes[2]
    # It pauses at the station's last pass.
    run("stage.setSpeed(8); stage.play(); await until(() => !stage.playing)")
    assert run("return stage.experiment.errors.length") == 40
    # Slow playing shows phases, fast playing doesn't.
    run("stage.reset(); stage.setSpeed(3); stage.play()")
    run("await until(() => stage.phase.name === 'backward')")
    run("stage.setSpeed(8); await until(() => stage.experiment.errors.length > 2)")
    assert run("const { name } = stage.phase; stage.reset(); return name") == "rest"
    assert run("return [stage.experiment.steps, stage.playing]") == [0, False]


def test_a_pass_of_many_rows_does_not_stop_the_page(run: Run) -> None:
    show(run, "relu", lights=[[1, 0, 1]] * 10_000, outcomes=[1] * 10_000, hiddenSizes=[16, 16])
    steps, passes = run(
        """stage.setSpeed(8);
        stage.play();
        await until(() => stage.experiment.steps > 1);
        const found = [stage.experiment.steps, stage.experiment.errors.length];
        stage.pause();
        return found;"""
    )
    assert 1 < steps < 10_000
    assert passes == 0


def numbers(text: str) -> list[float]:
    # Not the digits of names: layer_1, L2.
    return [float(match) for match in re.findall(r"(?<![\w\[])-?\d+(?:\.\d+)?(?![\w\]])", text)]


@pytest.mark.parametrize("changes", [{}, {"weightDecay": 0.1, "l1Penalty": 0.05}, {"scale": 4}])
def test_the_arithmetic_has_the_numbers_of_the_service(
    run: Run, site: Server, changes: dict[str, float]
) -> None:
    show(run, "relu", **changes)
    # The lines of each node and each weight, by its name.
    setup, row, network, lines = run(
        """stage.skip(5);
        const { pressureBody } = await import("/page/learning/requests.js");
        const lines = {};
        const read = async (name, focus) => {
          stage.setFocus(focus);
          await frame();
          await frame();
          const spans = [...document.querySelectorAll("#arithmetic span")];
          lines[name] = spans.map((span) => span.textContent);
        };
        for (const [layer, nodes] of stage.layers.entries()) {
          for (const node of nodes.keys()) {
            await read(`layer_${layer}[${node}]`, { kind: "node", layer, node });
          }
        }
        for (const [layer, matrix] of stage.weights.entries()) {
          for (const [from, row] of matrix.entries()) {
            for (const to of row.keys()) {
              const name = `weights_${layer}_${layer + 1}[${from}][${to}]`;
              await read(name, { kind: "weight", layer, from, to });
            }
          }
        }
        const { setup, batch } = stage.experiment;
        return [setup, batch, pressureBody(stage.experiment).network, lines];"""
    )
    answer = site.post("/step", step_body(setup, row, network))
    for layer in (1, 2):
        for node, value in enumerate(answer["layers"][f"layer_{layer}"]):
            name = f"layer_{layer}[{node}]"
            value_line, delta_line = lines[name]
            assert value_line.startswith(f"{name} = ")
            assert numbers(value_line)[-1] == value
            assert ("relu(" in value_line) == (layer == 1)
            assert numbers(delta_line)[-1] == answer["deltas"][f"layer_{layer}"][node]
    for matrix, rows in answer["weights"].items():
        after = answer["network"]["weights"][matrix]
        for i, row in enumerate(rows):
            for j, weight in enumerate(row):
                name = f"{matrix}[{i}][{j}]"
                line = lines[name][-1]
                assert line.startswith(f"{name}, learning from row 2: ")
                assert numbers(line)[1] == weight
                assert numbers(line)[-1] == after[i][j]
                assert ("L1" in line) == ("L2" in line) == ("l1Penalty" in changes)


def test_the_arithmetic_of_a_step_is_the_same_in_all_its_phases(page: Page, run: Run) -> None:
    show(run, "six-rows")
    text = page.locator("#arithmetic").inner_text()
    for phase in ("forward", "update"):
        # Read it in the same script: the phase can be over when another one runs.
        shown = run(
            """stage.step();
            await until(() => stage.phase.name === argument);
            return document.querySelector("#arithmetic").innerText;""",
            phase,
        )
        assert shown == text
        run("stage.reset()")


def test_the_arithmetic_of_a_batch_is_an_average(page: Page, run: Run) -> None:
    show(run, "six-rows", batchSize=2)
    run("stage.setFocus({ kind: 'weight', layer: 0, from: 0, to: 0 })")
    line = page.locator("#arithmetic span").last.inner_text()
    assert "learning from rows 1 to 2" in line
    assert line.count("input") == 2
    assert ") / 2" in line
    assert numbers(line)[-1] == run("stage.skip(1); return stage.experiment.weights[0][0][0]")
    assert "last step" in page.locator("#arithmetic span").first.inner_text()
    show(run, "six-rows", batchSize=None)
    run("stage.setFocus({ kind: 'weight', layer: 0, from: 0, to: 0 })")
    assert "over 6 rows" in page.locator("#arithmetic").inner_text()


def test_the_arithmetic_of_a_hidden_node_is_shown_to_its_end(page: Page, run: Run) -> None:
    show(run, "deeper", seed=3)
    run("stage.skip(47); stage.setFocus({ kind: 'node', layer: 1, node: 1 })")
    box = page.locator("#arithmetic")
    assert box.evaluate("(it) => it.scrollHeight - it.clientHeight") <= 0


def test_the_pointer_shows_the_arithmetic_of_a_node_and_of_a_weight(page: Page, run: Run) -> None:
    show(run, "six-rows")
    page.locator("#drawing .light circle:not(.back)").nth(1).hover()
    expect(page.locator("#arithmetic")).to_contain_text("layer_0[1] = 0")
    page.locator("#drawing .weight .hit").nth(2).hover(position={"x": 40, "y": 40}, force=True)
    page.mouse.move(0, 0)
    expect(page.locator("#arithmetic")).to_contain_text("layer_1[0] = ")


def test_the_keyboard_moves_over_nodes_and_weights_from_one_tab_stop(page: Page, run: Run) -> None:
    show(run, "relu")
    assert page.locator("#drawing [tabindex='0']").count() == 1
    page.locator("#drawing [tabindex='0']").focus()
    focused = page.locator("#drawing :focus")
    path = [
        ("Home", "layer_0[0], left"),
        ("ArrowDown", "layer_0[1], middle"),
        ("ArrowRight", "weights_0_1[1][1]"),
        ("ArrowDown", "weights_0_1[2][1]"),
        ("ArrowDown", "weights_0_1[2][1]"),
        ("ArrowRight", "layer_1[1]"),
        ("ArrowUp", "layer_1[0]"),
        ("ArrowLeft", "weights_0_1[0][0]"),
        ("ArrowLeft", "layer_0[0], left"),
        ("ArrowLeft", "layer_0[0], left"),
        ("End", "layer_2[0]"),
    ]
    steps = run("return stage.experiment.steps")
    for key, name in path:
        page.keyboard.press(key)
        expect(focused).to_have_attribute("aria-label", re.compile(re.escape(name) + ": "))
        expect(page.locator("#arithmetic span").first).to_contain_text(name.partition(",")[0])
        assert page.locator("#drawing [tabindex='0']").count() == 1
    assert run("return stage.experiment.steps") == steps
    # The focus stays while the network learns.
    run("stage.skip(4)")
    expect(focused).to_have_attribute("aria-label", re.compile(r"layer_2\[0\]: .*delta"))
    page.keyboard.press("Tab")
    assert page.locator("#drawing :focus").count() == 0


def test_the_shown_row_can_be_chosen(page: Page, run: Run) -> None:
    show(run, "six-rows")
    shown = page.locator("#shown-row")
    expect(shown).to_contain_text("row 1 of 6: 1 0 1 → stop")
    page.get_by_role("button", name="next row").click()
    expect(shown).to_contain_text("row 2 of 6: 0 1 1 → walk")
    assert texts(page, "#drawing .light .value") == ["0", "1", "1"]
    page.get_by_role("button", name="previous row").click()
    page.get_by_role("button", name="previous row").click()
    expect(shown).to_contain_text("row 6 of 6: 1 0 1 → stop")
    # Passes keep the chosen row. A step shows the row that it learns from, and then the next one.
    run("stage.pass()")
    expect(shown).to_contain_text("row 6 of 6")
    run("stage.step(); await until(() => stage.phase.name === 'backward')")
    expect(shown).to_contain_text("row 1 of 6")
    run("await until(() => stage.phase.name === 'rest')")
    expect(shown).to_contain_text("row 2 of 6")


def test_the_curve_has_ticks_without_exponents_and_two_scales(page: Page, run: Run) -> None:
    show(run, "six-rows")
    curve = page.locator("#curve")
    expect(curve).to_contain_text("pass 0, no error yet")
    run("stage.setSpeed(8); stage.play(); await until(() => !stage.playing)")
    expect(curve).to_contain_text("pass 40, error 0.0005337")
    ticks = texts(page, "#curve .axes text")
    assert {"0", "10", "20", "40 passes"} <= set(ticks)
    linear = page.locator("#curve .series path").get_attribute("d")
    button = page.get_by_role("button", name="log", exact=True)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    ticks = texts(page, "#curve .axes text")
    assert {"0.001", "0.01", "0.1", "1"} <= set(ticks)
    assert not any("e" in tick for tick in ticks if "passes" not in tick)
    assert page.locator("#curve .series path").get_attribute("d") != linear
    expect(page).to_have_url(re.compile("curve=log"))
    page.get_by_role("button", name="linear", exact=True).click()


def test_pointer_and_keyboard_read_the_curve(page: Page, run: Run) -> None:
    show(run, "six-rows")
    run("for (let i = 0; i < 40; i += 1) stage.pass()")
    errors = run("return stage.experiment.errors")
    slider = page.get_by_role("slider", name="the error of each pass")
    slider.focus()
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuetext", f"pass 1, error {errors[0]:.4g}")
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", f"pass 2, error {errors[1]:.4g}")
    page.keyboard.press("End")
    expect(slider).to_have_attribute("aria-valuenow", "40")
    box = slider.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#curve .cursor")).to_have_attribute("visibility", "visible")
    assert 10 < int(slider.get_attribute("aria-valuenow") or 0) < 30


def test_thousands_of_passes_are_drawn_with_few_points(page: Page, run: Run) -> None:
    show(run, "one-light", iterations=20000)
    run("for (let i = 0; i < 5000; i += 1) stage.skip(1)")
    path = page.locator("#curve .series path").get_attribute("d") or ""
    assert 100 < path.count("L") < 2000


def test_networks_are_compared_after_as_many_passes(page: Page, run: Run) -> None:
    show(run, "descents")
    run("stage.setSpeed(8); stage.play(); await until(() => !stage.playing)")
    cards = page.locator("#comparison .card")
    expect(cards).to_have_count(3)
    assert texts(page, "#comparison h4") == ["stochastic", "batches of 2", "full"]
    assert texts(page, "#curve .series text") == ["stochastic", "batches of 2", "full"]
    expect(cards.nth(0)).to_contain_text("pass 40: error 0.0005337, 6 of 6 rows right")
    expect(cards.nth(2)).to_contain_text("pass 40: error 0.1237, 6 of 6 rows right")
    before = texts(page, "#comparison .card >> nth=2 >> .number")
    page.get_by_role("button", name="Show full on the stage").click()
    assert run("return stage.setup.batchSize") is None
    expect(cards.nth(0)).to_contain_text("full")
    assert texts(page, "#comparison h4") == ["full", "batches of 2", "stochastic"]
    run("stage.play(); await until(() => !stage.playing)")
    assert texts(page, "#comparison .card >> nth=0 >> .number") == before
    show(run, "six-rows")
    expect(cards).to_have_count(0)


@pytest.mark.parametrize("size", [(390, 844), (768, 1024), (2560, 1440)])
def test_the_drawing_fits_every_screen(page: Page, run: Run, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    for slug, changes in (("relu", {}), ("deeper", {"hiddenSizes": [16, 16, 16, 16]})):
        show(run, slug, **changes)
        run("stage.skip(1); await frame();")
        outside = page.evaluate(
            """() => {
              const svg = document.querySelector("#drawing");
              const frame = svg.getBoundingClientRect();
              return [...svg.querySelectorAll("text, circle")].filter((element) => {
                const { left, right, top, bottom, width } = element.getBoundingClientRect();
                return width && (left < frame.left - 1 || right > frame.right + 1
                  || top < frame.top - 1 || bottom > frame.bottom + 1);
              }).map((element) => element.outerHTML);
            }"""
        )
        assert outside == [], (size, slug)
    show(run, "descents")
    run("stage.pass(); await frame()")
    bar = page.locator("#comparison rect").first.bounding_box()
    assert bar
    assert bar["width"] > 1
    page.set_viewport_size({"width": 1440, "height": 900})


def test_a_training_that_diverges_is_drawn_without_exponents(page: Page, run: Run) -> None:
    show(run, "one-light", alpha=1e6)
    run("for (let i = 0; i < 100; i += 1) stage.pass()")
    assert run("return stage.experiment.diverged")
    shown = page.locator("#picture, #curve").all_inner_texts()
    assert not re.search(r"\de[+-]?\d|NaN|Infinity|undefined", json.dumps(shown))
