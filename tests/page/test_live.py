"""Tests of what others do: it appears on the page within a second, without polling."""

import subprocess
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.page.browser import load, needs_browser, opened
from tests.server import Server, streetlight

pytestmark = needs_browser

# Milliseconds: a second, and one more for machines on which other tests run, too.
SOON = 2000


@pytest.fixture(scope="module")
def windows(browser: Browser, site: Server) -> Iterator[tuple[Page, Page]]:
    with opened(browser, site.url) as one, opened(browser, site.url) as other:
        yield one, other


def curl(*arguments: str) -> None:
    subprocess.run(["curl", "--silent", "--fail", *arguments], check=True, timeout=30)


def test_an_observation_in_one_window_appears_in_the_other(windows: tuple[Page, Page]) -> None:
    one, other = windows
    one.locator("#stopped").click()
    expect(other.locator("#ledger tbody tr").first).to_contain_text("5", timeout=SOON)
    other.get_by_role("button", name="withdraw observation 5").click()
    expect(one.locator("#ledger tbody tr").first).to_have_class("gone", timeout=SOON)


def test_what_curl_and_the_command_line_do_appears(
    windows: tuple[Page, Page], site: Server
) -> None:
    body = '{"lights": [0, 1, 0], "outcome": "walk"}'
    curl(f"{site.url}/observations", "-d", body)
    for page in windows:
        expect(page.locator("#ledger tbody tr").first).to_contain_text("6", timeout=SOON)
    curl(f"{site.url}/retrain", "-d", '{"dataset": "four", "seed": 3, "promote": "never"}')
    for page in windows:
        expect(page.locator("#job")).to_contain_text("Job 1 succeeded")
        expect(page.locator("#version-table tbody tr").first).to_contain_text("2", timeout=SOON)
    run = streetlight("promote", "2", data_dir=site.data_dir)
    assert run.returncode == 0, run.stderr
    for page in windows:
        expect(page.locator("#live")).to_contain_text("live: version 2", timeout=SOON)
        expect(page.locator("#score")).to_contain_text("version 2", timeout=SOON)


def test_a_rollback_in_one_window_appears_in_the_other(windows: tuple[Page, Page]) -> None:
    one, other = windows
    one.locator("#rollback").click()
    expect(other.locator("#live")).to_contain_text("live: version 1", timeout=SOON)
    expect(other.locator("#promote")).to_have_text("Promote version 2")


def test_a_job_of_another_window_is_shown_and_can_be_cancelled(
    windows: tuple[Page, Page],
) -> None:
    one, other = windows
    one.locator("#recipe [name=iterations]").fill("1000000")
    one.locator("#recipe [name=alpha]").fill("0.000001")
    one.locator("#start").click()
    expect(other.locator("#job")).to_contain_text("Job 2 running: seed 1, pass")
    other.locator("#cancel").click()
    expect(one.locator("#job")).to_contain_text("Job 2 cancelled")


def show(page: Page, *, hidden: bool) -> None:
    """Make the page believe that the user has left its tab, or returned to it."""
    page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_a_hidden_tab_leaves_its_connection_to_others(
    windows: tuple[Page, Page], site: Server
) -> None:
    page = windows[1]
    # With the page's own stream, these are all the connections to a server that a browser has.
    page.evaluate("""() => Promise.all(Array.from({ length: 5 }, () => new Promise((resolve) => {
      new EventSource("events").addEventListener("open", resolve);
    })))""")
    show(page, hidden=True)
    assert page.evaluate("() => fetch('livez').then((response) => response.status)") == 200
    load(page, site.url)


def test_a_job_that_ended_while_the_tab_was_hidden_is_read_again(
    windows: tuple[Page, Page], site: Server
) -> None:
    page = windows[1]
    body = {"dataset": "four", "alpha": 1e-6, "iterations": 1_000_000, "promote": "never"}
    number = site.expect(202, "POST", "/retrain", body)["id"]
    page.get_by_role("button", name=f"show job {number}").click()
    expect(page.locator("#job")).to_contain_text(f"Job {number} running")
    show(page, hidden=True)
    later = [site.expect(202, "POST", "/retrain", body)["id"] for _ in range(11)]
    for each in (*reversed(later), number):
        site.expect(200, "DELETE", f"/jobs/{each}")
    show(page, hidden=False)
    expect(page.locator("#job")).to_contain_text(f"Job {number} cancelled")


