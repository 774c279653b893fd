"""Tests of the route /predictions: pages, filters, exports, and who may read them."""

import csv
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import pytest
from sqlalchemy import Engine

from streetlight.service.prediction_log import queries
from streetlight.service.prediction_log.queries import Filter
from streetlight.service.prediction_log.recorder import PredictedRows, Recorder
from tests.client import App
from tests.server import ForkedServer
from tests.service.conftest import until

KEY = "secret"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
NOW = float(int(time.time()))
REQUESTS = [
    PredictedRows(NOW - 40, "a", "native", 1, [1.0, 0.0, 1.0], [0.75]),
    PredictedRows(NOW - 30, "b", "v1", 1, np.array([[0, 0, 1], [1, 0, 1]]), np.array([0.25, 1.5])),
    PredictedRows(NOW - 20, "c", "v2", 2, [0.0, 0.0, 0.5], [0.125]),
]


def record(engine: Engine, *requests: PredictedRows) -> None:
    recorder = Recorder(engine, 1, 10**6, 10**6)
    for request in requests:
        recorder.record(request)
    with pytest.MonkeyPatch.context() as patch:  # the tests before may take longer
        patch.setattr("streetlight.service.prediction_log.recorder.MAX_DELAY", 10**6)
        recorder.write()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """A site with a key, whose log has `REQUESTS`."""
    with App(tmp_path_factory.mktemp("log"), prediction_log=True, api_key=KEY) as app:
        record(app.services.require_prediction_log(), *REQUESTS)
        yield app


def ids(site: App, **query: object) -> list[int]:
    page = site.get(f"/predictions?{urlencode(query)}", **AUTHORIZED)
    return [row["id"] for row in page["predictions"]]


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_a_prediction_has_all_that_was_logged(site: App) -> None:
    rows = site.get("/predictions", **AUTHORIZED)["predictions"]

    assert rows[2] == {
        "id": 3,
        "at": datetime.fromtimestamp(NOW - 30, UTC).isoformat(timespec="milliseconds"),
        "request_id": "b",
        "row": 1,
        "dialect": "v1",
        "version": 1,
        "lights": [1.0, 0.0, 1.0],
        "score": 1.5,
        "decision": "walk",
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"after": 2}, [3, 4]),
        ({"version": 2}, [4]),
        ({"decision": "stop"}, [2, 4]),
        ({"dialect": "v1"}, [2, 3]),
        ({"request_id": "b"}, [2, 3]),
        ({"request_id": "B"}, []),
        ({"since": iso(NOW - 30)}, [2, 3, 4]),
        ({"since": iso(NOW - 25), "version": 2}, [4]),
        ({"since": iso(NOW)}, []),
        ({"since": iso(NOW - 30), "after": 3, "decision": "stop"}, [4]),
    ],
)
def test_predictions_are_filtered(site: App, query: dict[str, object], expected: list[int]) -> None:
    assert ids(site, **query) == expected
    export = site.request("GET", f"/predictions?{urlencode(query)}&format=jsonl", **AUTHORIZED)
    exported = [json.loads(line)["id"] for line in (export.data or b"").splitlines()]
    assert exported[-len(expected) :] == expected if expected else exported == []


def test_pages_follow_each_other(site: App) -> None:
    found: list[int] = []
    after: int | None = 0
    while after is not None:
        page = site.get(f"/predictions?limit=2&after={after}", **AUTHORIZED)
        found += [row["id"] for row in page["predictions"]]
        after = page["next"]

    assert found == [1, 2, 3, 4]


def test_predictions_are_exported_as_csv(site: App) -> None:
    response = site.request("GET", "/predictions?format=csv", **AUTHORIZED)

    rows = list(csv.DictReader(response.data.decode().splitlines()))
    assert response.headers["Content-Type"].startswith("text/csv")
    assert [row["request_id"] for row in rows] == ["a", "b", "b", "c"]
    assert rows[3] == {
        "id": "4",
        "at": datetime.fromtimestamp(NOW - 20, UTC).isoformat(timespec="milliseconds"),
        "request_id": "c",
        "row": "0",
        "dialect": "v2",
        "version": "2",
        "lights": "0.0 0.0 0.5",
        "score": "0.125",
        "decision": "stop",
    }


