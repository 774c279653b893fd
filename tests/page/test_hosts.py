"""Tests of the hosts on the page: their table, and what a promotion says of those that lag."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from streetlight.service.registry.hosts import leave, report
from streetlight.service.store.engine import open_engine
from tests import databases
from tests.page.browser import needs_browser, opened
from tests.server import ForkedServer

pytestmark = [
    *needs_browser,
    pytest.mark.skipif(not databases.POSTGRESQL, reason="needs PostgreSQL"),
]


def test_a_second_host_is_shown_and_named(browser: Browser, tmp_path: Path) -> None:
    with databases.fresh("postgresql") as url, ForkedServer(tmp_path, database_url=url) as server:
        engine = open_engine(str(url))
        with opened(browser, server.url) as page:
            expect(page.locator("#live")).to_contain_text("live: version 1")
            expect(page.locator("#hosts")).to_be_hidden()
            report(engine, "b", None)
            row = page.locator('#host-table tr[data-key="b"]')
            stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
            expect(row).to_have_text(re.compile(f"^bnone{stamp}not heard since {stamp}$"))
            server.post("/v2/repository/models/streetlight/unload")
            expect(page.locator("#live")).to_contain_text("no live version")
            page.locator("#promote").click()
            expect(page.locator("#version-details .said")).to_have_text(
                "Version 1 is live. Not yet on b."
            )
            leave(engine, "b")
            expect(page.locator("#hosts")).to_be_hidden()
        engine.dispose()
