"""Tests of POST /step, POST /fit and POST /pressure: the lab's runs, and invalid requests."""

from typing import Any

import numpy as np
import pytest

from streetlight.model import explanation
from streetlight.model.dataset import LAB, LAB_DIRECT, Dataset, outcome_name
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import fit as train
from streetlight.model.training.fit import random_weights
from streetlight.service.inference import scratch_network, scratch_training
from streetlight.service.web.middleware.admission import IS_DISCONNECTED
from tests.client import App

EXAMPLES = [
    {"lights": lights, "outcome": outcome_name(outcome)}
    for lights, outcome in zip(LAB.lights.tolist(), LAB.walk_vs_stop, strict=True)
]


def test_the_steps_of_the_labs_run_end_at_the_live_version(shared_app: App) -> None:
    network, errors = None, []
    for _ in range(60):
        errors.append(0.0)
        for example in EXAMPLES:
            start = {"network": network} if network else {"seed": 1}
            response = shared_app.post("/step", example | start)
            network = response["network"]
            errors[-1] += response["error"]

    version = shared_app.get("/versions/1")
    assert network is not None
    assert network["weights"] == version["weights"]
    assert dict(version["errors"])[60] == errors[-1]
    assert errors[9] == pytest.approx(0.634231159844)


def test_a_step_without_a_network_takes_a_copy_of_the_live_version(shared_app: App) -> None:
    lights = [0, 1, 0]
    before = shared_app.post("/explain", {"lights": lights})
    response = shared_app.post("/step", {"lights": lights, "outcome": "stop", "alpha": 0.05})

    for name in ("decision", "score", "layers", "relu", "weights"):
        assert response[name] == before[name]
    assert response["error"] == before["score"] ** 2
    assert 0 < response["score_after"] < before["score"]
    assert response["deltas"]["layer_2"] == [-before["score"]]
    for name, matrix in response["weights"].items():
        for i, row in enumerate(matrix):
            for j, weight in enumerate(row):
                delta = response["weight_deltas"][name][i][j]
                moved = response["network"]["weights"][name][i][j] - weight
                assert moved == pytest.approx(0.05 * delta, abs=1e-15)
    assert shared_app.post("/explain", {"lights": lights}) == before


EXAMPLE = {"lights": [1, 0, 1], "outcome": "walk"}
TWO_LAYERS = {"weights": {"weights_0_1": [[0.5], [0.5], [0.5]]}}


def test_a_step_with_penalties(shared_app: App) -> None:
    penalties = {"alpha": 0.5, "weight_decay": 0.1, "l1_penalty": 0.2}
    response = shared_app.post("/step", EXAMPLE | penalties | {"network": TWO_LAYERS})

    assert response["error"] == 0
    weight = 0.5 * 0.95 - 0.1
    assert response["network"]["weights"] == {"weights_0_1": [[weight], [weight], [weight]]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"lights": [1, 0, 1]}, "outcome: required, but missing"),
        (EXAMPLE | {"lights": [1, 0]}, "lights: the network expects 3 lights, got 2"),
        (EXAMPLE | {"alpha": 0}, "alpha: expected a number of at least 1e-09, got 0"),
        (EXAMPLE | {"seed": -1}, "seed: expected a number of at least 0, got -1"),
        (
            EXAMPLE | {"seed": 1, "hidden_sizes": [0]},
            "hidden_sizes[0]: expected a number of at least",
        ),
        (
            EXAMPLE | {"seed": 2, "network": TWO_LAYERS},
            "seed: expected a network or a seed, got both",
        ),
        (
            EXAMPLE | {"network": TWO_LAYERS, "hidden_sizes": [4]},
            "hidden_sizes: expected that of the network, [], got [4]",
        ),
        (
            EXAMPLE | {"network": TWO_LAYERS, "activation": "linear"},
            'activation: expected that of the network, "relu", got "linear"',
        ),
        (EXAMPLE | {"hidden_sizes": [4]}, "hidden_sizes: expected a seed too, for a random"),
        (EXAMPLE | {"activation": "relu"}, "activation: expected a seed too, for a random"),
        (
            EXAMPLE | {"network": {"weights": {"weights_1_2": [[1]]}}},
            "network.weights: expected weights_0_1, got weights_1_2",
        ),
        (
            EXAMPLE | {"network": {"weights": {"weights_0_1": [[1], [2, 3]]}}},
            "network.weights.weights_0_1: expected rows of the same length",
        ),
        (
            EXAMPLE | {"network": {"weights": {"weights_0_1": [[1, 2]]}}},
            "network: expected shapes that chain and end in one output, got [(1, 2)]",
        ),
        (
            EXAMPLE | {"seed": 1, "hidden_sizes": [1024, 1024]},
            "hidden_sizes: expected a network of at most 100000 weights, got 1052672",
        ),
        (
            EXAMPLE | {"lights": [1e308, 0, 1e308], "alpha": 1e9},
            "alpha: expected a step after which all weights are finite; use a smaller alpha",
        ),
    ],
)
def test_an_invalid_step_is_refused(shared_app: App, body: Any, message: str) -> None:
    assert shared_app.expect(400, "POST", "/step", body)["error"].startswith(message)


