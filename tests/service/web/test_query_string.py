"""Tests of query strings: every route refuses parameters that it doesn't have."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from streetlight.service.web.openapi.operation import operation_of
from streetlight.service.web.query_string import FILES
from tests.client import App
from tests.server import Server

INFER = {"inputs": [{"name": "lights", "shape": [1, 3], "datatype": "INT8", "data": [1, 0, 1]}]}


def routes(app: App) -> Iterator[tuple[str, str, Any]]:
    """Yield the method, path and view of each route that isn't a file for browsers."""
    flask = app.application
    for rule in flask.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] in FILES:
            continue
        path = rule.rule.replace("<model>", "streetlight").replace("<label>", "live")
        for method in (rule.methods or set()) - {"OPTIONS"}:
            yield method, re.sub("<.*?>", "1", path), flask.view_functions[rule.endpoint]


def test_every_route_refuses_an_unknown_parameter(app: App) -> None:
    count = 0
    for method, path, view in routes(app):
        operation, count = operation_of(view), count + 1
        known = operation.query.model_fields if operation and operation.query else {}
        given = "&".join(f"{name}=1" for name in known if name == "lights")
        response = app.request(method, f"{path}?{given}&xyz=1")
        assert response.status == 400, (method, path, response.status)
        if method != "HEAD":
            assert response.json()["error"].startswith("xyz: unknown parameter"), path
            assert all(name in response.json()["error"] for name in known or ["none"]), path
    assert count > 50


def test_a_known_parameter_may_not_be_repeated(shared_app: App) -> None:
    for path in ("/versions/1/pressure", "/jobs", "/observations", "/versions/1/accuracy"):
        error = shared_app.expect(400, "GET", f"{path}?limit=1&limit=2")["error"]
        assert error == "limit: expected once, got more"


def test_files_for_browsers_ignore_parameters(shared_app: App) -> None:
    for path in ("/", "/docs", "/page/main.js", "/tutorial"):
        assert shared_app.request("GET", f"{path}?v=1").status == 200


@pytest.mark.process
def test_a_server_refuses_parameters_on_its_fast_path(shared_server: Server) -> None:
    bodies = {
        "/predict": {"lights": [1, 0, 1]},
        "/predict/batch": {"lights": [[1, 0, 1]]},
        "/v1/models/streetlight:predict": {"instances": [[1, 0, 1]]},
        "/v2/models/streetlight/infer": INFER,
    }
    for path, body in bodies.items():
        assert shared_server.request("POST", f"{path}?", body).status == 200
        error = shared_server.expect(400, "POST", f"{path}?version=1", body)["error"]
        assert error == "version: unknown parameter; expected none"
    error = shared_server.expect(400, "GET", "/predict?lights=1,0,1&version=1")["error"]
    assert error == "version: unknown parameter; expected lights"
