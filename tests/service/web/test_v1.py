"""Tests of the V1 protocol, and of the routes of SageMaker and Vertex AI."""

from pathlib import Path
from typing import Any

import pytest

from streetlight.service.config.sources import load_settings
from tests.client import App

MODEL = "/v1/models/streetlight"
ROWS = [[1, 0, 1], [0, 0, 1]]


def scores(app: App, version: int = 1) -> list[float]:
    """Return the scores of ROWS by a version."""
    response: list[float] = app.post(f"{MODEL}/versions/{version}:regress", {"examples": ROWS})[
        "results"
    ]
    return response


def test_predict_scores_rows_and_columns(two_versions: App) -> None:
    column = [[score] for score in scores(two_versions)]
    path = f"{MODEL}:predict"

    assert scores(two_versions)[0] == two_versions.post("/predict", {"lights": ROWS[0]})["score"]
    for body in (
        {"instances": ROWS},
        {"instances": [{"lights": row} for row in ROWS], "parameters": {"any": 1}},
        {"instances": ROWS, "signature_name": "serving_default"},
        {"instances": ROWS, "inputs": None},
    ):
        assert two_versions.post(path, body) == {"predictions": column}
    for inputs in (ROWS, {"lights": ROWS}):
        assert two_versions.post(path, {"inputs": inputs}) == {"outputs": column}


def test_paths_select_versions_and_labels(two_versions: App) -> None:
    first, second = scores(two_versions), scores(two_versions, 2)
    assert first != second

    for part, expected in (
        ("", first),
        ("/versions/1", first),
        ("/labels/live", first),
        ("/versions/2", second),
        ("/labels/previous", second),
    ):
        response = two_versions.post(f"{MODEL}{part}:predict", {"instances": ROWS})
        assert [score for (score,) in response["predictions"]] == expected, part


def test_status_and_metadata(two_versions: App) -> None:
    status = two_versions.get(MODEL)
    assert (status["name"], status["ready"]) == ("streetlight", True)
    assert [row["version"] for row in status["model_version_status"]] == ["1", "2"]
    assert {row["state"] for row in status["model_version_status"]} == {"AVAILABLE"}
    assert len(two_versions.get(f"{MODEL}/versions/2")["model_version_status"]) == 1
    metadata = two_versions.get(f"{MODEL}/labels/previous/metadata")
    assert metadata["model_spec"]["version"] == "2"
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    dim = signature["inputs"]["lights"]["tensor_shape"]["dim"]
    assert [size["size"] for size in dim] == ["-1", "3"]
    assert two_versions.get("/v1/models") == {"models": ["streetlight"]}


def test_explain_and_classify(two_versions: App) -> None:
    first, second = scores(two_versions)
    response = two_versions.post(f"{MODEL}:explain", {"instances": ROWS})
    native = two_versions.post("/explain", {"lights": ROWS[0]})

    assert response["predictions"] == [[first], [second]]
    assert response["explanations"][0] | {"weights": response["weights"]} == native
    assert "weights" not in response["explanations"][1]
    results = two_versions.post(f"{MODEL}:classify", {"examples": [{"lights": r} for r in ROWS]})
    assert results["results"] == [
        [["walk", first], ["stop", 1 - first]],
        [["stop", 1 - second], ["walk", second]],
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "expected either instances or inputs"),
        (b"[]", "expected a JSON object, got []"),
        (b"{", "malformed JSON"),
        (b'{"instances": [[NaN, 0, 1]]}', "instances[0][0]: expected a finite number"),
        ({"instances": ROWS, "inputs": ROWS}, "expected either instances or inputs"),
        ({"instances": 7}, "instances: expected a list, got 7"),
        ({"instances": []}, "instances: expected at least 1 items"),
        ({"instances": [[1, 0, 1], [1, 0]]}, "instances[1]: version 1 expects 3 lights, got 2"),
        ({"instances": [[1, 0, 1], {"left": 1}]}, "instances[1]: expected a list"),
        ({"instances": [[1, "on", 1]]}, 'instances[0][1]: expected a number, got "on"'),
        ({"instances": [[1, True, 1]]}, "instances[0][1]: expected a number, got true"),
        ({"inputs": {"lamps": ROWS}}, "inputs: expected a list"),
        ({"instances": ROWS, "signature_name": "x"}, "signature_name: expected serving_default"),
    ],
)
def test_an_invalid_body_is_refused(two_versions: App, body: Any, message: str) -> None:
    error = two_versions.expect(400, "POST", f"{MODEL}:predict", body)["error"]

    assert message in error


def test_an_unknown_path_is_refused(two_versions: App) -> None:
    for path in (
        "/v1/models/another:predict",
        f"{MODEL}/versions/3:predict",
        f"{MODEL}/versions/x:predict",
        f"{MODEL}/labels/stable:predict",
    ):
        assert two_versions.expect(404, "POST", path, {"instances": ROWS})["error"], path
    assert two_versions.expect(405, "POST", MODEL)["error"]
    assert "required" in two_versions.expect(400, "POST", f"{MODEL}:classify", {})["error"]


