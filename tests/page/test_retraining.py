"""Tests of retraining on the page: recipe, progress, verdict, exam, and the stage's network."""

import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.page.browser import load, needs_browser, opened
from tests.server import ForkedServer, Server

pytestmark = needs_browser


def test_a_retraining_shows_its_verdict(page: Page, site: Server) -> None:
    site.expect(201, "POST", "/observations", {"lights": [0, 1, 0], "outcome": "stop"})
    page.get_by_role("button", name="0 1 0", exact=True).click()
    expect(page.locator("#decision")).to_have_text("Walk")
    expect(page.locator("#no-job")).to_be_visible()
    expect(page.locator("#job-progress")).to_be_hidden()
    page.locator("#recipe [name=iterations]").fill("500")
    page.locator("#start").click()
    expect(page.locator("#job")).to_contain_text("Job 1 succeeded: seed 1, pass 500, error ≈ 0")
    expect(page.locator("#headline")).to_have_text("Version 2 was promoted.")
    expect(page.locator("#headline")).to_be_visible()
    expect(page.locator("#changes tbody tr", has_text="0 1 0")).to_have_text(
        re.compile("0 1 0▶ walk■ stop1")
    )
    expect(page.locator("#exam")).to_contain_text(
        "Judged on the training data: an exam requires 30 "
    )
    expect(page.locator("#exam-table")).to_be_hidden()
    expect(page.locator("#job-curve path.line")).to_have_count(1)
    expect(page.locator("#cancel")).to_be_hidden()
    expect(page.locator("#version-table tr", has_text="● live")).to_contain_text("2")
    expect(page.locator("#decision")).to_have_text("Stop")
    expect(page.locator("#pattern-table tr.now")).to_contain_text("≠")
    # What the job did stays true after a rollback.
    site.post("/rollback")
    expect(page.locator("#live")).to_contain_text("live: version 1")
    expect(page.locator("#headline")).to_have_text("Version 2 was promoted.")
    expect(page.locator("#job-table")).to_contain_text("version 2, promoted")
    assert not re.search(r"\de[+-]?\d", page.locator("#service").inner_text().split("curl")[0])


def test_every_field_of_the_recipe_is_sent(page: Page) -> None:
    for name, value in {
        "alpha": "0.1",
        "hidden_sizes": "4, 3",
        "iterations": "7",
        "batch_size": "",
        "seed": "5",
    }.items():
        page.locator(f"#recipe [name={name}]").fill(value)
    page.locator("#recipe summary").click()
    for name, value in {
        "weight_decay": "0.001",
        "l1_penalty": "0.002",
        "restarts": "0",
        "target_error": "",
        "patience": "3",
        "exam": "0",
    }.items():
        page.locator(f"#recipe [name={name}]").fill(value)
    page.locator("#recipe [name=activation]").select_option("linear")
    page.locator("#recipe [name=repeats]").select_option("kept")
    page.locator("#recipe [name=promote]").select_option("never")
    with page.expect_response("**/retrain") as response:
        page.locator("#start").click()
    job = response.value.json()
    assert job["recipe"] == {
        "hidden_sizes": [4, 3],
        "alpha": 0.1,
        "iterations": 7,
        "batch_size": None,
        "seed": 5,
        "restarts": 0,
        "target_error": None,
        "patience": 3,
        "weight_decay": 0.001,
        "l1_penalty": 0.002,
        "activation": "linear",
        "repeats": "kept",
    }
    assert (job["promote"], job["exam"]) == ("never", 0)
    expect(page.locator("#job")).to_contain_text(f"Job {job['id']} succeeded")


def test_an_error_appears_at_its_field(page: Page) -> None:
    page.locator("#recipe summary").click()
    field = page.locator("#recipe [name=restarts]")
    field.fill("2000")
    page.locator("#recipe summary").click()
    page.locator("#start").evaluate("button => button.form.noValidate = true")
    page.locator("#start").click()
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#recipe-problem")).to_contain_text("restarts: expected a whole number")
    field.fill("1")
    expect(page.locator("#recipe-problem")).to_have_count(0)


def test_the_verdict_shows_the_exam(browser: Browser, tmp_path: Path) -> None:
    with ForkedServer(tmp_path, trainer=True, start_empty=True) as server:
        # The outcome is that of the last light; version 1 decides half of the patterns otherwise.
        rows = [[row & 1, row >> 1 & 1, row >> 2 & 1] for row in range(80)]
        observations = [
            {"lights": lights, "outcome": "walk" if lights[2] else "stop"} for lights in rows
        ]
        server.expect(201, "POST", "/observations", {"observations": observations})
        with opened(browser, f"{server.url}/#recipe.promote=never") as page:
            page.locator("#start").click()
            expect(page.locator("#headline")).to_have_text("Version 2 was not promoted.")
            expect(page.locator("#exam")).to_have_text(
                "Judged on 30 observations that neither version has learnt from. "
                "Version 1 has 50 % right (95 % interval: 33.15 % to 66.85 %). "
                "Version 2 has 100 % right (95 % interval: 88.65 % to 100 %). "
                "McNemar's test: p < 0.001."
            )
            expect(page.locator("#exam-table tr")).to_have_text(
                ["version 2 rightversion 2 wrong", "version 1 right150", "version 1 wrong150"]
            )
            expect(page.locator("#changes tbody tr", has_text="0 1 0")).to_have_text(
                re.compile("▶ walk■ stop10$")
            )
            page.locator("#recipe [name=promote]").select_option("better")
            page.locator("#start").click()
            expect(page.locator("#headline")).to_have_text("Version 3 was promoted.")
            assert server.get("/jobs/2")["promote"] == "better"
            results = Axe().run(page, context="#retrain")
            assert results.violations_count == 0, results.generate_report()


def test_a_job_can_be_cancelled(page: Page) -> None:
    page.locator("#recipe [name=iterations]").fill("1000000")
    page.locator("#recipe [name=alpha]").fill("0.000001")
    page.locator("#start").click()
    expect(page.locator("#job")).to_contain_text("running: seed 1, pass")
    expect(page.locator("#job-progress")).to_have_attribute("value", re.compile("."))
    page.locator("#cancel").press("Enter")
    expect(page.locator("#job")).to_contain_text("cancelled")
    expect(page.locator("#start")).to_be_focused()
    expect(page.locator("#cancel")).to_be_hidden()
    expect(page.locator("#job-progress")).to_be_hidden()


def test_a_link_restores_the_recipe(page: Page, site: Server) -> None:
    load(page, f"{site.url}/#recipe.alpha=0.1&recipe.l1_penalty=0.01")
    expect(page.locator("#recipe [name=alpha]")).to_have_value("0.1")
    expect(page.locator("#recipe [name=l1_penalty]")).to_have_value("0.01")
    page.locator("#recipe [name=alpha]").fill("0.3")
    page.locator("#recipe [name=seed]").focus()
    expect(page).to_have_url(re.compile("recipe.alpha=0.3"))


def test_a_job_without_a_trainer_waits_and_can_be_cancelled(
    browser: Browser, tmp_path: Path
) -> None:
    with ForkedServer(tmp_path) as server, opened(browser, server.url) as page:
        page.locator("#start").click()
        expect(page.locator("#job")).to_have_text("Job 1 queued: it waits for a trainer")
        page.locator("#cancel").click()
        expect(page.locator("#job")).to_have_text("Job 1 cancelled")
        expect(page.locator("#job-result .said")).to_have_text("")
