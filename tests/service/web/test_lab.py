"""Each system of the lab over HTTP, against a transcription of the lab's loop: docs/tutorial.md.

The transcription shares no code with `streetlight.model`: it is the loop of the lab, with numpy's
`dot` and `RandomState`.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.server import Server

pytestmark = pytest.mark.process

Array = NDArray[np.float64]
SIX = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1], [0, 1, 1], [1, 0, 1]], float)
SIX_OUTCOMES = np.array([[0], [1], [0], [1], [1], [0]], float)
FOUR, FOUR_OUTCOMES = SIX[:4], np.array([[1], [1], [0], [0]], float)
START = [[0.5], [0.48], [-0.7]]
DECEIVING = [[0.5], [1.5], [-0.5]]


def descend(
    weights: list[Array],
    lights: Array,
    outcomes: Array,
    *,
    alpha: float,
    passes: int,
    batch: int = 1,
    relu: bool = True,
    l2: float = 0,
    l1: float = 0,
) -> tuple[list[Array], list[float]]:
    """Return the weights after the lab's loop, and the error of each pass."""
    weights, errors = [matrix.copy() for matrix in weights], []
    for _ in range(passes):
        error = 0.0
        for i in range(0, len(lights), batch):
            layers = [lights[i : i + batch]]
            for matrix in weights:
                layers.append(layers[-1].dot(matrix))
                if relu and len(layers) <= len(weights):
                    layers[-1] = (layers[-1] > 0) * layers[-1]
            delta = outcomes[i : i + batch] - layers[-1]
            error += float(np.sum(delta**2))
            for d in reversed(range(len(weights))):
                weight_delta = layers[d].T.dot(delta) / len(delta)
                delta = delta.dot(weights[d].T) * (layers[d] > 0 if relu else 1)
                weights[d] += alpha * (weight_delta - l2 * weights[d])
                weights[d] -= np.clip(weights[d], -alpha * l1, alpha * l1)
        errors.append(error)
    return weights, errors


def seeded(*sizes: int) -> list[Array]:
    """Return the first weights of the lab's program, which draws them with the seed 1."""
    random = np.random.RandomState(1)
    return [2 * random.random_sample(shape) - 1 for shape in pairwise(sizes)]


def body(dataset: str, start: list[list[float]] | None = None, **recipe: Any) -> dict[str, Any]:
    network = {"network": {"weights": {"weights_0_1": start}}} if start else {}
    return {"dataset": dataset, "recipe": recipe, **network}


def check(answer: dict[str, Any], expected: tuple[list[Array], list[float]]) -> None:
    """Compare the weights and the errors of a fit with those of the loop."""
    weights, errors = expected
    for matrix, fitted in zip(weights, answer["network"]["weights"].values(), strict=True):
        np.testing.assert_allclose(fitted, matrix, rtol=0, atol=1e-12)
    np.testing.assert_allclose(answer["errors"], errors, rtol=1e-9, atol=1e-13)


def digits(answer: dict[str, Any], passes: slice = slice(None, None, 10)) -> list[str]:
    """Return the errors as the lab prints them."""
    return [f"{error:.12g}" for error in answer["errors"][passes]]


def test_s1_one_light(shared_server: Server) -> None:
    answer = shared_server.post("/fit", body("one-light", START, alpha=0.1, iterations=20))

    expected = descend([np.array(START)], SIX[:1], SIX_OUTCOMES[:1], alpha=0.1, passes=20)
    check(answer, expected)
    assert digits(answer, slice(0, 3)) == ["0.04", "0.0256", "0.016384"]
    assert answer["scores"] == [pytest.approx(-0.2 * 0.8**20)]
    assert answer["network"]["weights"]["weights_0_1"][1] == [0.48]


@pytest.mark.parametrize(
    ("batch_size", "first", "last"),
    [
        pytest.param(1, "2.6561231104", "0.000533736773285", id="s2_stochastic"),
        pytest.param(None, "4.0652", "0.123652413744", id="s3_full"),
        pytest.param(2, "3.256511625", "0.00937316071921", id="s4_batch"),
    ],
)
def test_s2_to_s4_the_six_rows(
    shared_server: Server, batch_size: int | None, first: str, last: str
) -> None:
    fields = {"alpha": 0.1, "iterations": 40, "batch_size": batch_size}
    answer = shared_server.post("/fit", body("six", START, **fields))

    batch = batch_size or len(SIX)
    start = [np.array(START)]
    check(answer, descend(start, SIX, SIX_OUTCOMES, alpha=0.1, passes=40, batch=batch))
    assert digits(answer, slice(None, None, 39)) == [first, last]
    assert answer["decisions"] == ["stop", "walk", "stop", "walk", "walk", "stop"]