def test_the_weights_of_a_network_that_is_too_large_are_not_drawn(
    shared_app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(scratch_network, "random_weights")

    shared_app.expect(400, "POST", "/step", EXAMPLE | {"seed": 1, "hidden_sizes": [1024] * 8})


def test_a_step_may_repeat_the_shape_of_its_network(shared_app: App) -> None:
    shape = {"hidden_sizes": [], "activation": "relu"}
    body = EXAMPLE | {"network": TWO_LAYERS}

    assert shared_app.post("/step", body | shape) == shared_app.post("/step", body)


def test_a_step_of_a_random_network_without_relu(shared_app: App) -> None:
    start = {"seed": 1, "hidden_sizes": [2], "activation": "linear"}
    response = shared_app.post("/step", EXAMPLE | start)

    assert response["network"]["activation"] == "linear"
    assert response["relu"] == {"layer_1": [True, True]}


def test_a_scratch_network_may_have_any_shape(shared_app: App) -> None:
    response = shared_app.post("/step", EXAMPLE | {"network": TWO_LAYERS, "alpha": 0.5})
    assert response["score"] == 1.0
    assert response["relu"] == {}
    linear = {"weights": {"weights_0_1": [[-1], [1]], "weights_1_2": [[2]]}, "activation": "linear"}
    response = shared_app.post("/step", {"lights": [3, 0], "outcome": "stop", "network": linear})
    assert response["layers"] == {"layer_0": [3.0, 0.0], "layer_1": [-3.0], "layer_2": [-6.0]}
    assert response["network"]["activation"] == "linear"


def rows_of(dataset: Dataset) -> list[dict[str, Any]]:
    """Return a dataset as a body has it."""
    return [
        {"lights": lights, "outcome": outcome_name(outcome)}
        for lights, outcome in zip(
            dataset.lights.tolist(), dataset.walk_vs_stop.tolist(), strict=True
        )
    ]


RANDOM = np.random.default_rng(1)
LARGE = Dataset(RANDOM.integers(0, 5, (50, 20)) / 4, RANDOM.integers(0, 2, 50) / 1)


@pytest.mark.parametrize(
    ("dataset", "recipe"),
    [
        (LAB, {}),
        (LAB, {"hidden_sizes": [4, 3], "batch_size": 3, "seed": 2, "activation": "linear"}),
        (LAB_DIRECT, {"hidden_sizes": [], "weight_decay": 0.2, "l1_penalty": 0.005}),
        (LAB_DIRECT, {"batch_size": None, "alpha": 0.5, "l1_penalty": 0.01}),
        # Wide, with generated code and without, and with more weights than that has.
        (LARGE, {"hidden_sizes": [20], "alpha": 0.01, "iterations": 3}),
        (LARGE, {"hidden_sizes": [20], "alpha": 0.1, "batch_size": 8, "l1_penalty": 0.01}),
        (LARGE, {"hidden_sizes": [120], "alpha": 0.01, "iterations": 3, "weight_decay": 0.1}),
    ],
)
def test_a_fit_has_the_bits_of_a_training(
    shared_app: App, dataset: Dataset, recipe: dict[str, Any]
) -> None:
    expected = train(dataset, Recipe(**recipe, restarts=0, target_error=None))

    response = shared_app.post("/fit", {"rows": rows_of(dataset), "recipe": recipe})

    network = response["network"]
    assert response["errors"] == expected.errors.tolist()
    assert network["weights"] == {
        name: matrix.tolist() for name, matrix in expected.network.named_weights.items()
    }
    assert (network["activation"], network["scale"]) == (
        expected.network.activation,
        dataset.scale,
    )
    assert response["scores"] == expected.network.scores(dataset.lights).tolist()
    assert response["decisions"] == [outcome_name(score) for score in response["scores"]]
    assert response["accuracy"] == expected.accuracy


def test_a_fit_continues_from_the_network_of_another(shared_app: App) -> None:
    whole = shared_app.post("/fit", {"dataset": "four"})
    first = shared_app.post("/fit", {"dataset": "four", "recipe": {"iterations": 20}})
    body = {"dataset": "four", "recipe": {"iterations": 40}, "network": first["network"]}
    second = shared_app.post("/fit", body)

    assert first["errors"] + second["errors"] == whole["errors"]
    assert second["network"] == whole["network"]


@pytest.mark.parametrize("hidden_sizes", [[], [4], [30], [40, 60]])
def test_a_step_is_a_fit_of_one_row(shared_app: App, hidden_sizes: list[int]) -> None:
    start = {"seed": 3, "hidden_sizes": hidden_sizes, "alpha": 0.1, "l1_penalty": 0.01}
    step = shared_app.post("/step", EXAMPLE | start)
    fit = shared_app.post("/fit", {"rows": [EXAMPLE], "recipe": start | {"iterations": 1}})

    assert fit["network"] == step["network"]
    assert fit["errors"] == [step["error"]]
    assert fit["scores"] == [step["score_after"]]


def test_each_repeat_of_a_row_is_a_row(shared_app: App) -> None:
    recipe = {"hidden_sizes": [], "iterations": 1}
    once = shared_app.post("/fit", {"rows": [EXAMPLE], "recipe": recipe | {"iterations": 2}})
    twice = shared_app.post("/fit", {"rows": [EXAMPLE, EXAMPLE], "recipe": recipe})

    assert twice["network"] == once["network"]
    assert twice["errors"] == [pytest.approx(sum(once["errors"]))]
    assert len(twice["scores"]) == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "rows: expected rows or a dataset, got neither"),
        ({"rows": None}, "rows: expected rows or a dataset, got neither"),
        ({"rows": []}, "rows: expected at least 1 row, got 0"),
        ({"rows": [EXAMPLE], "dataset": "six"}, "dataset: expected rows or a dataset, got both"),
        ({"dataset": "lab"}, "dataset: expected 'one-light', 'six', 'two-rows' or 'four', got"),
        (
            {"rows": [EXAMPLE, {"lights": [1], "outcome": "stop"}]},
            "rows[1].lights: expected 3 lights, as in the first row, got 1",
        ),
        ({"dataset": "six", "recipe": {"restarts": 1}}, "recipe.restarts: unknown field"),
        ({"dataset": "six", "recipe": {"patience": 9}}, "recipe.patience: unknown field"),
        ({"dataset": "six", "recipe": {"target_error": 0.1}}, "recipe.target_error: unknown"),
        ({"dataset": "six", "seed": 1}, "seed: unknown field"),
        ({"dataset": "six", "recipe": {"iterations": 0}}, "recipe.iterations: expected a number"),
        (
            {"dataset": "six", "network": TWO_LAYERS, "recipe": {"seed": 1}},
            "recipe.seed: expected a network or a seed, got both",
        ),
        (
            {"dataset": "six", "network": TWO_LAYERS, "recipe": {"hidden_sizes": [4]}},
            "recipe.hidden_sizes: expected that of the network, [], got [4]",
        ),
        (
            {"dataset": "six", "network": TWO_LAYERS, "recipe": {"activation": "linear"}},
            'recipe.activation: expected that of the network, "relu", got "linear"',
        ),
        (
            {"rows": [{"lights": [1], "outcome": "stop"}], "network": TWO_LAYERS},
            "network.weights.weights_0_1: expected 1 rows, one for each light, got 3",
        ),
        (
            {"dataset": "six", "recipe": {"hidden_sizes": [1024, 1024]}},
            "recipe.hidden_sizes: expected a network of at most 100000 weights, got 1052672",
        ),
        (
            {"dataset": "six", "recipe": {"alpha": 10, "activation": "linear", "iterations": 999}},
            "recipe.alpha: training diverged: the error became inf in iteration ",
        ),
        (
            {"dataset": "six", "network": {**TWO_LAYERS, "scale": 1e-320}},
            "network: expected weights and a scale with which no error overflows",
        ),
        (
            {
                "rows": [{"lights": [1e300], "outcome": "stop"}],
                "recipe": {"alpha": 1e-9, "iterations": 1},
                "network": {"weights": {"weights_0_1": [[1e10]]}},
            },
            "network: expected weights and a scale with which no error overflows",
        ),
        (
            {
                "rows": [{"lights": [1e155], "outcome": "walk"}],
                "recipe": {"alpha": 1, "iterations": 1},
                "network": {"weights": {"weights_0_1": [[0]]}},
            },
            "rows: expected lights for which no score overflows; use smaller lights",
        ),
    ],
)
def test_an_invalid_fit_is_refused(shared_app: App, body: Any, message: str) -> None:
    assert shared_app.expect(400, "POST", "/fit", body)["error"].startswith(message)


