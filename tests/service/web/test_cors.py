"""Tests of the headers for pages of other origins; page/test_cross_origin.py uses a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import App, invoke
from tests.server import ForkedServer

ORIGIN, OTHER = "https://app.example.org", "https://app.example.org.evil.example"
PREFLIGHT = {"Access-Control-Request-Method": "DELETE", "Sec-Fetch-Site": "cross-site"}
KEY = {"Authorization": "Bearer secret"}


@pytest.fixture(scope="module")
def open_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An application that lists an origin, and has a key."""
    folder = tmp_path_factory.mktemp("cors")
    with App(folder, cors_origins="http://[::1]:5173, " + ORIGIN, api_key="secret") as app:
        yield app


@pytest.mark.parametrize("path", ["/", "/predict", "/jobs/1", "/versions/1/promote/", "/nope"])
def test_a_preflight_request_needs_no_key(open_app: App, path: str) -> None:
    response = open_app.request("OPTIONS", path, Origin=ORIGIN, **PREFLIGHT)

    assert response.status == 204
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert response.headers["Access-Control-Allow-Methods"] == "*"
    assert response.headers["Access-Control-Allow-Headers"] == "*, Authorization"
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/versions/1", 200),
        ("GET", "/versions/1/weights", 200),
        ("GET", "/page/main.js", 200),
        ("GET", "/versions/1/", 308),
        ("GET", "/nope", 404),
        ("POST", "/predict", 400),
        ("PUT", "/predict", 405),
        ("POST", "/rollback", 401),
    ],
)
def test_every_response_names_the_origin(
    open_app: App, method: str, path: str, status: int
) -> None:
    for origin, allowed in ((ORIGIN, ORIGIN), (OTHER, None), ("null", None), (None, None)):
        response = open_app.request(method, path, **({"Origin": origin} if origin else {}))
        assert response.headers.get("Access-Control-Allow-Origin") == allowed
        # A cache may give the response to a page of another origin, or to none.
        assert "Origin" in response.headers["Vary"].replace(" ", "").split(",")
        if origin == ORIGIN:
            assert response.status == status
            assert response.headers["Access-Control-Expose-Headers"] == "*"


def test_only_a_listed_page_with_the_key_changes_state(open_app: App) -> None:
    page = {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"}
    assert open_app.request("POST", "/rollback", **page).status == 401
    assert open_app.request("POST", "/versions/1/promote", **page, **KEY).status == 200
    page["Origin"] = OTHER
    assert open_app.request("POST", "/versions/1/promote", **page, **KEY).status == 403


def test_without_a_key_no_page_of_another_origin_changes_state(tmp_path: Path) -> None:
    with App(tmp_path, cors_origins="*") as app:
        page = {"Origin": "null", "Sec-Fetch-Site": "cross-site"}
        assert app.request("GET", "/livez", **page).headers["Access-Control-Allow-Origin"] == "null"
        error = app.expect(403, "POST", "/versions/1/promote", **page)["error"]
        assert "with an API key from those of STREETLIGHT_CORS_ORIGINS" in error
        assert app.request("POST", "/versions/1/promote", Origin=app.url).status == 200


def test_by_default_no_response_has_the_headers(shared_app: App) -> None:
    for method in ("GET", "OPTIONS"):
        headers = shared_app.request(method, "/livez", Origin=ORIGIN, **PREFLIGHT).headers
        assert not [name for name in headers if name.startswith("Access-Control")]
        assert "Vary" not in headers


@pytest.mark.process
def test_predictions_and_rejections_of_the_server_name_the_origin(tmp_path: Path) -> None:
    with ForkedServer(tmp_path, cors_origins=ORIGIN, max_body_bytes=2000) as server:
        for path, body, status in (
            ("/predict", {"lights": [1, 0, 1]}, 200),
            ("/predict", b" " * 3000, 413),
            ("/" + "x" * 5000, None, 414),
        ):
            response = server.request("POST", path, body, Origin=ORIGIN)
            assert response.status == status
            # The request line comes before the origin.
            allowed = ORIGIN if status != 414 else None
            assert response.headers.get("Access-Control-Allow-Origin") == allowed
            response = server.request("POST", path, body, Origin=OTHER)
            assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    "origin",
    [
        "app.example.org", f"{ORIGIN}/", "https://", "null", "x y", f"{ORIGIN}:443",
        "http://[::1]:80", "https://*.example.org",
    ],
)  # fmt: skip
def test_what_is_no_origin_is_refused(origin: str) -> None:
    result = invoke("serve", cors_origins=origin)

    assert result.returncode == 2
    assert "STREETLIGHT_CORS_ORIGINS[0]: expected * or an origin such as " in result.stderr, (
        result.stderr
    )
