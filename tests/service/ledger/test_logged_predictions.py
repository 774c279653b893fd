"""Tests of observations that name the prediction that they answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streetlight.service.web.api import observations
from tests.client import App, invoke
from tests.server import streetlight
from tests.service.conftest import Site
from tests.service.prediction_log.predictions import log_predictions

WALK, STOP = [1, 0, 1], [0, 0, 1]


@pytest.fixture
def app(tmp_path: Path, database_url: str | None, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """An application with a prediction log, which doesn't wait for predictions.

    The request `b` is a batch that version 7 answered, wrongly.
    """
    monkeypatch.setattr(observations, "LOG_TIMEOUT", 0)
    with App(tmp_path, database_url=database_url, prediction_log=True, start_empty=True) as app:
        log_predictions(
            app.services.require_prediction_log(),
            {"lights": WALK, "request_id": "b", "version": 7, "decision": 0},
            {"lights": STOP, "request_id": "b", "version": 7, "decision": 1, "row": 1},
        )
        yield app
        app.services.require_prediction_log().dispose()


def said(app: App) -> list[tuple[Any, ...]]:
    rows = app.get("/observations")["observations"]
    return [(row.get("request_id"), row["version"], row["said"]) for row in rows]


def observation(lights: list[int], outcome: str, **fields: object) -> dict[str, object]:
    return {"lights": lights, "outcome": outcome, **fields}


def test_an_observation_has_the_prediction_that_it_names(app: App) -> None:
    rows = [
        observation(WALK, "walk", request_id="b"),
        observation(STOP, "walk", request_id="b"),
        observation(WALK, "walk"),  # the live version says so
        observation(WALK, "walk", request_id="other"),
        observation([1, 1, 1], "stop", request_id="b"),  # other lights
    ]

    result = app.expect(201, "POST", "/observations", {"observations": rows})

    assert [row.get("prediction") for row in result["results"]] == [
        "found",
        "found",
        None,
        "missing",
        "missing",
    ]
    assert said(app) == [
        ("b", 7, "stop"),
        ("b", 7, "walk"),
        (None, 1, "walk"),
        ("other", None, None),
        ("b", None, None),
    ]
    [version] = app.get("/versions")["versions"]
    assert (version["asked"], version["right"]) == (1, 1)
    lines = app.request("GET", "/observations?format=jsonl").data.splitlines()
    assert [b'"request_id":"b"' in line for line in lines] == [True, True, False, False, True]


def test_the_same_row_is_a_duplicate_and_one_of_another_prediction_is_not(app: App) -> None:
    row = observation(WALK, "walk", request_id="b", id="mine")
    first = app.expect(201, "POST", "/observations", row)
    again = app.expect(200, "POST", "/observations", row)

    assert first["results"] == [{"verdict": "accepted", "id": 1, "prediction": "found"}]
    assert again["results"] == [{"verdict": "duplicate", "id": 1}]
    for other in (row | {"request_id": "c"}, observation(WALK, "walk", id="mine")):
        refused = app.expect(409, "POST", "/observations", other)
        assert refused["error"] == "id: observation 1 has this id and other content; use a new id"

    key = {"Idempotency-Key": "k"}
    body = observation(STOP, "stop", request_id="b")
    assert app.expect(201, "POST", "/observations", body, **key) == app.expect(
        201, "POST", "/observations", body, **key
    )
    assert len(said(app)) == 2


TABLE = "a,b,c,outcome,request_id\n1,0,1,walk,b\n1,0,1,walk,\n0,0,1,stop,none\n"


def test_a_table_may_have_a_column_of_request_ids(app: App) -> None:
    csv_type = {"Content-Type": "text/csv"}

    result = app.expect(201, "POST", "/observations", TABLE, **csv_type)

    assert [row.get("prediction") for row in result["results"]] == ["found", None, "missing"]
    assert said(app) == [("b", 7, "stop"), (None, 1, "walk"), ("none", None, None)]
    long = TABLE.replace(",none", f",{'x' * 129}")
    error = app.expect(400, "POST", "/observations", long, **csv_type)["error"]
    assert error.startswith("line 4: request_id: expected at most 128 printable characters, got 'x")


def test_an_imported_table_may_have_a_column_of_request_ids(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE)
    with App(tmp_path, prediction_log=True, start_empty=True) as app:
        log = app.services.require_prediction_log()
        log_predictions(log, {"lights": WALK, "request_id": "b", "version": 7, "decision": 0})

        run = invoke("import", str(tmp_path / "table.csv"), data_dir=tmp_path, prediction_log=True)

        assert run.stdout.endswith("3 observations added\n"), run.stderr
        assert said(app) == [("b", 7, "stop"), (None, 1, "walk"), ("none", None, None)]


@pytest.mark.parametrize(
    ("request_id", "message"),
    [
        ("", 'request_id: expected at least 1 characters, got ""'),
        ("x" * 129, "request_id: expected at most 128 characters, got "),
        ("a\x00", "request_id: expected text without NUL characters, got "),
        (1, "request_id: expected text, got 1"),
    ],
)
def test_a_request_id_is_text(shared_app: App, request_id: object, message: str) -> None:
    row = observation(WALK, "walk", request_id=request_id)
    error = shared_app.expect(400, "POST", "/observations", row)["error"]
    assert error.startswith(message)


def test_without_a_log_the_prediction_is_missing(tmp_path: Path) -> None:
    with App(tmp_path) as app:
        row = observation(WALK, "walk", request_id="b")
        [result] = app.expect(201, "POST", "/observations", row)["results"]
        assert (result["verdict"], result["prediction"]) == ("accepted", "missing")
        assert said(app)[-1] == ("b", None, None)


@pytest.mark.process
def test_feedback_counts_for_the_version_that_answered(
    tmp_path: Path, database_url: str | None
) -> None:
    with Site(tmp_path, database_url, prediction_log=True, start_empty=True) as site:
        alone = site.request("POST", "/predict", {"lights": WALK}).headers["X-Request-ID"]
        row = observation(WALK, "walk", request_id=alone)
        [at_once] = site.expect(201, "POST", "/observations", row)["results"]
        assert at_once["prediction"] == "found"
        mine = {"X-Request-ID": "corner-17"}
        site.expect(200, "POST", "/predict/batch", {"lights": [WALK, STOP]}, **mine)
        site.train("--seed", "5")
        rows = [observation(lights, "stop", request_id="corner-17") for lights in (WALK, STOP)]

        site.expect(201, "POST", "/observations", {"observations": rows})
        site.expect(201, "POST", "/observations", observation(STOP, "stop"))

        listed = site.get("/observations")["observations"]
        assert [(row.get("request_id"), row["version"], row["said"]) for row in listed] == [
            (alone, 1, "walk"),
            ("corner-17", 1, "walk"),
            ("corner-17", 1, "stop"),
            (None, 2, "stop"),
        ]
        versions = site.get("/versions")["versions"]
        assert [(v["version"], v["asked"], v["right"]) for v in versions] == [(2, 1, 1), (1, 3, 2)]
        settings = {"data_dir": tmp_path, "database_url": site.database}
        assert "violations: 0" in streetlight("check", **settings).stdout