def test_many_events_cause_few_requests(windows: tuple[Page, Page], site: Server) -> None:
    page = windows[0]
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    start = time.monotonic()
    for _ in range(100):
        site.expect(201, "POST", "/observations", {"lights": [1, 1, 1], "outcome": "stop"})
    expect(page.locator("#ledger tbody tr").first).to_contain_text("106")
    # At most every half a second, the ledger and the versions are read again.
    assert len(urls) < 6 + 4 * (time.monotonic() - start)


def test_the_page_reconnects_to_a_server_that_was_restarted(
    windows: tuple[Page, Page], site: Server
) -> None:
    page = windows[0]
    site.stop()
    expect(page.locator("#live")).to_contain_text("live: version 1, reconnecting … ○")
    page.get_by_role("button", name="left light", exact=True).click()
    expect(page.locator("#score")).to_have_text("The server can't be reached. Try again.")
    site.process = site.start()
    site.wait_until_ready()
    site.expect(201, "POST", "/observations", {"lights": [0, 0, 0], "outcome": "stop"})
    expect(page.locator("#live")).to_contain_text("live: version 1 ●")
    expect(page.locator("#ledger tbody tr").first).to_contain_text("107")
    # What failed meanwhile is loaded now.
    expect(page.locator("#decision")).to_have_text("Stop")
    expect(page.locator("#trouble")).to_be_hidden()


def test_a_damaged_version_and_a_missing_live_one_are_shown(
    windows: tuple[Page, Page], site: Server
) -> None:
    page = windows[0]
    models = site.data_dir / "models"
    (models / "3.npz").write_text("no archive", encoding="ascii")
    expect(page.locator("#version-table tbody tr").first).to_contain_text("damaged: 3.npz")
    whole = (models / "2.npz").read_bytes()
    (models / "2.npz").write_bytes(whole[:100])
    expect(page.locator("#version-table tbody tr").nth(1)).to_contain_text("damaged: 2.npz")
    (models / "2.npz").write_bytes(whole)
    expect(page.locator("#version-table tbody tr").nth(1)).not_to_contain_text("damaged")
    (models / "live").unlink()
    expect(page.locator("#live")).to_contain_text("no live version")
    expect(page.locator("#score")).to_have_text("No version is live: promote one below.")
    expect(page.locator("#pattern-table")).to_be_hidden()
    page.get_by_role("button", name="show version 2").click()
    page.get_by_role("button", name="Promote version 2").click()
    expect(page.locator("#live")).to_contain_text("live: version 2")
    expect(page.locator("#score")).to_contain_text("version 2")
    expect(page.locator("#pattern-table tbody tr")).to_have_count(8)


def test_a_part_that_fails_leaves_the_others_and_is_loaded_again(
    browser: Browser, site: Server
) -> None:
    def fail(route: Route) -> None:
        route.fulfill(status=503, json={"error": "version 2 is damaged"})

    with browser.new_context() as context:
        context.route("**/predict/batch", fail)
        context.route("**/explain", fail)
        page = context.new_page()
        load(page, site.url)
        expect(page.locator("#trouble")).to_have_text("version 2 is damaged")
        expect(page.locator("#score")).to_have_text("version 2 is damaged")
        expect(page.locator("#pattern-table")).to_be_hidden()
        expect(page.locator("#ledger tbody tr").first).to_be_visible()
        context.unroute_all()
        expect(page.locator("#trouble")).to_be_hidden()
        expect(page.locator("#decision")).to_have_text("Walk")
        expect(page.locator("#pattern-table tbody tr")).to_have_count(8)


def test_without_a_stream_the_page_still_shows_what_changes(browser: Browser, site: Server) -> None:
    with browser.new_context() as context:
        # The limit of streams is reached.
        context.route("**/events", lambda route: route.fulfill(status=503, json={}))
        page = context.new_page()
        page.goto(site.url)
        expect(page.locator("#live")).to_contain_text("reconnecting")
        page.locator("#start").click()
        expect(page.locator("#job")).to_contain_text("succeeded")
        context.unroute_all()
        expect(page.locator("#live")).to_contain_text("●")