@pytest.mark.parametrize(
    "body",
    [
        {"dataset": "four", "recipe": {"iterations": 1_000_000}},
        {"dataset": "four", "recipe": {"iterations": 10_000, "batch_size": 2}},
        {"dataset": "four", "recipe": {"hidden_sizes": [500, 190], "iterations": 500}},
        {"rows": [EXAMPLE] * 4000, "recipe": {"hidden_sizes": [400], "iterations": 1}},
    ],
)
def test_a_fit_that_costs_too_much_is_refused_before_it_starts(
    shared_app: App, body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(scratch_training, "gradient_descent")

    error = shared_app.expect(413, "POST", "/fit", body)["error"]

    assert error.startswith("the request needs ")
    assert "use fewer rows or iterations, or raise the setting" in error


def test_a_fit_asks_after_each_pass_whether_the_client_is_there(shared_app: App) -> None:
    calls = iter([False, False, True])
    environ = {IS_DISCONNECTED: lambda: next(calls)}
    client = shared_app.application.test_client()

    response = client.post("/fit", json={"dataset": "four"}, environ_overrides=environ)

    assert response.status_code == 499
    assert next(calls, None) is None


SMALL = {"weights": {"weights_0_1": [[0.1], [0.1], [0.1]]}}


def test_the_signs_of_small_equal_weights_are_the_lab_s_table(shared_app: App) -> None:
    response = shared_app.post("/pressure", {"dataset": "six", "network": SMALL})

    signs = ["".join(row["signs"]["weights_0_1"]) for row in response["rows"]]
    assert signs == ["-0-", "0++", "00-", "+++", "0++", "-0-"]
    assert (response["version"], response["total_rows"]) == (None, 6)


def test_the_sum_of_the_pressures_moves_the_weights_of_full_descent(shared_app: App) -> None:
    start = {"seed": 2, "hidden_sizes": [5, 3], "activation": "linear"}
    pressure = shared_app.post("/pressure", {"dataset": "four", "limit": 0} | start)
    recipe = start | {"alpha": 0.4, "iterations": 1, "batch_size": None}
    fit = shared_app.post("/fit", {"dataset": "four", "recipe": recipe})
    before = Network(random_weights(3, [5, 3], 2)).named_weights

    for name, total in pressure["sum"].items():
        moved = np.array(fit["network"]["weights"][name]) - before[name]
        np.testing.assert_allclose(moved, 0.4 * np.array(total) / 4, atol=1e-15)


def test_a_page_of_the_pressures_has_the_sums_of_all_rows(shared_app: App) -> None:
    body = {"dataset": "six", "network": SMALL}
    whole = shared_app.post("/pressure", body)
    page = shared_app.post("/pressure", body | {"after": 4, "limit": 5})

    assert page == whole | {"rows": whole["rows"][4:]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"network": SMALL}, "rows: expected rows or a dataset, got neither"),
        ({"dataset": "six", "network": SMALL, "seed": 1}, "seed: expected a network or a seed"),
        (
            {"dataset": "six", "network": SMALL, "hidden_sizes": [2]},
            "hidden_sizes: expected that of the network, [], got [2]",
        ),
        ({"dataset": "six", "recipe": {"seed": 1}}, "recipe: unknown field"),
        ({"dataset": "six", "limit": 1001}, "limit: expected a number of at most 1000"),
        (
            {
                "rows": [{"lights": [1e300], "outcome": "stop"}],
                "network": {"weights": {"weights_0_1": [[1e10]]}},
            },
            "rows: expected lights for which no pressure overflows; use smaller lights",
        ),
    ],
)
def test_an_invalid_pressure_is_refused(shared_app: App, body: Any, message: str) -> None:
    assert shared_app.expect(400, "POST", "/pressure", body)["error"].startswith(message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": [EXAMPLE] * 4000}, "the request needs 505920000 multiplications"),
        ({"rows": [EXAMPLE] * 100}, "the response could have "),
    ],
)
def test_a_pressure_that_costs_too_much_is_refused_before_it_is_computed(
    shared_app: App, fields: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(explanation, "weight_pressure")

    error = shared_app.expect(413, "POST", "/pressure", fields | {"hidden_sizes": [250, 60]})

    assert error["error"].startswith(message)
