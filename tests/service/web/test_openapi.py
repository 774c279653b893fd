"""The description of the API: it is valid, whole and true, and there is a page that shows it."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from tests.client import App, Client
from tests.server import DEADLINE, ForkedServer, environment

KEY = "key"
# The blueprints whose routes are described elsewhere, or nowhere.
LEFT_OUT = {"docs", "home", "invocations", "metrics", "openapi", "v1", "v2", "v2_repository"}


def with_two_versions(client: Client) -> None:
    """Add a version, and let the lab's be live again."""
    client.train("--dataset", "lab-direct", "--iterations", "300")
    client.post("/versions/1/promote", Authorization=f"Bearer {KEY}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An application with a key and two versions, of which the lab's is live."""
    with App(tmp_path_factory.mktemp("described"), api_key=KEY) as app:
        with_two_versions(app)
        yield app


def described(client: Client) -> Iterator[tuple[str, str, Any]]:
    for path, methods in client.get("/openapi.json")["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_it_is_valid(site: App) -> None:
    document = site.get("/openapi.json")

    validate(document)
    assert document["openapi"].startswith("3.1.")
    assert site.get("/openapi.json") == document


def test_every_native_route_is_in_it_and_nothing_else(site: App) -> None:
    native = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in site.application.url_map.iter_rules()
        if rule.endpoint.partition(".")[0] not in LEFT_OUT
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert {(method, path) for method, path, _ in described(site)} == native


def test_every_operation_says_what_it_does_and_what_it_answers(site: App) -> None:
    names = [operation["operationId"] for *_, operation in described(site)]
    assert len(names) == len(set(names))
    for _, path, operation in described(site):
        assert operation["summary"].endswith("."), path
        assert operation["tags"], path
        if "requestBody" in operation:
            assert {"400", "413"} <= operation["responses"].keys(), path
        for status, response in operation["responses"].items():
            assert response["content"], path
            assert "schema" in response["content"].get("application/json", {"schema"}), path
            assert ("WWW-Authenticate" in response["headers"]) == (status == "401"), path
            for link in response.get("links", {}).values():
                assert link["operationId"] in names, path


def test_bounds_come_from_where_they_are_checked(site: App) -> None:
    schemas = site.get("/openapi.json")["components"]["schemas"]
    recipe = schemas["RetrainBody"]["properties"]

    assert (recipe["iterations"]["minimum"], recipe["iterations"]["maximum"]) == (1, 1_000_000)
    assert recipe["hidden_sizes"]["items"]["maximum"] == 1024
    assert schemas["PredictBody"]["required"] == ["lights"]


def test_the_key_is_asked_for_where_it_is_said_to_be(site: App) -> None:
    for method, path, operation in described(site):
        if method == "GET":
            assert "security" not in operation, path
            continue
        # 999 is nothing's number: nothing is changed where the key isn't asked for.
        refused = site.request(method, re.sub("{.*?}", "999", path), {}).status == 401
        assert refused == ("security" in operation) == ("401" in operation["responses"]), path


def test_every_curl_line_answers_as_is_said(tmp_path: Path) -> None:
    """In their order: what is made by one is looked at and cancelled by those after it."""
    with ForkedServer(tmp_path / "data", api_key=KEY) as server:
        with_two_versions(server)
        for _, path, operation in described(server):
            line = operation["x-codeSamples"][0]["source"]
            assert line.startswith("curl "), path
            run = subprocess.run(
                ["bash", "-c", "curl -sS -w '%{stderr}%{http_code}'" + line.removeprefix("curl")],
                cwd=tmp_path,
                env=environment(api_key=KEY),
                capture_output=True,
                timeout=DEADLINE,
                check=True,
            )
            status = run.stderr.decode()
            assert status in operation["responses"], (line, run.stdout[:500])
            assert status.startswith("2"), (line, run.stdout[:500])
            content = operation["responses"][status]["content"]
            if example := content.get("application/json", {}).get("example"):
                assert json.loads(run.stdout) == example, line
    assert (tmp_path / "streetlight-1.npz").stat().st_size > 1000


def test_the_page_needs_no_other_host(shared_app: App) -> None:
    page = shared_app.request("GET", "/docs")
    assert page.status == 200
    assert page.headers["Content-Type"].startswith("text/html")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "//" not in policy
    html = page.data.decode()
    assert "<script>" not in html
    files = re.findall(r'(?:src|href)="(.*?)"', html)
    assert len(files) == 5
    for name in files:
        # Relative, so that they are found behind a path prefix too.
        assert not re.match("/|[a-z]+:", name)
        assert shared_app.request("GET", f"/{name}").status == 200, name
    start = shared_app.request("GET", "/docs/start.js")
    assert start.headers["Content-Type"].startswith("text/javascript")
    assert re.findall(r'"(\S*\.json|https?:.*)"', start.data.decode()) == ["openapi.json"]


@pytest.mark.parametrize("name", ["oauth2-redirect.html", "docs.html", "%2e%2e%2fdocs.py", "x"])
def test_the_page_has_no_other_files(shared_app: App, name: str) -> None:
    assert shared_app.expect(404, "GET", f"/docs/{name}")["error"].startswith("there is no ")


def test_no_number_is_too_large_to_be_answered(site: App) -> None:
    bearer = {"Authorization": f"Bearer {KEY}"}
    for digits in ("9" * 18, "9" * 19, "9" * 2000, "%D9%A1"):
        for method, path, _ in described(site):
            if "{" in path:
                url = re.sub("{.*?}", digits, path)
                assert site.request(method, url, {}, **bearer).status == 404, (method, url)
    job = site.expect(202, "POST", "/retrain", {"iterations": 2.0}, **bearer)["id"]
    site.expect(200, "DELETE", f"/jobs/{job}", **bearer)
    events = site.request("GET", f"/jobs/{job}/events", **{"Last-Event-ID": "9" * 5000})
    assert events.data.endswith(b"event: end\ndata: {}\n\n")
    row = {"lights": [0, 1, 0], "outcome": "stop", "id": "\0"}
    told = site.expect(400, "POST", "/observations", row, **bearer)
    assert told["error"] == 'id: expected text without NUL characters, got "\\u0000"'
