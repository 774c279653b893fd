"""Tests of predictions over HTTP: decisions, scores bit for bit, and error messages."""

import json
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetlight.model.dataset import LAB
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import fit
from tests.client import App, Client

NETWORK = fit(LAB, Recipe()).network
numbers = st.one_of(st.integers(-1000, 1000), st.floats(-1e6, 1e6))


def test_a_prediction_has_a_decision_a_score_and_a_version(shared_app: App) -> None:
    assert shared_app.post("/predict", {"lights": [1, 0, 1]}) == {
        "decision": "walk",
        "score": NETWORK.score([1, 0, 1]),
        "version": 1,
    }
    assert shared_app.get("/predict?lights=0,0,1")["decision"] == "stop"


@given(rows=st.lists(st.lists(numbers, min_size=3, max_size=3), min_size=1, max_size=5))
def test_all_routes_return_the_same_bits(shared_app: App, rows: list[list[float]]) -> None:
    batch = shared_app.post("/predict/batch", {"lights": rows})

    assert np.array(batch["scores"]).tobytes() == NETWORK.scores(np.array(rows, float)).tobytes()
    for row, decision, score in zip(rows, batch["decisions"], batch["scores"], strict=True):
        alone = {"decision": decision, "score": score, "version": 1}
        assert shared_app.post("/predict", {"lights": row}) == alone
        query = ",".join(map(repr, row))
        assert shared_app.get(f"/predict?lights={query}") == alone
        assert shared_app.get(f"/predict?{urlencode({'lights': row}, doseq=True)}") == alone
        response = shared_app.post("/explain", {"lights": row})
        assert {name: response[name] for name in alone} == alone


def test_a_batch_may_have_100_000_rows(shared_app: App) -> None:
    rows = np.random.default_rng(0).integers(0, 2, (100_000, 3))

    response = shared_app.post("/predict/batch", {"lights": rows.tolist()})

    expected = NETWORK.scores(rows.astype(float))
    assert np.array(response["scores"]).tobytes() == expected.tobytes()
    assert response["decisions"] == np.where(expected > 0.501, "walk", "stop").tolist()


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_the_content_type_does_not_matter(shared_app: App, content_type: str) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    body = b'{"lights": [1, 0, 1]}'

    assert shared_app.post("/predict", body, **headers)["decision"] == "walk"


def error(client: Client, body: object, path: str = "/predict") -> dict[str, Any]:
    response: dict[str, Any] = client.expect(400, "POST", path, body)
    return response


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"lights": [1, "on", 1]}', 'lights[1]: expected a number, got "on"'),
        ('{"lights": [1, "1", 1]}', 'lights[1]: expected a number, got "1"'),
        ('{"lights": [1, true, 1]}', "lights[1]: expected a number, got true"),
        ('{"lights": [1, null, 1]}', "lights[1]: expected a number, got null"),
        ('{"lights": [1, NaN, 1]}', "lights[1]: expected a finite number, got NaN"),
        ('{"lights": [-Infinity, 0, 1]}', "lights[0]: expected a finite number, got -Infinity"),
        ('{"lights": [1e999, 0, 1]}', "lights[0]: expected a finite number, got Infinity"),
        ('{"lights": [1, 0]}', "lights: version 1 expects 3 lights, got 2"),
        ('{"lights": [1, 0, 1, 1]}', "lights: version 1 expects 3 lights, got 4"),
        ('{"lights": []}', "lights: expected at least 1 items, got 0"),
        ('{"lights": 1}', "lights: expected a list, got 1"),
        ('{"lights": {"a": 1}}', 'lights: expected a list, got {"a": 1}'),
        ("{}", "lights: required, but missing"),
        ("", "lights: required, but missing"),
        ('{"lights": [1, 0, 1], "colour": 1}', "colour: unknown field; expected lights"),
        ("[1, 0, 1]", "expected a JSON object, got [1, 0, 1]"),
        ('{"lights": [1, 0', "malformed JSON: EOF while parsing a list at line 1 column 16"),
        ('{"lights": [1 0 1]}', "malformed JSON: expected `,` or `]` at line 1 column 15"),
        ("lights=1,0,1", "malformed JSON: expected value at line 1 column 1"),
        (b'{"lights": "\xff"}', "malformed JSON: invalid unicode code point at line 1 column 13"),
    ],
)
def test_errors_name_the_field_the_expected_and_the_given_value(
    shared_app: App, body: str | bytes, message: str
) -> None:
    assert error(shared_app, body)["error"] == message


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/explain"])
def test_without_a_live_version_an_invalid_body_is_not_read(app: App, path: str) -> None:
    app.services.repository.unload()

    assert "no version is live" in app.expect(503, "POST", path, "{")["error"]


def test_details_list_each_invalid_field(shared_app: App) -> None:
    assert error(shared_app, '{"ligths": [1], "x": 2}')["details"] == [
        {"field": "lights", "message": "required, but missing", "got": None},
        {"field": "ligths", "message": "unknown field; did you mean lights?", "got": "[1]"},
        {"field": "x", "message": "unknown field; expected lights", "got": 2},
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("lights=1,on,1", 'lights[1]: expected a number, got "on"'),
        ("lights=1,,1", 'lights[1]: expected a number, got ""'),
        ("lights=1,nan,1", "lights[1]: expected a finite number, got"),
        ("lights=1,0", "lights: version 1 expects 3 lights, got 2"),
        ("lights=", 'lights[0]: expected a number, got ""'),
        ("", "lights: required, but missing"),
        ("light=1,0,1", "did you mean lights?"),
        ("lights=1,0,1&lights=0,0,1", "lights: version 1 expects 3 lights, got 6"),
        ("lights=1&lights=0&lights=on", 'lights[2]: expected a number, got "on"'),
        ("lights=1&lights=0,on", 'lights[2]: expected a number, got "on"'),
        ("lights=1&lights=&lights=1", 'lights[1]: expected a number, got ""'),
        ("lights[]=1&lights[]=0&lights[]=1", "lights[]: unknown parameter; did you mean lights?"),
    ],
)
def test_errors_of_a_query_name_the_field(shared_app: App, query: str, message: str) -> None:
    assert message in shared_app.expect(400, "GET", f"/predict?{query}")["error"]