@pytest.mark.parametrize(
    "body",
    [
        ROWS,
        {"instances": ROWS},
        {"inputs": ROWS},
        {"inputs": {"lights": ROWS}, "params": {}},
        {"inputs": ROWS, "instances": None},
        {"dataframe_split": {"columns": ["left", "middle", "right"], "data": ROWS}},
        {"dataframe_split": {"columns": ["lights"], "data": [[row] for row in ROWS]}},
        {"dataframe_records": [dict(zip("abc", row, strict=True)) for row in ROWS]},
        {"dataframe_records": [{"lights": row} for row in ROWS]},
    ],
)
def test_invocations_accepts_each_form_of_json(two_versions: App, body: Any) -> None:
    response = two_versions.post("/invocations", body)

    assert response == {"predictions": [[score] for score in scores(two_versions)]}


@pytest.mark.parametrize(
    "text", ["1,0,1\n0,0,1\n", "left,middle,right\n1,0,1\r\n0,0,1", "1,0,1\n\n0,0,1"]
)
def test_invocations_accepts_csv(two_versions: App, text: str) -> None:
    headers = {"Content-Type": "text/csv; charset=utf-8"}

    response = two_versions.post("/invocations", text, **headers)
    assert response == {"predictions": [[score] for score in scores(two_versions)]}
    response = two_versions.request("POST", "/invocations", text, **headers, Accept="text/csv")
    assert [float(line) for line in response.data.split()] == scores(two_versions)


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        ("a,b,c\n", "text/csv", 400, "body: expected at least 1 items"),
        ("", "text/csv", 400, "body: expected at least 1 items"),
        ("1,0,1\n1,on,0\n", "text/csv", 400, 'body[1][1]: expected a number, got "on"'),
        ("1,0,nan\n", "text/csv", 400, "body[0][2]: expected a finite number"),
        ("1,0\n", "text/csv", 400, "body[0]: version 1 expects 3 lights, got 2"),
        ('"1,0,1\n', "text/csv", 400, "not a CSV"),
        (b"\xff\xfe1\x00", "text/csv", 400, "not a CSV"),
        ("{}", "application/json", 400, "an object with one of instances, inputs"),
        ('{"instances": [], "inputs": []}', "", 400, "an object with one of instances, inputs"),
        ('{"dataframe_split": 1}', "", 400, "expected columns and data, got 1"),
        ('{"dataframe_records": [{"a": 1}, 2]}', "", 400, "dataframe_records[1]: expected an obj"),
        ("<x/>", "application/xml", 415, "expected application/json or text/csv"),
    ],
)
def test_invocations_refuses_invalid_bodies(
    two_versions: App, body: Any, kind: str, status: int, message: str
) -> None:
    headers = {"Content-Type": kind} if kind else {}

    assert message in two_versions.expect(status, "POST", "/invocations", body, **headers)["error"]


def test_vertex_ai_sets_the_port_and_the_routes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIP_HTTP_PORT", "8123")
    monkeypatch.setenv("AIP_HEALTH_ROUTE", "/v1/endpoints/7/deployedModels/9")
    monkeypatch.setenv("AIP_PREDICT_ROUTE", "/v1/endpoints/7/deployedModels/9:predict")
    with monkeypatch.context() as explicit:
        explicit.setenv("STREETLIGHT_PORT", "8001")
        assert load_settings().port == 8001
    settings = load_settings()
    assert settings.port == 8123
    routes = {"health_route": settings.health_route, "predict_route": settings.predict_route}
    with App(tmp_path, **routes) as app:
        response = app.post("/v1/endpoints/7/deployedModels/9:predict", {"instances": ROWS})
        assert len(response["predictions"]) == 2
        assert app.get("/v1/endpoints/7/deployedModels/9")["version"] == 1
        assert app.get("/ping")["status"] == "ok"


def test_a_damaged_version_is_not_available(app: App) -> None:
    for _ in range(2):
        app.train("--no-promote")
    path = app.data_dir / "models" / "2.npz"
    path.write_bytes(path.read_bytes()[:200])

    rows = app.get("/v1/models/streetlight")["model_version_status"]
    assert [(row["version"], row["state"]) for row in rows] == [
        ("1", "AVAILABLE"),
        ("3", "AVAILABLE"),
        ("2", "END"),
    ]
    assert rows[2]["status"]["error_code"] == "DATA_LOSS"
    assert "2.npz" in rows[2]["status"]["error_message"]
    for damaged in ("/v1/models/streetlight/versions/2", "/v2/models/streetlight/versions/2/ready"):
        assert "2.npz" in app.expect(503, "GET", damaged)["error"]
    index = app.post("/v2/repository/index")
    assert [row["state"] for row in index] == ["READY", "UNAVAILABLE", "READY"]
    assert [row["version"] for row in app.post("/v2/repository/index", {"ready": True})] == [
        *("1", "3")
    ]
