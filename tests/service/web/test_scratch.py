"""Tests of POST /step: the lab's run step by step, and invalid requests."""

from typing import Any

import pytest

from streetlight.model.dataset import LAB, outcome_name
from streetlight.service.inference import scratch_network
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