@pytest.mark.parametrize(
    "query", ["limit=1001", "limit=0", "after=-1", "dialect=v3", "outcome=walk", "since=5", "x=1"]
)
def test_an_invalid_query_is_refused(site: App, query: str) -> None:
    message = site.expect(400, "GET", f"/predictions?{query}", **AUTHORIZED)["error"]

    assert message.startswith(query.partition("=")[0])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("query", ["", "?format=csv", "?format=jsonl", "?x=1"])
def test_reading_requires_the_key(site: App, method: str, query: str) -> None:
    response = site.request(method, f"/predictions{query}")

    assert response.status == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="Streetlight"'
    if method == "GET":
        assert "an API key with the right read" in response.json()["error"]
    assert site.request(method, "/predictions", **AUTHORIZED).status == 200


def test_without_the_setting_there_is_nothing_to_read(shared_app: App) -> None:
    message = shared_app.expect(409, "GET", "/predictions")["error"]

    assert "set STREETLIGHT_PREDICTION_LOG=true" in message


def test_a_page_of_large_light_states_is_shorter(
    log_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "MAX_PAGE_BYTES", 1000)
    wide = PredictedRows(NOW, "wide", "v2", 1, np.ones((9, 100)), np.ones(9))
    record(log_engine, wide)

    page = queries.page(log_engine, Filter(), 0, 100)
    assert (len(page.predictions), page.next) == (3, 3)
    assert sum(map(len, queries.stream(log_engine, Filter()))) == 9


@pytest.mark.parametrize("filters", [Filter(decision="stop"), Filter(dialect="v1", since=NOW - 60)])
def test_rare_predictions_are_found_in_bounded_steps(
    log_engine: Engine, monkeypatch: pytest.MonkeyPatch, filters: Filter
) -> None:
    monkeypatch.setattr(queries, "MAX_SCAN", 10)
    rare = REQUESTS[2]._replace(dialect="v1")
    record(log_engine, *[REQUESTS[0]] * 34, rare, *[REQUESTS[0]] * 14)

    after, pages = 0, []
    while True:
        page = queries.page(log_engine, filters, after, 100)
        pages.append([row.id for row in page.predictions])
        if page.next is None:
            break
        after = page.next

    assert pages == [[], [], [], [35], []]
    assert [row.id for rows in queries.stream(log_engine, filters) for row in rows] == [35]
    assert queries.page(log_engine, Filter(request_id="c"), 0, 100).predictions[0].id == 35


def test_a_prediction_that_was_written_late_is_found_by_its_time(log_engine: Engine) -> None:
    """Workers write in turns, so that ids are not in the order of the times."""
    record(log_engine, *[REQUESTS[0]._replace(at=NOW - at) for at in (50, 10, 30, 20, 40)])

    def found(since: float) -> list[int]:
        page = queries.page(log_engine, Filter(since=since), 0, 100)
        return [row.id for row in page.predictions]

    assert found(NOW - 45) == [2, 3, 4, 5]
    assert found(NOW - 30) == [2, 3, 4]
    assert found(NOW - 10) == [2]
    assert found(NOW) == []


@pytest.mark.process
def test_predictions_are_read_over_http(tmp_path: Path, database_url: str | None) -> None:
    settings: dict[str, Any] = {"database_url": database_url} if database_url else {}
    with ForkedServer(tmp_path, prediction_log=True, workers=2, **settings) as server:
        assert server.get("/predictions") == {"predictions": [], "next": None}
        began = iso(time.time())
        sent = set()
        for _ in range(40):
            with server.new_pool() as pool:  # each connection goes to one of the workers
                response = pool.request("POST", "/predict", json={"lights": [1, 0, 1]})
                sent.add(response.headers["X-Request-ID"])

        def rows() -> list[Any] | None:
            found = server.get(f"/predictions?since={quote(began)}&decision=walk")["predictions"]
            return found if len(found) == 40 else None

        logged = until(rows)
        assert {row["request_id"] for row in logged} == sent
        assert [row["id"] for row in logged] == list(range(1, 41))
        export = server.request("GET", "/predictions?format=jsonl")
        assert [json.loads(line) for line in export.data.splitlines()] == logged