@pytest.mark.parametrize("on", [10, 0.1, 3])
def test_s5_the_pattern_is_not_the_matrix(shared_server: Server, on: float) -> None:
    rows = [
        {"lights": lights, "outcome": "walk" if outcome else "stop"}
        for lights, [outcome] in zip((SIX * on).tolist(), SIX_OUTCOMES, strict=True)
    ]
    recipe: dict[str, Any] = {"hidden_sizes": [], "alpha": 0.1, "iterations": 40}
    answer = shared_server.post("/fit", {"rows": rows, "recipe": recipe})
    same = shared_server.post("/fit", body("six", **recipe))
    network: dict[str, Any] = {"weights": {"weights_0_1": START}}
    scaled = {"rows": rows, "recipe": {"alpha": 0.1, "iterations": 40}, "network": network}

    assert answer["network"] == same["network"] | {"scale": on}
    assert (answer["errors"], answer["scores"]) == (same["errors"], same["scores"])
    network["scale"] = on
    check(
        shared_server.post("/fit", scaled),
        descend([np.array(START)], SIX, SIX_OUTCOMES, alpha=0.1, passes=40),
    )
    if on == 10:
        del network["scale"]
        error = shared_server.expect(400, "POST", "/fit", scaled)["error"]
        assert error.startswith("recipe.alpha: training diverged")


def test_s6_up_and_down_pressure(shared_server: Server) -> None:
    weights = np.full((3, 1), 0.1)
    network = {"weights": {"weights_0_1": weights.tolist()}}
    answer = shared_server.post("/pressure", {"dataset": "six", "network": network})

    signs = ["".join(row["signs"]["weights_0_1"]) for row in answer["rows"]]
    assert signs == ["-0-", "0++", "00-", "+++", "0++", "-0-"]
    pressure = SIX * (SIX_OUTCOMES - SIX.dot(weights))
    for row, expected in zip(answer["rows"], pressure, strict=True):
        np.testing.assert_allclose(row["pressure"]["weights_0_1"], expected[:, None], atol=1e-15)
    np.testing.assert_allclose(answer["sum"]["weights_0_1"], pressure.sum(0)[:, None], atol=1e-15)


def test_s7_two_rows_that_deceive(shared_server: Server) -> None:
    answer = shared_server.post("/fit", body("two-rows", DECEIVING, alpha=0.1, iterations=100))

    assert answer["errors"] == [0.0] * 100
    assert answer["network"]["weights"]["weights_0_1"] == DECEIVING
    assert answer["decisions"] == ["stop", "walk"]
    on_all = shared_server.post("/pressure", {"dataset": "six", "network": answer["network"]})
    assert [row["score"] for row in on_all["rows"]] == [0, 1, -0.5, 1.5, 1, 0]


def test_s8_the_other_rows_help(shared_server: Server) -> None:
    answer = shared_server.post("/fit", body("six", DECEIVING, alpha=0.1, iterations=40))

    start = [np.array(DECEIVING)]
    check(answer, descend(start, SIX, SIX_OUTCOMES, alpha=0.1, passes=40))
    weights = np.ravel(answer["network"]["weights"]["weights_0_1"])
    np.testing.assert_allclose(weights, [0, 1, 0], atol=0.04)


def test_s9_conflicting_pressure(shared_server: Server) -> None:
    path = []
    for passes in (1, 2, 5, 10, 20, 40):
        answer = shared_server.post("/fit", body("six", START, alpha=0.1, iterations=passes))
        start = [np.array(START)]
        check(answer, descend(start, SIX, SIX_OUTCOMES, alpha=0.1, passes=passes))
        path.append(round(answer["network"]["weights"]["weights_0_1"][2][0], 3))

    assert path == [-0.4, -0.286, -0.191, -0.132, -0.065, -0.016]
    for right, sign in ((0.1, "-"), (-0.1, "+")):
        network = {"weights": {"weights_0_1": [[0], [1], [right]]}}
        answer = shared_server.post("/pressure", {"dataset": "six", "network": network})
        assert {row["signs"]["weights_0_1"][2] for row in answer["rows"]} == {sign}


