"""Tests of the way from the stage to the service and back."""

from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect

from tests.page.browser import needs_browser, opened
from tests.server import ForkedServer, Server
from tests.service.services import publish_network

pytestmark = needs_browser


def said(page: Page) -> Locator:
    return page.locator("#bridge .said")


def choose_station(page: Page, slug: str) -> None:
    page.locator(f"#stations [value={slug}]").check(force=True)


def test_the_server_trains_the_weights_of_the_stage(page: Page, site: Server) -> None:
    choose_station(page, "relu")
    page.locator("#train-here").click()
    expect(said(page)).to_have_text(
        "Version 2: after 60 passes, its weights are the browser's to the last bit. "
        "It is not live: promote it below."
    )
    recipe = site.get("/jobs/1")["recipe"]
    assert (recipe["repeats"], recipe["restarts"], recipe["target_error"]) == ("kept", 0, None)
    # After a pass of the stage, the server makes one pass, too.
    page.locator("#player button", has_text="One pass").click()
    page.locator("#train-promote").select_option("always")
    page.locator("#train-here").click()
    expect(said(page)).to_have_text(
        "Version 3: after 1 pass, its weights are the browser's to the last bit. It is live."
    )
    site.post("/rollback")


def test_as_many_rows_and_lights_as_the_stage_has_are_trained(page: Page) -> None:
    page.evaluate("""async () => {
      const { stage } = await import("./page/main.js");
      const lights = Array.from({ length: 10_000 }, (_, i) =>
        Array.from({ length: 13 }, (_, j) => i >> j & 1));
      stage.change({
        lights, outcomes: lights.map(([first]) => first), scale: null, start: null, batchSize: null,
        hiddenSizes: [2], alpha: 0.01, iterations: 1, compare: [], station: "your-own",
      });
    }""")
    page.locator("#train-here").click()
    expect(said(page)).to_contain_text("its weights are the browser's to the last bit")


def test_a_training_of_the_stage_can_be_cancelled(page: Page, site: Server) -> None:
    # This job is trained first, so that the one of the stage waits.
    body = {"dataset": "four", "iterations": 1_000_000, "alpha": 1e-6}
    first = site.expect(202, "POST", "/retrain", body)["id"]
    choose_station(page, "relu")
    page.locator("#train-here").click()
    expect(said(page)).to_contain_text(f"Job {first + 1}: its progress is below.")
    said(page).get_by_role("button", name="Cancel").click()
    expect(said(page)).to_have_text(f"Job {first + 1} cancelled.")
    site.expect(200, "DELETE", f"/jobs/{first}")


def test_start_weights_by_hand_stay_in_the_browser(page: Page) -> None:
    choose_station(page, "six-rows")
    page.locator("#train-here").click()
    expect(said(page)).to_contain_text("The start weights are set by hand")
    expect(said(page)).to_have_role("alert")


def test_the_stage_takes_the_live_network(page: Page) -> None:
    page.locator("#take-live").click()
    expect(said(page)).to_have_text(
        "The stage starts with the weights of version 1, and has its 4 training rows."
    )
    choose_station(page, "six-rows")


def test_a_network_that_is_too_large_stays_on_the_server(browser: Browser, tmp_path: Path) -> None:
    publish_network(tmp_path / "models", (3, 100, 100), rows=300)
    with ForkedServer(tmp_path) as server, opened(browser, server.url) as page:
        page.locator("#take-live").click()
        expect(said(page)).to_contain_text("Version 1 is too large for the stage")
        expect(said(page)).to_contain_text("hidden layers of 100, 100 nodes")
        expect(page.locator("#trouble")).to_be_hidden()
