"""Tests of authentication: the API key, and requests from pages of other origins."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from streetlight.service.web.middleware.auth import required_right
from tests.client import App, Client
from tests.server import DEADLINE, ForkedServer

KEY = "a key, with ünicode"
# The right that each route requires, with each of its methods.
RIGHTS: dict[str | None, set[str]] = {
    None: {
        "GET /",
        "GET /docs",
        "GET /docs/<name>",
        "GET /health",
        "GET /livez",
        "GET /openapi.json",
        "GET /page/<path:name>",
        "GET /ping",
        "GET /readyz",
        "GET /tutorial",
        "GET /tutorial/<name>",
        "GET /v2/health/live",
        "GET /v2/health/ready",
        "GET /version",
    },
    "read": {
        "GET /events",
        "GET /hosts",
        "GET /jobs",
        "GET /jobs/<int:number>",
        "GET /jobs/<int:number>/events",
        "GET /metrics",
        "GET /observations",
        "GET /observations/<int:number>",
        "GET /predictions",
        *(
            f"GET /v1/models{model}{metadata}"
            for model in (
                "/<model>",
                "/<model>/labels/<label>",
                "/<model>/versions/<version>",
            )
            for metadata in ("", "/metadata")
        ),
        "GET /v1/models",
        "GET /v2",
        "GET /v2/models",
        "GET /v2/models/stats",
        *(
            f"GET /v2/models/<model>{version}{part}"
            for version in ("", "/versions/<version>")
            for part in ("", "/config", "/ready", "/stats")
        ),
        "GET /versions",
        "GET /versions/<version:a>/diff/<version:b>",
        "GET /versions/<version:number>",
        "GET /versions/<version:number>/accuracy",
        "GET /versions/<version:number>/pressure",
        "GET /versions/<version:number>/weights",
        "GET /webhook/deliveries",
        "POST /v2/repository/index",
    },
    "predict": {
        "GET /predict",
        "POST /explain",
        "POST /fit",
        "POST /endpoints/<model>/invocations",
        "POST /invocations",
        "POST /predict",
        "POST /predict/batch",
        "POST /pressure",
        "POST /step",
        "POST /v2/models/<model>/infer",
        "POST /v2/models/<model>/versions/<version>/infer",
        *(
            f"POST /v1/models/<model>{part}:{verb}"
            for part in ("", "/versions/<version>", "/labels/<label>")
            for verb in ("classify", "explain", "predict", "regress")
        ),
    },
    "observe": {"POST /observations"},
    "train": {
        "DELETE /jobs/<int:number>",
        "POST /retrain",
        "POST /versions/<version:number>/shadow",
        "POST /versions/<version:number>/verify",
    },
    "admin": {
        "DELETE /observations/<int:number>",
        "POST /rollback",
        "POST /v2/repository/models/<model>/load",
        "POST /v2/repository/models/<model>/unload",
        "POST /versions/<version:number>/promote",
        "POST /webhook/deliveries/<int:number>/retry",
        "POST /webhook/test",
    },
}
CHANGES_STATE = RIGHTS["observe"] | RIGHTS["train"] | RIGHTS["admin"]
PRIVATE = {"GET /predictions", "GET /webhook/deliveries"}


def routes(app: App) -> Iterator[tuple[str, str, str]]:
    """Yield each route as in `RIGHTS`, its method, and a path of it."""
    for rule in app.application.url_map.iter_rules():
        path = (
            rule.rule.replace("<model>", "streetlight")
            .replace("<int:number>", "9")
            .replace("<version:number>", "9")
        )
        path = re.sub("<version:.>|<version>", "1", path)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            yield f"{method} {rule.rule}", method, path


@pytest.fixture(scope="module")
def app_with_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with App(tmp_path_factory.mktemp("guarded"), api_key=KEY) as app:
        yield app


@pytest.fixture(scope="module")
def app_with_hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    hosts = {"host": "own.example", "allowed_hosts": "server, Streetlight.example"}
    with App(tmp_path_factory.mktemp("hosts"), **hosts) as app:
        yield app


def test_each_route_requires_its_right(app_with_key: App) -> None:
    """A new route has to be added to `RIGHTS`."""
    found: dict[str | None, set[str]] = {right: set() for right in RIGHTS}
    views = app_with_key.application.view_functions
    for rule in app_with_key.application.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            found[required_right(method, views[rule.endpoint])].add(f"{method} {rule.rule}")
            assert required_right("OPTIONS", views[rule.endpoint]) is None
    assert found == RIGHTS


def test_routes_that_change_state_require_the_key(app_with_key: App) -> None:
    for route, method, path in routes(app_with_key):
        response = app_with_key.request(method, path, {"lights": [1, 0, 1]})
        assert (response.status == 401) == (route in CHANGES_STATE | PRIVATE), route
        if route in CHANGES_STATE:
            assert response.headers["WWW-Authenticate"] == 'Bearer realm="Streetlight"'


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
        {"Sec-Fetch-Site": "none", "Origin": "http://elsewhere.example"},
        {"Origin": "http://elsewhere.example", "X-Forwarded-Host": "elsewhere.example"},
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


def test_a_page_under_a_name_of_another_site_cannot_change_state(shared_app: App) -> None:
    """DNS rebinding: the site lets its own name resolve to this server."""
    page = {"Host": "evil.example:8000", "Origin": "http://evil.example:8000"}
    for route, method, path in routes(shared_app):
        response = shared_app.request(method, path, b"", **page)
        if route in CHANGES_STATE:
            assert response.status == 403, route
            assert response.json()["error"] == (
                "without an API key, a page can change state under an IP address, localhost or a "
                'host of STREETLIGHT_ALLOWED_HOSTS, got "evil.example:8000"; if this name belongs '
                "to the server, add it to STREETLIGHT_ALLOWED_HOSTS, or set STREETLIGHT_API_KEY"
            )
        else:
            assert response.status != 403, route


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("LocalHost.:8000", True),
        ("lights.localhost", True),
        ("127.0.0.1:8000", True),
        ("192.168.1.7", True),
        ("[::1]:8000", True),
        ("[FE80::7]", True),
        ("streetlight.example", True),
        ("Streetlight.Example.:8000", True),
        ("own.example", True),
        ("", False),
        ("0x7f.1", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("evillocalhost", False),
        ("evil.streetlight.example", False),
        ("evil.example:localhost", False),
        ("localhost@evil.example", False),
        ("localhost, evil.example", False),
    ],
)
def test_a_page_can_change_state_under_an_address_or_an_allowed_host(
    app_with_hosts: App, host: str, allowed: bool
) -> None:
    for origin in ({"Origin": f"http://{host}"}, {"Sec-Fetch-Site": "same-origin"}):
        response = app_with_hosts.request("POST", "/versions/1/promote", Host=host, **origin)
        assert response.status == (200 if allowed else 403)


def test_with_a_key_a_page_can_change_state_under_any_name(app_with_key: App) -> None:
    key = f"Bearer {KEY}".encode().decode("latin-1")
    page = {"Host": "a.example", "Origin": "http://a.example"}

    assert app_with_key.request("POST", "/versions/1/promote", **page).status == 401
    assert app_with_key.post("/versions/1/promote", Authorization=key, **page)["live"] == 1


@pytest.mark.process
def test_over_http_no_form_of_the_host_lets_a_foreign_page_change_state(
    server: ForkedServer,
) -> None:
    def send(target: str, version: str, *headers: str) -> int:
        head = "\r\n".join([f"POST {target} HTTP/{version}", *headers, "Content-Length: 0"])
        with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as client:
            client.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode())
            return int(client.makefile("rb").read().split()[1])

    target = "/v2/repository/models/streetlight/unload"
    evil, own = f"evil.example:{server.port}", f"127.0.0.1:{server.port}"
    page = f"Origin: http://{evil}"
    for refused in (
        (target, "1.1", f"Host: {evil}", page),
        (target, "1.1", f"HOST: {evil}.", f"{page}."),
        (target, "1.1", "Host:", page),
        (target, "1.1", "Host: [a:b]", "Sec-Fetch-Site: same-origin"),
        (target, "1.1", "Host:", "Origin: http://"),
        (target, "1.0", page),
        (target, "1.1", f"Host: {evil}", page, f"X-Forwarded-Host: {own}"),
        (target, "1.1", f"Host: {evil}", page, f"Forwarded: host={own}"),
        (f"http://{own}{target}", "1.1", f"Host: {evil}", page),
        (f"http://{evil}{target}", "1.1", f"Host: {own}", page),
        (target, "1.1", f"Host: {own}", "Sec-Fetch-Site: none", page),
    ):
        assert send(*refused) == 403, refused
    assert send(target, "1.1", f"Host: {own}", f"Host: {evil}", page) == 400
    for method in ("HEAD", "OPTIONS", "GET"):
        server.request(method, target, Host=evil, Origin=f"http://{evil}")
    assert server.get("/readyz")["version"] == 1

    # No browser sent this: in a network of containers, for example, a program did.
    assert send("/versions/1/promote", "1.1", "Host: server:8000") == 200