@pytest.mark.parametrize(
    ("penalty", "value", "right"),
    [
        ("weight_decay", 0.01, 0.018),
        ("weight_decay", 0.05, 0.089),
        ("weight_decay", 0.2, 0.180),
        ("l1_penalty", 0.005, 0.0004),
    ],
)
def test_s10_regularization(
    shared_server: Server, penalty: str, value: float, right: float
) -> None:
    recipe: dict[str, Any] = {"hidden_sizes": [], "alpha": 0.1, "iterations": 40, penalty: value}
    answer = shared_server.post("/fit", body("six", **recipe))

    l1, l2 = (value, 0) if penalty == "l1_penalty" else (0, value)
    check(answer, descend(seeded(3, 1), SIX, SIX_OUTCOMES, alpha=0.1, passes=40, l1=l1, l2=l2))
    left, _, [weight] = answer["network"]["weights"]["weights_0_1"]
    assert weight == pytest.approx(right, abs=0.0005 if l2 else 0.00005)
    assert (left == [0]) == (penalty == "l1_penalty")


def test_s11_no_correlation(shared_server: Server) -> None:
    recipe: dict[str, Any] = {
        "hidden_sizes": [],
        "alpha": 0.5,
        "iterations": 300,
        "batch_size": None,
    }
    answer = shared_server.post("/fit", body("four", **recipe))

    check(answer, descend(seeded(3, 1), FOUR, FOUR_OUTCOMES, alpha=0.5, passes=300, batch=4))
    np.testing.assert_allclose(answer["scores"], 0.5, atol=1e-10)
    assert min(answer["errors"]) == pytest.approx(1)
    network = {"weights": {"weights_0_1": [[0], [0], [0.5]]}}
    pressure = shared_server.post("/pressure", {"dataset": "four", "network": network})
    assert pressure["sum"]["weights_0_1"] == [[0], [0], [0]]


def test_s12_three_layers_without_relu(shared_server: Server) -> None:
    answer = shared_server.post("/fit", body("four", activation="linear", iterations=500))

    weights, errors = descend(
        seeded(3, 4, 1), FOUR, FOUR_OUTCOMES, alpha=0.2, passes=500, relu=False
    )
    check(answer, (weights, errors))
    assert min(answer["errors"]) > 1
    matrices = [np.array(matrix) for matrix in answer["network"]["weights"].values()]
    network = {"weights": {"weights_0_1": matrices[0].dot(matrices[1]).tolist()}}
    two_layers = shared_server.post("/pressure", {"dataset": "four", "network": network})
    scores = [row["score"] for row in two_layers["rows"]]
    np.testing.assert_allclose(answer["scores"], scores, rtol=0, atol=1e-12)


def test_s13_relu(shared_server: Server) -> None:
    recipe: dict[str, Any] = {
        "hidden_sizes": [4],
        "alpha": 0.2,
        "iterations": 60,
        "batch_size": 1,
        "seed": 1,
    }
    answer = shared_server.post("/fit", body("four", **recipe))

    check(answer, descend(seeded(3, 4, 1), FOUR, FOUR_OUTCOMES, alpha=0.2, passes=60))
    assert digits(answer, slice(9, None, 10)) == [
        "0.634231159844",
        "0.358384076763",
        "0.0830183113303",
        "0.0064670549571",
        "0.000329266900075",
        "1.50556226651e-05",
    ]
    assert answer["accuracy"] == 1
    assert shared_server.post("/fit", body("four")) == answer


def test_s14_a_deeper_stack(shared_server: Server) -> None:
    answer = shared_server.post("/fit", body("four", hidden_sizes=[4, 3]))

    weights, errors = descend(seeded(3, 4, 3, 1), FOUR, FOUR_OUTCOMES, alpha=0.2, passes=60)
    check(answer, (weights, errors))
    assert answer["decisions"] == ["walk", "walk", "stop", "stop"]
    example = {"lights": [1, 0, 1], "outcome": "walk", "network": answer["network"]}
    step = shared_server.post("/step", example)
    assert step["score"] == answer["scores"][0]
    layer = FOUR[:1]
    for d, matrix in enumerate(weights, start=1):
        layer = np.maximum(layer.dot(matrix), 0)
        np.testing.assert_allclose(step["layers"][f"layer_{d}"], layer[0], atol=1e-12)
