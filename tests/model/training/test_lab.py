"""Tests against the numbers that the lab prints."""

from dataclasses import replace

import numpy as np
import pytest

from streetlight.model.dataset import LAB, LAB_DIRECT, Dataset
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import fit, gradient_descent, initial_network

ERRORS = [
    "0.634231159844",
    "0.358384076763",
    "0.0830183113303",
    "0.0064670549571",
    "0.000329266900075",
    "1.50556226651e-05",
]


def test_the_three_layer_network_has_the_lab_s_six_errors_to_twelve_digits() -> None:
    training = fit(LAB, Recipe())

    assert [f"{error:.12g}" for error in training.errors[9::10]] == ERRORS
    assert training.seed == 1
    assert training.runs == 1


def test_the_trained_network_equals_that_of_the_lab_s_loop() -> None:
    """The loop shares no code with `model`."""
    network = initial_network(LAB, Recipe(), 1)
    weights_0_1, weights_1_2 = (matrix.copy() for matrix in network.weights)
    for _ in range(60):
        for i in range(4):
            layer_0 = LAB.lights[i : i + 1]
            layer_1 = np.maximum(layer_0 @ weights_0_1, 0)
            layer_2_delta = LAB.walk_vs_stop[i] - layer_1 @ weights_1_2
            layer_1_delta = (layer_2_delta @ weights_1_2.T) * (layer_1 > 0)
            weights_1_2 += 0.2 * layer_1.T @ layer_2_delta
            weights_0_1 += 0.2 * layer_0.T @ layer_1_delta

    trained = fit(LAB, Recipe()).network.named_weights

    np.testing.assert_allclose(trained["weights_0_1"], weights_0_1, rtol=0, atol=1e-12)
    np.testing.assert_allclose(trained["weights_1_2"], weights_1_2, rtol=0, atol=1e-12)


TWO_LAYERS = Network((np.array([[0.5], [0.48], [-0.7]]),))
TWO_LAYER_RECIPE = Recipe(hidden_sizes=(), alpha=0.1, iterations=40)


def test_the_two_layer_network_makes_the_lab_s_first_four_predictions() -> None:
    """Each prediction is made before the update by its row."""
    network, predictions = TWO_LAYERS, []
    for i in range(4):
        predictions.append(network.score(LAB_DIRECT.lights[i].tolist()))
        row = Dataset(LAB_DIRECT.lights[i : i + 1], LAB_DIRECT.walk_vs_stop[i : i + 1])
        network, _ = gradient_descent(network, row, replace(TWO_LAYER_RECIPE, iterations=1))

    assert predictions == pytest.approx([-0.2, -0.2, -0.56, 0.616], abs=1e-12)


def test_the_two_layer_network_learns_that_the_middle_light_decides() -> None:
    network, errors = gradient_descent(TWO_LAYERS, LAB_DIRECT, TWO_LAYER_RECIPE)

    left, middle, right = network.weights[0][:, 0]
    assert f"{errors[0]:.11g}" == "2.6561231104"
    assert middle == pytest.approx(1, abs=0.02)
    assert [left, right] == pytest.approx([0, 0], abs=0.02)


@pytest.mark.parametrize(
    ("penalty", "value", "right"),
    [
        ("weight_decay", 0.01, "0.018"),
        ("weight_decay", 0.05, "0.089"),
        ("weight_decay", 0.2, "0.18"),
        ("l1_penalty", 0.005, "0.00036"),
    ],
)
def test_the_l1_penalty_removes_the_weight_with_conflicting_pressure(
    penalty: str, value: float, right: str
) -> None:
    """The right light is on in every row; weight decay lets it share the middle one's weight."""
    recipe = replace(TWO_LAYER_RECIPE, target_error=None, **{penalty: value})  # type: ignore[arg-type]

    weights = fit(LAB_DIRECT, recipe).network.weights[0][:, 0]

    assert f"{weights[2]:.2g}" == right
    if penalty == "l1_penalty":
        assert weights[0] == 0


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(hidden_sizes=(), iterations=300, target_error=None),
        Recipe(activation="linear", iterations=300, target_error=None),
        Recipe(
            hidden_sizes=(8, 8), alpha=0.02, activation="linear", iterations=300, target_error=None
        ),
    ],
)
def test_no_linear_network_learns_the_dataset_without_correlation(recipe: Recipe) -> None:
    """Consecutive linear layers equal one weighted sum, and least squares is the best of those."""
    best, *_ = np.linalg.lstsq(LAB.lights, LAB.walk_vs_stop)
    lowest = float(((LAB.lights @ best - LAB.walk_vs_stop) ** 2).sum())

    training = fit(LAB, recipe)

    assert lowest == pytest.approx(1)
    assert training.error >= lowest - 1e-9
    assert training.accuracy < 1


def test_105_of_the_first_200_seeds_miss_the_target_error() -> None:
    """The figure is in the docstring of `Recipe`; it is the reason for restarts."""
    met = sum(fit(LAB, Recipe(seed=seed, restarts=0)).converged for seed in range(200))

    assert met == 200 - 105
