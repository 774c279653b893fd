"""Tests of lists: all have the same parameters, and their pages make the list."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client import App
from tests.service.prediction_log.test_predictions import REQUESTS, record

LISTS = {
    "/hosts": "hosts",
    "/jobs": "jobs",
    "/observations": "observations",
    "/predictions": "predictions",
    "/versions": "versions",
    "/versions/1/accuracy": "windows",
    "/versions/1/pressure": "rows",
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """Lists with three entries at least, except that of the hosts."""
    with App(tmp_path_factory.mktemp("lists"), prediction_log=True) as app:
        for n in range(3):
            app.expect(202, "POST", "/retrain", {"iterations": 1, "restarts": 0})
            row = {"lights": [n, 1, 1], "outcome": "walk"}
            app.expect(201, "POST", "/observations", row)
        app.work()
        record(app.services.require_prediction_log(), *REQUESTS)
        yield app


def pages(app: App, path: str, limit: int) -> Iterator[Any]:
    after = ""
    while True:
        page = app.get(f"{path}{'&' if '?' in path else '?'}limit={limit}{after}")
        yield page
        if page["next"] is None:
            return
        after = f"&after={page['next']}"


@pytest.mark.parametrize(("path", "field"), LISTS.items())
def test_the_pages_of_a_list_make_the_list(filled: App, path: str, field: str) -> None:
    query = "?window=1" if field == "windows" else ""
    whole = filled.get(path + query)
    count = len(whole[field])
    assert count > 2 or path == "/hosts"
    assert whole["next"] is None
    for limit in (1, 2, count, count + 1):
        listed = list(pages(filled, path + query, limit))
        assert all(len(page[field]) <= limit for page in listed)
        # Whether more of these match isn't known before they are read.
        assert listed[-1][field] or field in ("predictions", "windows")
        entries = [entry for page in listed for entry in page[field]]
        assert entries == whole[field] or path == "/hosts"  # a host is seen at another time


def test_the_pages_of_a_scratch_pressure_make_the_table(filled: App) -> None:
    body = {"dataset": "six", "limit": 4}
    first = filled.post("/pressure", body)
    rest = filled.post("/pressure", body | {"after": first["next"]})
    assert first["rows"] + rest["rows"] == filled.post("/pressure", {"dataset": "six"})["rows"]
    assert (first["next"], rest["next"]) == (4, None)


def test_every_list_has_the_same_parameters(filled: App) -> None:
    """A new response with `next` is a list, and so is one of a GET with an unbounded array."""
    document = filled.get("/openapi.json")
    listed = set()
    for path, methods in document["paths"].items():
        if "get" not in methods:
            continue
        content = methods["get"]["responses"]["200"]["content"].get("application/json", {})
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if "next" not in document["components"]["schemas"].get(name, {}).get("properties", {}):
            continue
        listed.add(path.replace("{number}", "1"))
        parameters = {
            it["name"]: it["schema"] for it in methods["get"]["parameters"] if "name" in it
        }
        limit = parameters["limit"]
        assert (limit["default"], limit["maximum"]) == (100, 1000), path
        assert "after" in parameters, path
    assert listed == {*LISTS, "/webhook/deliveries"}


def test_a_list_has_the_newest_hundred_versions_at_first(tmp_path: Path) -> None:
    with App(tmp_path) as app:
        for number in range(2, 251):
            (tmp_path / "models" / f"{number}.npz").touch()
        numbers = [
            [it["version"] for it in page["versions"]] for page in pages(app, "/versions", 100)
        ]
        assert numbers == [[*range(250, 150, -1)], [*range(150, 50, -1)], [*range(50, 0, -1)]]
        assert app.get("/versions")["live"] == 1
        assert app.get("/versions?after=2&limit=1")["versions"][0]["version"] == 1


def test_a_version_lists_its_last_hundred_promotions(tmp_path: Path) -> None:
    with App(tmp_path) as app:
        log = tmp_path / "models" / "promotions.jsonl"
        line = json.loads(log.read_text(encoding="utf-8"))
        lines = [json.dumps(line | {"reason": f"reason {n}"}) for n in range(102)]
        log.write_text("\n".join([*lines, ""]), encoding="utf-8")
        reasons = [it["reason"] for it in app.get("/versions/1")["promotions"]]
        assert reasons == [f"reason {n}" for n in range(2, 102)]
