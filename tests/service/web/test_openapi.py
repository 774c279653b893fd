"""Tests of the OpenAPI document, which must be valid, complete and correct, and of its page."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from openapi_spec_validator import validate

from streetlight.service.server import connection, error_responses
from streetlight.service.web.openapi import responses
from tests.client import App, Client
from tests.server import DEADLINE, ForkedServer, environment
from tests.service.webhook.receiver import SECRET

ROOT = Path(__file__).parents[3]
KEY = "key"
BEARER = {"Authorization": f"Bearer {KEY}"}
# The blueprints of files for browsers, which are not in the document.
FILES = {"docs", "home", "tutorial"}


def add_version(client: Client) -> None:
    """Add a version, and promote the lab's version again."""
    client.train("--dataset", "six", "--iterations", "300")
    client.post("/versions/1/promote", Authorization=f"Bearer {KEY}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An application with a key and two versions; the lab's is live."""
    with App(tmp_path_factory.mktemp("described"), api_key=KEY) as app:
        add_version(app)
        yield app


def operations(client: Client) -> Iterator[tuple[str, str, Any]]:
    for path, methods in client.get("/openapi.json")["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_the_document_is_valid(site: App) -> None:
    document = site.get("/openapi.json")

    validate(document)
    assert document["openapi"].startswith("3.1.")
    assert site.get("/openapi.json") == document


def test_the_document_has_every_route_but_files(site: App) -> None:
    routes = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in site.application.url_map.iter_rules()
        if rule.rule == "/" or rule.endpoint.partition(".")[0] not in FILES
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert {(method, path) for method, path, _ in operations(site)} == routes


def test_every_operation_has_a_summary_and_responses(site: App) -> None:
    names = [operation["operationId"] for *_, operation in operations(site)]
    assert len(names) == len(set(names))
    for _, path, operation in operations(site):
        assert operation["summary"].endswith("."), path
        assert operation["tags"], path
        assert {"400", "408", "414", "417", "431", "500", "503"} <= operation["responses"].keys()
        if "requestBody" in operation:
            assert {"413", "415"} <= operation["responses"].keys(), path
        for status, response in operation["responses"].items():
            if "$ref" in response:
                assert response["$ref"].startswith(f"#/components/responses/Error{status}")
                continue
            assert ("content" in response) == (status != "304"), path
            for media in response.get("content", {}).values():
                assert media["schema"], path
            for link in response.get("links", {}).values():
                assert link["operationId"] in names, path


def test_bounds_are_in_the_schemas(site: App) -> None:
    schemas = site.get("/openapi.json")["components"]["schemas"]
    recipe = schemas["RetrainBody"]["properties"]

    assert (recipe["iterations"]["minimum"], recipe["iterations"]["maximum"]) == (1, 1_000_000)
    assert recipe["hidden_sizes"]["items"]["maximum"] == 1024
    assert schemas["PredictBody"]["required"] == ["lights"]


@pytest.mark.parametrize("guard", ["changes", "all"])
def test_operations_with_security_require_the_key(tmp_path: Path, guard: str) -> None:
    with App(tmp_path, api_key=KEY, guard=guard) as app:
        for method, path, operation in operations(app):
            # No object has the number 999, so that nothing changes where the key isn't required.
            refused = app.request(method, re.sub("{.*?}", "999", path), {}).status == 401
            assert refused == ("security" not in operation) == ("401" in operation["responses"])
            assert refused == ("If the server has API keys" in operation.get("description", ""))


ROWS = [{"lights": [1, 0, 1], "outcome": "walk"}, {"lights": [0, 0, 1], "outcome": "stop"}]
LARGE = {"rows": ROWS, "recipe": {"hidden_sizes": [1000], "iterations": 10**6}}
TENSOR = {"name": "lights", "shape": [1, 3], "datatype": "FP64"}
SHARED_MEMORY = {"inputs": [TENSOR | {"parameters": {"shared_memory_region": "r"}}]}
MODEL = "/v2/models/streetlight"
# The error, of those with an example in the document, that each request gets.
FAILING: list[tuple[str, str, str, Any, dict[str, str]]] = [
    ("JobNotFoundError", "GET", "/jobs/99", None, {}),
    ("JobFinishedError", "DELETE", "/jobs/1", None, {}),
    ("KeyReusedError", "POST", "/retrain", {"alpha": 0.1}, {"Idempotency-Key": "k"}),
    ("ObservationNotFoundError", "DELETE", "/observations/99", None, {}),
    ("PredictionLogOffError", "GET", "/predictions", None, {}),
    ("VersionNotFoundError", "GET", "/versions/99", None, {}),
    ("WebhookOffError", "POST", "/webhook/test", None, {}),
    ("DeliveryNotFoundError", "POST", "/webhook/deliveries/99/retry", None, {}),
    ("IncomparableError", "GET", "/versions/1/diff/2", None, {}),
    ("TooExpensiveError", "POST", "/fit", LARGE, {}),
    ("RequestedRangeNotSatisfiable", "GET", "/versions/1/weights", None, {"Range": "bytes=99999-"}),
    ("ModelNotFoundError", "GET", "/v2/models/other", None, {}),
    ("NotSupportedError", "POST", f"{MODEL}/infer", SHARED_MEMORY, {}),
    ("UnsupportedMediaTypeError", "POST", "/invocations", "<a/>", {"Content-Type": "text/xml"}),
    ("NothingToRollBackToError", "POST", "/rollback", None, {}),
    ("NoLiveVersionError", "GET", "/predict?lights=1,0,1", None, {}),
]
# These need a damaged file, another database, a busy server or a receiver.
NOT_TRIED = {
    "DeliveredError",
    "OverloadedError",
    "SchemaError",
    "VerificationBusyError",
    "VersionDamagedError",
}


def test_the_examples_of_errors_are_responses_of_the_service(tmp_path: Path) -> None:
    examples = {kind.__name__: kind for kind in responses.MESSAGES}
    assert {name for name, *_ in FAILING} == examples.keys() - NOT_TRIED
    with App(tmp_path) as app:
        (tmp_path / "two.csv").write_text("a,b,outcome\n1,0,walk\n0,1,stop\n")
        app.train("--dataset", str(tmp_path / "two.csv"), "--no-promote")
        app.expect(202, "POST", "/retrain", {}, **{"Idempotency-Key": "k"})
        app.expect(200, "DELETE", "/jobs/1")
        for name, method, path, body, headers in FAILING:
            if name == "NoLiveVersionError":
                app.post("/v2/repository/models/streetlight/unload")
            status = responses.status_of(examples[name])
            error = app.expect(status, method, path, body, **headers)
            assert error == {"error": responses.MESSAGES[examples[name]]}


def test_the_examples_of_invalid_requests_are_responses_of_the_service(site: App) -> None:
    for method, path, operation in operations(site):
        content = operation["responses"]["400"].get("content", {}).get("application/json", {})
        if example := content.get("example"):
            fields = {} if "required" in example["error"] else {"colour": "red"}
            body, url = fields, re.sub("{.*?}", "1", path)
            if "requestBody" not in operation:
                body, url = {}, f"{url}?{urlencode(fields)}"
            assert site.expect(400, method, url, body, **BEARER) == example, path


def test_the_examples_of_common_errors_are_responses_of_the_service(site: App) -> None:
    path = "/versions/1/promote"
    body = b" " * (site.services.settings.max_body_bytes + 1)
    for status, headers in (
        (413, BEARER),
        (415, BEARER | {"Content-Encoding": "br"}),
        (401, {}),
        (403, {"Origin": "http://other.example"}),
    ):
        error = site.expect(status, "POST", path, body if status == 413 else "{}", **headers)
        assert error == {"error": responses.COMMON[status].message}


@pytest.mark.process
def test_the_examples_of_the_servers_errors_are_its_responses(tmp_path: Path) -> None:
    with ForkedServer(tmp_path) as server:
        for status, path, headers in (
            (414, "/" + "x" * 5000, {}),
            (417, "/livez", {"Expect": "later"}),
            (431, "/livez", {"X": "x" * 9000}),
        ):
            error = server.expect(status, "GET", path, **headers)
            assert error == {"error": responses.COMMON[status].message}
    assert responses.COMMON[408].message == connection.TOO_SLOW
    assert responses.COMMON[500].message == error_responses.INTERNAL_ERROR
    assert responses.COMMON[503].message == connection.ALL_BUSY


def test_a_file_is_sent_as_its_responses_are_described(site: App) -> None:
    path = "/versions/1/weights"
    described = site.get("/openapi.json")["paths"]["/versions/{number}/weights"]["get"]["responses"]
    tag = site.request("GET", path).headers["ETag"]
    for status, headers in (
        (200, {}),
        (206, {"Range": "bytes=0-99"}),
        (304, {"If-None-Match": tag}),
    ):
        response = site.request("GET", path, **headers)
        assert response.status == status
        [*media_types] = described[str(status)].get("content", {})
        assert [response.headers[n] for n in response.headers if n == "Content-Type"] == media_types
        assert described[str(status)]["headers"].keys() <= set(response.headers), status


def test_responses_that_can_be_cached_are_described(site: App) -> None:
    for method, path, operation in operations(site):
        if method == "GET" and "{model}" not in path and "/events" not in path:
            headers = site.request(method, re.sub("{.*?}", "1", path), **BEARER).headers
            assert ("ETag" in headers) == ("304" in operation["responses"]), path
            assert ("Accept-Ranges" in headers) == ("206" in operation["responses"]), path


@pytest.mark.process
def test_every_curl_example_returns_its_documented_response(tmp_path: Path) -> None:
    """The examples run in order, since later ones use the objects that earlier ones create."""
    webhook = {"webhook_url": "http://127.0.0.1:9/", "webhook_secret": SECRET}  # it refuses this
    with ForkedServer(tmp_path / "data", api_key=KEY, prediction_log=True, **webhook) as server:
        add_version(server)
        for _, path, operation in operations(server):
            line = operation["x-codeSamples"][0]["source"]
            assert line.startswith("curl "), path
            line = "curl -s -w '%{stderr}%{http_code}'" + line.removeprefix("curl")
            if path == "/events":  # the stream doesn't end
                line += " --max-time 1 || true"
            run = subprocess.run(
                ["bash", "-c", line],
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


def test_the_reference_shows_the_options_with_which_clients_are_tested() -> None:
    script = (ROOT / ".ci" / "openapi").read_text()
    page = (ROOT / "docs" / "reference.md").read_text()
    block = page.partition("\nopenapi-python-client")[2].partition("```")[0]
    options = re.findall(r"(--[a-z-]+) ([\w=]+)", block)
    assert len(options) > 5
    for name, value in options:
        assert name in script
        assert value in script or "openapi" in value or value == "schema", name


def test_the_page_loads_no_other_host(shared_app: App) -> None:
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
        # The URLs are relative, so that they work behind a path prefix.
        assert not re.match("/|[a-z]+:", name)
        assert shared_app.request("GET", f"/{name}").status == 200, name
    start = shared_app.request("GET", "/docs/start.js")
    assert start.headers["Content-Type"].startswith("text/javascript")
    assert re.findall(r'"(\S*\.json|https?:.*)"', start.data.decode()) == ["openapi.json"]


@pytest.mark.parametrize("name", ["oauth2-redirect.html", "docs.html", "%2e%2e%2fdocs.py", "x"])
def test_other_files_of_the_page_are_a_404(shared_app: App, name: str) -> None:
    assert shared_app.expect(404, "GET", f"/docs/{name}")["error"].startswith("there is no ")


def test_large_numbers_in_paths_are_a_404(site: App) -> None:
    bearer = {"Authorization": f"Bearer {KEY}"}
    for digits in ("9" * 18, "9" * 19, "9" * 2000, "%D9%A1"):
        for method, path, _ in operations(site):
            if "{" in path:
                url = re.sub("{.*?}", digits, path)
                assert site.request(method, url, {}, **bearer).status == 404, (method, url)
    job = site.expect(202, "POST", "/retrain", {"iterations": 2.0}, **bearer)["id"]
    site.expect(200, "DELETE", f"/jobs/{job}", **bearer)
    events = site.request("GET", f"/jobs/{job}/events", **{"Last-Event-ID": "9" * 5000})
    assert events.headers["Content-Type"].startswith("text/event-stream")
    row = {"lights": [0, 1, 0], "outcome": "stop", "id": "\0"}
    response = site.expect(400, "POST", "/observations", row, **bearer)
    assert response["error"] == 'id: expected text without NUL characters, got "\\u0000"'
