"""Tests of the stage's setup, rows, player and keys."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.page.browser import needs_browser
from tests.page.stage_page import happened, open_station, press, stage_page

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with stage_page(browser, tmp_path_factory.mktemp("controls")) as page:
        yield page


def field(page: Page, name: str) -> Locator:
    return page.locator(f"#stage [name={name}]").first


def write(control: Locator, text: str) -> None:
    control.fill(text)
    control.blur()


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("alpha", "abc", "alpha: expected a number from 0.000000001 to 1000000000, got abc"),
        ("alpha", "", "alpha: expected a number from 0.000000001 to 1000000000, got nothing"),
        ("hiddenSizes", "17", "hiddenSizes: expected from 1 to 16 nodes in a layer, got 17"),
        ("weightDecay", "-1", "weightDecay: expected a number from 0 to 1000000000, got -1"),
        ("l1Penalty", "x", "l1Penalty: expected a number from 0 to 1000000000, got x"),
        ("seed", "1.5", "seed: expected a whole number from 0 to 2147483648, got 1.5"),
        ("scale", "0", "scale: expected a number above 0 or null, got 0"),
        ("batchSize", "0", "batchSize: expected a whole number from 1 to 1000000000, got 0"),
    ],
)
def test_error_is_shown_at_its_field(page: Page, name: str, text: str, problem: str) -> None:
    open_station(page, "relu&steps=4")
    page.locator("#setup details").evaluate("(details) => { details.open = true; }")
    if name == "batchSize":
        page.get_by_label("rows per update").first.select_option("other")
    write(field(page, name), text)
    expect(page.locator(f"#error-{name}")).to_have_text(problem)
    expect(field(page, name)).to_have_attribute("aria-invalid", "true")
    expect(happened(page)).to_contain_text("Pass 1")  # the run is as it was
    write(field(page, name), {"seed": "7", "hiddenSizes": "5"}.get(name, "2"))
    expect(page.locator(f"#error-{name}")).to_be_hidden()
    expect(field(page, name)).to_have_attribute("aria-invalid", "false")
    expect(happened(page)).to_contain_text("Not started")


def test_start_weights_are_edited_by_hand(page: Page) -> None:
    open_station(page, "two-rows")
    page.locator("#setup details").evaluate("(details) => { details.open = true; }")
    weight = page.locator("input[aria-label='weights_0_1[0][0]']")
    expect(weight).to_have_value("0.5")
    write(weight, "x")
    expect(page.locator("#error-start")).to_contain_text(
        "expected finite numbers in weights_0_1, got x"
    )
    write(weight, "0.25")
    press(page, "One pass")
    expect(happened(page)).to_contain_text("The weights are 0.275, ")
    page.get_by_label("random, by the seed").check()
    expect(weight).to_be_hidden()
    expect(field(page, "seed")).to_have_value("1")
    page.get_by_label("by hand", exact=True).check()
    expect(weight).to_have_value("-0.165955990594852")


def test_more_layers_ask_for_the_nodes_of_each(page: Page) -> None:
    open_station(page, "relu")
    field(page, "depth").select_option("3")
    write(page.get_by_label("nodes in layer_3"), "2")
    press(page, "One pass")
    press(page, "Compare with the service")
    expect(page.locator("#compared")).to_have_text("Identical to the last bit: all 38 weights.")
    field(page, "depth").select_option("0")
    expect(page.get_by_label("nodes in layer_1")).to_have_count(0)


def test_number_of_layers_is_shown_if_a_link_has_more_than_the_list(page: Page) -> None:
    open_station(page, "relu&hidden=2,2,2,2,2")
    expect(page.locator("[name=depth]")).to_have_value("5")


def test_change_while_playing_starts_again_and_plays_on(page: Page) -> None:
    open_station(page, "no-correlation&speed=4")
    press(page, "Play")
    field(page, "l1Penalty").fill("0.1")
    field(page, "l1Penalty").blur()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    press(page, "Pause")
    expect(happened(page)).to_contain_text("Pass")


def test_what_happened_is_of_the_run_that_plays(page: Page) -> None:
    open_station(page, "six-rows&steps=240&speed=1")
    expect(happened(page)).to_contain_text("Pass 40,")
    page.locator("#lesson").get_by_role("button", name="Next").click()
    press(page, "Play")
    expect(happened(page)).to_have_text("Learning …")
    press(page, "Pause")
    expect(happened(page)).to_contain_text("of the first pass")
    press(page, "Start again")
    expect(happened(page)).to_contain_text("Not started")


def test_speed_is_said_in_words(page: Page) -> None:
    open_station(page, "six-rows")
    speed = page.get_by_label("speed")
    for value, words in [
        ("0", "1 row in 2 seconds"),
        ("1", "1 row a second"),
        ("8", "1,000 passes a second"),
    ]:
        speed.fill(value)
        expect(speed).to_have_attribute("aria-valuetext", words)
    page.get_by_label("rows per update").first.select_option("2")
    speed.fill("3")
    expect(speed).to_have_attribute("aria-valuetext", "4 batches a second")
    expect(page.get_by_role("button", name="One batch")).to_be_visible()


def test_rows_are_edited_in_the_table_by_keyboard(page: Page) -> None:
    open_station(page, "six-rows")
    page.get_by_role("button", name="row 1, left: 1").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="row 2, left: 1")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#data-said")).to_have_text("Row 2: stop.")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#data-said")).to_have_text("Row 2 removed.")
    expect(page.locator("#data")).to_contain_text("Your own rows: 5.")
    expect(page.locator(".variants")).to_contain_text("your own setup")
    expect(page.locator(".variants [aria-pressed=true]")).to_have_count(0)
    assert page.locator(".data-table button[tabindex='0']").count() == 1
    press(page, "The station's rows again")
    expect(page.locator(".data-table tbody tr")).to_have_count(6)
    expect(page.get_by_text("your own setup")).to_be_hidden()


def test_lights_and_rows_are_added(page: Page) -> None:
    open_station(page, "your-own")
    for _ in range(5):
        press(page, "Add a light")
    expect(page.get_by_role("button", name="Add a light")).to_be_disabled()
    press(page, "Remove the last light")
    page.locator("#data form select").select_option("stop")
    press(page, "Add the row")
    expect(page.locator("#data-said")).to_have_text("Row 5 added: 1 1 1 1 1 1 1, stop.")
    box = page.locator(".point-grid").bounding_box()
    assert box
    page.locator(".point-grid").click(position={"x": box["width"] / 2, "y": box["height"] - 5})
    expect(page.locator("#data-said")).to_have_text("Row 6 added: 0.5 0 1 1 1 1 1, stop.")
    press(page, "One pass")
    press(page, "Compare with the service")
    expect(page.locator("#compared")).to_contain_text("Identical to the last bit")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("left,right,outcome\n1,0,walk\n0,1,stop\n", "2 rows taken from the text."),
        ("10\t0\t1\n0\t10\t0", "2 rows taken from the text."),
        ('left;right;outcome\r\n0,5;"1";walk\r\n-,25;0;stop', "2 rows taken from the text."),
        ('"a;b",outcome\n1,walk', "1 row taken from the text."),
        ('a,outcome,request_id\n"1",WALK,"x,y"', "1 row taken from the text."),
        (
            "1,0,walk\n1,0,maybe",
            'the text: line 2: outcome: expected walk, stop, 1 or 0, got "maybe"',
        ),
        ("a,b,outcome\n1,x,walk", 'the text: line 2: b: expected a finite number, got "x"'),
        ("a,b,outcome\n1,walk", "the text: line 2: expected 3 columns, got 2"),
        ("1,constructor", 'outcome: expected walk, stop, 1 or 0, got "constructor"'),
        ("", "the text: expected at least one observation, got none"),
        ("hello", "the text: line 1: expected a header of light names and then outcome"),
        (",".join(["1"] * 18), "lights: expected from 1 to 16 lights, got 17"),
    ],
)
def test_rows_are_pasted_as_csv(page: Page, text: str, said: str) -> None:
    open_station(page, "six-rows&steps=6")
    page.locator("#data textarea").fill(text)
    press(page, "Take these rows")
    expect(page.locator("#data-said")).to_contain_text(said)
    taken = "taken" in said
    expect(happened(page)).to_contain_text("Not started" if taken else "Pass 1")
    if taken:
        press(page, "One pass")
        press(page, "Compare with the service")
        expect(page.locator("#compared")).to_contain_text("Identical to the last bit")


def test_small_numbers_have_no_exponent(page: Page) -> None:
    open_station(page, "regularization&alpha=1e-7&l2=1e-8&start=1e-9,1,0")
    page.locator("#setup details").evaluate("(details) => { details.open = true; }")
    expect(field(page, "alpha")).to_have_value("0.0000001")
    expect(page.get_by_label("weights_0_1[0][0]", exact=True)).to_have_value("0.000000001")
    expect(page.locator("#comparison h4").first).to_have_text("L2 0.00000001")
    open_station(page, "your-own&rows=0.1_0.1_0.1_1,0_5e-9_0_0")
    expect(page.get_by_role("button", name="row 2, middle: ≈ 0")).to_be_visible()
    grid = page.locator("svg.point-grid")
    box = grid.bounding_box()
    assert box
    grid.click(position={"x": 0.36 * box["width"], "y": 0.4 * box["height"]})
    expect(page.locator("#data-said")).to_contain_text("Row 3 added: 0.03 0.06 1,")
    expect(page).to_have_url(re.compile("0.03_0.06_1_[01]$"))


def test_errors_close_to_0_have_different_ticks(page: Page) -> None:
    open_station(page, "two-rows&start=0.0001,1,0&steps=20")
    expect(happened(page)).to_contain_text("Pass 10,")
    ticks = page.locator("#curve text.end").all_text_contents()
    assert ticks[:-1] == ["0", "0.0002", "0.0004", "0.0006", "0.0008", "0.001"]


def test_body_that_is_too_long_for_a_command_is_saved(page: Page) -> None:
    open_station(page, "your-own")
    rows = "".join(f"{i % 7},{i % 5},{i % 3},{i % 2}\n" for i in range(3000))
    page.locator("#data input[type=file]").set_input_files(
        {"name": "long.csv", "mimeType": "text/csv", "buffer": rows.encode()}
    )
    expect(page.locator("#data-said")).to_contain_text("3000 rows taken")
    expect(page.locator("#pressure code")).to_contain_text("/pressure -d @pressure.json")
    with page.expect_download() as download:
        press(page, "save pressure.json")
    assert download.value.suggested_filename == "pressure.json"
    body = json.loads(download.value.path().read_text())
    assert len(body["rows"]) == 3000


def test_most_lights_of_the_most_rows_have_a_range(page: Page) -> None:
    script = """async () => {
      const { LightPlane } = await import("/page/stage/light_plane.js");
      const { valueOfOn } = await import("/page/stage/data_table.js");
      const row = (_, r) => Array.from({ length: 16 }, (_, i) => i - r);
      const lights = Array.from({ length: 10000 }, row);
      return [...new LightPlane(lights).range, valueOfOn({ lights })];
    }"""
    assert page.evaluate(script) == [-9999, 15, 9999]


def test_rows_are_taken_from_a_file_and_by_drop(page: Page) -> None:
    open_station(page, "your-own")
    page.locator("#data input[type=file]").set_input_files(
        {"name": "corner.csv", "mimeType": "text/csv", "buffer": b"a,b,outcome\n1,0,walk\n"}
    )
    expect(page.locator("#data-said")).to_have_text("1 row taken from corner.csv.")
    page.locator("#data").evaluate(
        """(data) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(["1,0,1\\n0,1,no"], "dropped.csv"));
          data.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }"""
    )
    expect(page.locator("#data-said")).to_have_text(
        'dropped.csv: line 2: outcome: expected walk, stop, 1 or 0, got "no"'
    )


def test_keys_play_step_and_choose_a_station(page: Page) -> None:
    open_station(page, "one-light&speed=1")
    page.keyboard.press("2")
    expect(page.locator("#lesson h2")).to_have_text("Which of the three lights means walk?")
    page.keyboard.press("ArrowRight")
    expect(happened(page)).to_contain_text("1 update of the first pass")
    page.keyboard.press("Shift+ArrowRight")
    expect(happened(page)).to_contain_text("Pass 1,")
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    page.keyboard.press("0")
    expect(page.locator("#lesson h2")).to_have_text("What changes if a node can be off?")


def test_keys_work_after_the_choice_of_a_station(page: Page) -> None:
    open_station(page, "six-rows&speed=1")
    page.locator("#stations input:checked").focus()
    page.keyboard.press(" ")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#lesson h2")).to_contain_text("After how many rows")
    page.keyboard.press("5")
    expect(page.locator("#lesson h2")).to_have_text("Can an error of 0 be wrong?")


def test_keys_belong_to_the_control_with_the_focus(page: Page) -> None:
    open_station(page, "six-rows")
    field(page, "alpha").press("3")
    page.get_by_role("button", name="Start again").press(" ")
    page.get_by_label("speed").press("ArrowRight")
    expect(page.get_by_label("speed")).to_have_value("3")
    expect(page.locator("#lesson h2")).to_have_text("Which of the three lights means walk?")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(happened(page)).to_contain_text("Not started")


def test_keys_are_listed_and_turned_off(page: Page) -> None:
    open_station(page, "six-rows")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog).to_contain_text("one pass")
    dialog.get_by_label("single-key shortcuts are on").uncheck()
    dialog.get_by_role("button", name="Close").click()
    page.keyboard.press("3")
    page.keyboard.press("?")
    expect(dialog).to_be_hidden()
    expect(page.locator("#lesson h2")).to_have_text("Which of the three lights means walk?")
    press(page, "Keys")
    dialog.get_by_label("single-key shortcuts are on").check()
    page.keyboard.press("Escape")
    page.keyboard.press("3")
    expect(page.locator("#lesson h2")).to_contain_text("After how many rows")