def test_a_parameter_that_is_no_list_may_not_be_repeated(shared_app: App) -> None:
    message = shared_app.expect(400, "GET", "/jobs?limit=1&limit=1")["error"]
    assert message == "limit: expected once, got more"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"lights": [[1, 0, 1], [0, 1]]}', "lights[1]: version 1 expects 3 lights, got 2"),
        ('{"lights": [[1, 0, 1], [0, "x", 1]]}', 'lights[1][1]: expected a number, got "x"'),
        ('{"lights": [[1, 0, 1], 3]}', "lights[1]: expected a list, got 3"),
        ('{"lights": []}', "lights: expected at least 1 items, got 0"),
    ],
)
def test_errors_of_a_batch_name_the_row(shared_app: App, body: str, message: str) -> None:
    assert error(shared_app, body, "/predict/batch")["error"] == message


def test_only_the_first_of_many_errors_is_returned(shared_app: App) -> None:
    body = {"lights": ["x"] * 140_000}

    assert error(shared_app, body)["error"] == 'lights[0]: expected a number, got "x"'
    assert len(error(shared_app, {"lights": "x" * 1_000_000})["error"]) < 200
    assert len(error(shared_app, [[0] * 100_000])["error"]) < 200


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_number_with_very_many_digits_is_refused(shared_app: App, digits: int) -> None:
    message = error(shared_app, f'{{"lights": [{"9" * digits}, 0, 1]}}')["error"]

    assert "lights[0]" in message or "malformed JSON" in message
    assert len(message) < 200


def test_deep_json_is_refused(shared_app: App) -> None:
    body = '{"lights": ' + "[" * 10_000 + "]" * 10_000 + "}"

    assert "recursion limit" in error(shared_app, body)["error"]


def test_a_light_whose_score_overflows_is_refused(app: App) -> None:
    """The network divides its input by the scale of its data, 1e-3, so that 1e308 overflows."""
    app.data_dir.joinpath("faint.csv").write_text(
        "a,b,c,outcome\n1e-3,0,1e-3,walk\n0,0,1e-3,stop\n"
    )
    app.train("--dataset", str(app.data_dir / "faint.csv"), "--iterations", "500")

    for path, body in (
        ("/predict", {"lights": [1e308, 0, 1]}),
        ("/explain", {"lights": [1e308, 0, 1]}),
    ):
        message = error(app, body, path)["error"]
        assert message.startswith("lights[0]: too large for version 2: its score would overflow")
    message = error(app, {"lights": [[1, 0, 1], [1, 0, 1e308]]}, "/predict/batch")["error"]
    assert message.startswith("lights[1][2]: too large for version 2")


def test_an_explanation_has_all_layers(shared_app: App) -> None:
    response = shared_app.post("/explain", {"lights": [1, 0, 1]})

    assert list(response["layers"]) == ["layer_0", "layer_1", "layer_2"]
    assert response["layers"]["layer_2"] == [response["score"]]
    assert response["relu"] == {"layer_1": [False, True, False, False]}
    assert np.array(response["weights"]["weights_0_1"]).shape == (3, 4)
    assert sum(response["contributions"]) == pytest.approx(response["score"])
    assert response["flip"] == {
        "light": 0,
        "was": 1.0,
        "now": 0.0,
        "decision": "stop",
        "score": NETWORK.score([0, 0, 1]),
    }


def test_an_explanation_is_that_of_a_named_version(app: App) -> None:
    body = {"lights": [0.7, 0.3, 1]}
    first = app.request("POST", "/explain", body).data
    app.train("--seed", "5")
    second = app.request("POST", "/explain", body).data

    for number, explanation in ((1, first), (2, second)):
        named = app.request("POST", "/explain", {**body, "version": number})
        assert named.data == explanation
        v1 = f"/v1/models/streetlight/versions/{number}:predict"
        scores = app.post(v1, {"instances": [body["lights"]]})["predictions"]
        assert [[named.json()["score"]]] == scores
        assert named.json()["version"] == number
    missing = app.expect(404, "POST", "/explain", {**body, "version": 3})
    assert missing["error"] == "no version 3; existing versions: 1, 2"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (0, "version: expected a number of at least 1, got 0"),
        (10**9, "version: expected a number below 1000000000, got 1000000000"),
        (1.5, "version: expected a whole number, got 1.5"),
        ("1", 'version: expected a whole number, got "1"'),
        (True, "version: expected a whole number, got true"),
    ],
)
def test_the_version_of_an_explanation_is_a_number(
    shared_app: App, version: object, message: str
) -> None:
    body = {"lights": [1, 0, 1], "version": version}
    assert error(shared_app, body, "/explain")["error"] == message
    other = error(shared_app, {"lights": [1, 0, 1], "version": 1})["error"]
    assert other.startswith("version: unknown field")


def test_scores_are_serialized_without_loss(shared_app: App) -> None:
    text = shared_app.request("POST", "/predict", {"lights": [0, 1, 1]}).data

    assert text.endswith(b"}\n")
    assert json.loads(text)["score"].hex() == NETWORK.score([0, 1, 1]).hex()
