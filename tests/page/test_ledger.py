"""Tests of the ledger on the page: record, withdraw, CSV files, and the focus in the table."""

from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.page.browser import needs_browser
from tests.server import Server

pytestmark = needs_browser


def said_at_the_corner(page: Page) -> Locator:
    return page.locator("#corner .said")


def said_at_the_file(page: Page) -> Locator:
    return page.locator("#observe .said")


def test_an_observation_is_recorded_and_withdrawn(page: Page, site: Server) -> None:
    latest = site.get("/observations")["observations"][-1]["id"]
    page.get_by_role("button", name="0 1 0", exact=True).click()
    page.locator("#stopped").click()
    expect(said_at_the_corner(page)).to_have_text(f"Recorded as observation {latest + 1}.")
    page.locator("#walked").click()
    expect(said_at_the_corner(page)).to_have_text(
        f"Recorded as observation {latest + 2}, which contradicts {latest + 1}."
    )
    expect(said_at_the_corner(page)).to_have_role("status")
    rows = page.locator("#ledger tbody tr")
    expect(rows.first).to_contain_text(f"{latest + 2}")
    expect(page.locator("#ledger tr", has_text="contradicted")).to_have_count(2)
    [version] = site.get("/versions")["versions"]
    assert version["asked"] > 1
    expect(page.locator("#version-table")).to_contain_text(
        f"{version['right']} of {version['asked']} right"
    )
    # By keyboard: the row has no button any more, so that of the next row gets the focus.
    page.get_by_role("button", name=f"withdraw observation {latest + 2}").press("Enter")
    expect(rows.first).to_have_class("gone")
    expect(page.get_by_role("button", name=f"withdraw observation {latest + 1}")).to_be_focused()
    expect(page.locator("#ledger tr", has_text="contradicted")).to_have_count(0)


def test_the_focus_stays_when_another_row_is_added(page: Page, site: Server) -> None:
    button = page.get_by_role("button", name="withdraw observation 1", exact=True)
    button.focus()
    site.expect(201, "POST", "/observations", {"lights": [0, 0, 0], "outcome": "stop"})
    expect(page.locator("#ledger tbody tr").first).to_contain_text("0 0 0")
    expect(button).to_be_focused()


def test_an_error_appears_where_it_happened(page: Page, site: Server) -> None:
    problem = {"error": "the ledger is busy: try again"}
    page.route("**/observations/3", lambda route: route.fulfill(status=409, json=problem))
    button = page.get_by_role("button", name="withdraw observation 3")
    button.click()
    error = button.locator("xpath=../*[@role='alert']")
    expect(error).to_have_text(problem["error"])
    # The error stays while others change the ledger.
    site.expect(201, "POST", "/observations", {"lights": [0, 0, 1], "outcome": "stop"})
    expect(page.locator("#ledger tbody tr").first).to_contain_text("0 0 1")
    expect(error).to_have_text(problem["error"])
    page.unroute("**/observations/3")


def test_a_csv_file_is_added(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "what people's feet did.csv"
    file.write_text('"left, low",middle,right,outcome\n1,1,0,stop\n0,0,x,walk\n')
    page.locator("#csv").set_input_files(file)
    expect(said_at_the_file(page)).to_contain_text("line 3: right: expected a finite number")
    expect(said_at_the_file(page)).to_have_role("alert")
    file.write_text('"left, low",middle,right,outcome\n1,1,0,stop\n')
    page.locator("#csv").set_input_files(file)
    expect(said_at_the_file(page)).to_have_text(
        f"{file.name}: recorded 1, of which 0 contradict others."
    )
    expect(page.locator('[data-curl="observe"] code')).to_contain_text(
        "-H 'Content-Type: text/csv' --data-binary '@what people'\\''s feet did.csv'"
    )


def test_an_empty_ledger_says_what_to_do(page: Page) -> None:
    empty = {"total": 0, "observations": [], "next": None}
    page.route("**/observations?*", lambda route: route.fulfill(json=empty))
    page.reload()
    expect(page.locator("#ledger-part")).to_contain_text("No observations yet: set the lights")
    expect(page.locator("#ledger")).to_be_hidden()
    page.unroute("**/observations?*")
