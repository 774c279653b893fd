"""Tests of the corner and the table of all patterns, by mouse and keyboard."""

import re
import time

from playwright.sync_api import Locator, Page, Request, expect

from tests.page.browser import load, needs_browser
from tests.server import Server

pytestmark = needs_browser


def light_button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=f"{name} light", exact=True)


def slider(page: Page, name: str) -> Locator:
    return page.get_by_label(f"brightness of the {name} light")


def test_switching_a_light_updates_the_decision(page: Page, site: Server) -> None:
    expect(page.locator("#decision")).to_have_text("Walk")
    light_button(page, "left").click()
    expect(page.locator("#decision")).to_have_text("Stop")
    expect(page.locator("#score")).to_contain_text("version 1")
    expect(page.locator("#figure")).to_have_class("stop")
    expect(page).to_have_url(re.compile("[#&]lights=0,0,1"))
    expect(page.locator('[data-curl="predict"] code')).to_have_text(
        f"curl {site.url}/predict -d '{{\"lights\":[0,0,1]}}'"
    )
    # The space key toggles the light, and the button keeps the focus.
    light_button(page, "left").focus()
    page.keyboard.press("Space")
    expect(page.locator("#decision")).to_have_text("Walk")
    expect(light_button(page, "left")).to_be_focused()
    # An arrow key dims the light by a twentieth.
    slider(page, "right").focus()
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile("[#&]lights=1,0,0.95"))
    expect(slider(page, "right")).to_be_focused()


def test_the_decision_follows_a_light_while_it_is_dragged(page: Page) -> None:
    requests: list[Request] = []
    open_requests = 0
    most = 0

    def count(request: Request, change: int) -> None:
        nonlocal open_requests, most
        if request.url.endswith("/explain"):
            open_requests += change
            most = max(most, open_requests)
            if change > 0:
                requests.append(request)

    page.on("request", lambda request: count(request, 1))
    page.on("requestfinished", lambda request: count(request, -1))
    page.evaluate("""() => {
      const replace = history.replaceState.bind(history);
      window.changes = 0;
      history.replaceState = (...state) => { window.changes += 1; replace(...state); };
    }""")
    slider(page, "left").scroll_into_view_if_needed()
    box = slider(page, "left").bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 8, middle)
    start = time.monotonic()
    page.mouse.down()
    page.mouse.move(box["x"] + 4, middle, steps=40)
    # The mouse is still down.
    expect(page.locator("#decision")).to_have_text("Stop")
    expect(light_button(page, "left")).to_have_text(re.compile(r"^0(\.\d+)?$"))
    page.mouse.up()
    assert 1 <= len(requests) < 40
    assert most == 1
    # A browser limits how often a page may change its URL.
    assert page.evaluate("window.changes") <= 2 + 5 * (time.monotonic() - start)


def test_a_lamp_glows_by_its_value(page: Page, site: Server) -> None:
    load(page, f"{site.url}/#lights=0,0.5,1")
    levels = [
        light_button(page, name).evaluate("it => it.style.getPropertyValue('--level')")
        for name in ("left", "middle", "right")
    ]
    assert levels == ["0", "0.5", "1"]
    colours = {
        light_button(page, name).evaluate("it => getComputedStyle(it).backgroundColor")
        for name in ("left", "middle", "right")
    }
    assert len(colours) == 3


def test_the_decision_is_explained(page: Page, site: Server) -> None:
    explanation = site.post("/explain", {"lights": [1, 0, 1]})
    parts = page.locator("#contributions li")
    expect(parts).to_have_count(3)
    expect(parts.first).to_contain_text(f"left{explanation['contributions'][0]:.4g}")
    flip = explanation["flip"]
    name = ("left", "middle", "right")[flip["light"]]
    expect(page.locator("#flip")).to_contain_text(
        f"It would be {flip['decision']} with the {name} light at {flip['now']:g} instead of"
    )
    page.get_by_role("button", name="Try it").click()
    expect(page.locator("#decision")).to_have_text(flip["decision"].capitalize())


def test_a_link_restores_the_lights(page: Page, site: Server) -> None:
    load(page, f"{site.url}/#lights=0,1,1")
    expect(light_button(page, "middle")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#pattern-table tr.now")).to_contain_text("0 1 1")
    page.get_by_role("button", name="0 0 1", exact=True).click()
    expect(page.locator("#decision")).to_have_text("Stop")
    expect(page.locator("#pattern-table tr.now")).to_contain_text("0 0 1")
    page.evaluate("location.hash = 'lights=1,0,1'")
    expect(page.locator("#decision")).to_have_text("Walk")


def test_a_command_is_copied_also_without_the_clipboard_api(page: Page) -> None:
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.evaluate("addEventListener('copy', () => { window.copied = String(getSelection()); })")
    curl = page.locator('[data-curl="predict"]')
    copy = curl.get_by_role("button", name="copy the command")
    copy.click()
    expect(copy).to_have_text("copied")
    assert page.evaluate("copied") == curl.locator("code").inner_text()
    # The button keeps the focus while the command changes.
    page.evaluate("location.hash = 'lights=0,0,1'")
    expect(curl.locator("code")).to_contain_text("[0,0,1]")
    expect(copy).to_have_text("copy")
    expect(copy).to_be_focused()


def test_a_response_of_a_proxy_is_an_error(page: Page) -> None:
    page.route("**/observations", lambda route: route.fulfill(status=413, body="<html>"))
    page.locator("#walked").click()
    expect(page.locator("#corner .said")).to_have_text(
        "The server's response can't be read; its status is 413. Try again."
    )
    page.unroute_all()
