"""Tests of authentication: the API key, and requests from pages of other origins."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client import App, Client
from tests.server import ForkedServer

KEY = "a key, with ünicode"
CHANGES_NOTHING = {
    "/predict",
    "/predict/batch",
    "/explain",
    "/step",
    "/invocations",
    "/v2/models/<model>/infer",
    "/v2/models/<model>/versions/<version>/infer",
    "/v2/repository/index",
    "/versions/<int:number>/verify",
    *(
        f"/v1/models/<model>{part}:{verb}"
        for part in ("", "/versions/<version>", "/labels/<label>")
        for verb in ("classify", "explain", "predict", "regress")
    ),
}


def routes(app: App) -> Iterator[tuple[str, str]]:
    """Yield each route with each of its methods that isn't safe."""
    for rule in app.application.url_map.iter_rules():
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}:
            yield method, rule.rule


@pytest.fixture(scope="module")
def app_with_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with App(tmp_path_factory.mktemp("guarded"), api_key=KEY) as app:
        yield app


def test_routes_that_change_state_require_the_key(app_with_key: App) -> None:
    """A new route requires the key unless it is added to `CHANGES_NOTHING`."""
    seen = set()
    for method, rule in routes(app_with_key):
        response = app_with_key.request(
            method, rule.replace("<int:number>", "9"), {"lights": [1, 0, 1]}
        )
        if rule in CHANGES_NOTHING:
            assert response.status < 500, rule
            assert response.status != 401, rule
            continue
        seen.add(rule)
        assert response.status == 401, rule
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.json()["error"].startswith("this request changes state: expected")
    assert seen == {
        "/jobs/<int:number>",
        "/observations",
        "/observations/<int:number>",
        "/retrain",
        "/rollback",
        "/v2/repository/models/<model>/load",
        "/v2/repository/models/<model>/unload",
        "/versions/<int:number>/promote",
    }


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic YTpi", KEY])
def test_other_authorizations_are_refused(app_with_key: App, header: str) -> None:
    authorization = header.encode().decode("latin-1")

    assert app_with_key.request("POST", "/rollback", Authorization=authorization).status == 401


def check_key(client: Client) -> None:
    assert client.request("POST", "/rollback").status == 401
    authorization = f"Bearer {KEY}".encode().decode("latin-1")

    response = client.post("/versions/1/promote", Authorization=authorization)

    assert response == {"live": 1, "promotion": None}
    assert client.get("/versions")["live"] == 1
    assert client.post("/predict", {"lights": [1, 0, 1]})["decision"] == "walk"


def test_the_key_permits_changes(app_with_key: App) -> None:
    check_key(app_with_key)


@pytest.mark.process
def test_the_key_permits_changes_over_http(tmp_path: Path) -> None:
    with ForkedServer(tmp_path, api_key=KEY) as server:
        check_key(server)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
    ],
)
def test_a_page_of_another_origin_cannot_change_state(
    shared_app: App, headers: dict[str, str]
) -> None:
    message = shared_app.expect(403, "POST", "/versions/1/promote", **headers)["error"]

    assert message.startswith("requests that change state are accepted from pages of the same")
    assert shared_app.post("/predict", {"lights": [1, 0, 1]}, **headers)["version"] == 1


def test_a_page_of_the_same_origin_can_change_state(shared_app: App) -> None:
    for headers in (
        {"Origin": shared_app.url},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://behind.a.proxy"},
        {"Sec-Fetch-Site": "none"},
    ):
        assert shared_app.post("/versions/1/promote", **headers)["live"] == 1
