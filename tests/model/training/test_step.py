"""Tests of `step`: the same bits as training with one row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetlight.model.dataset import LAB
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.training import row_pass
from streetlight.model.training.fit import gradient_descent, initial_network
from streetlight.model.training.step import step
from tests.model.bits import assert_same_bits


@pytest.mark.parametrize("sizes", [(), (4,), (3, 2), (40,), (12, 6), (600,)])
@pytest.mark.parametrize(("weight_decay", "l1_penalty"), [(0.0, 0.0), (0.01, 0.0), (0.01, 0.005)])
def test_a_step_for_each_row_gives_the_same_network_as_a_pass(
    sizes: tuple[int, ...], weight_decay: float, l1_penalty: float
) -> None:
    recipe = Recipe(
        hidden_sizes=sizes,
        iterations=5,
        seed=3,
        restarts=0,
        target_error=None,
        weight_decay=weight_decay,
        l1_penalty=l1_penalty,
    )
    network = initial_network(LAB, recipe, 3)
    trained, errors = gradient_descent(network, LAB, recipe)

    for error in errors:
        total = 0.0
        for lights, outcome in zip(LAB.lights.tolist(), LAB.walk_vs_stop.tolist(), strict=True):
            update = step(
                network,
                lights,
                outcome,
                alpha=recipe.alpha,
                weight_decay=weight_decay,
                l1_penalty=l1_penalty,
            )
            network = update.network
            total += update.error
        assert total == error

    for stepped, expected in zip(network.weights, trained.weights, strict=True):
        assert_same_bits(stepped, expected)


def test_a_step_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    network = initial_network(LAB, Recipe(hidden_sizes=(37, 5)), 1)
    monkeypatch.delattr(row_pass, "source")

    step(network, [1.0, 0.0, 1.0], 1.0, alpha=0.01)


@given(st.integers(0, 200), st.sampled_from([0.0, 1.0]), st.integers(0, 3))
def test_a_weight_moves_by_alpha_times_its_delta(seed: int, outcome: float, row: int) -> None:
    network = initial_network(LAB, Recipe(), seed)
    lights = LAB.lights[row].tolist()

    update = step(network, lights, outcome, alpha=0.2)

    assert update.layers[-1][0] == network.score(lights)
    assert update.deltas[-1] == [outcome - network.score(lights)]
    for before, delta, after in zip(
        network.weights, update.weight_deltas, update.network.weights, strict=True
    ):
        np.testing.assert_allclose(after, before + 0.2 * delta, rtol=0, atol=1e-15)


def test_a_small_step_lowers_the_error_of_its_row() -> None:
    network = initial_network(LAB, Recipe(), 1)
    first = step(network, [1.0, 0.0, 1.0], 1.0, alpha=0.01)
    second = step(first.network, [1.0, 0.0, 1.0], 1.0, alpha=0.01)
    assert second.error < first.error


def test_a_step_whose_weights_overflow_is_refused() -> None:
    network = initial_network(LAB, Recipe(), 1)
    with pytest.raises(ValueError, match="expected finite weights"):
        step(network, [1e308, 0.0, 1e308], 0.0, alpha=1e9)


def test_a_step_scales_the_lights_and_keeps_the_scale() -> None:
    weights = initial_network(LAB, Recipe(), 1).weights
    lights = [1.0, 0.0, 1.0]

    plain = step(Network(weights), lights, 1.0, alpha=0.2)
    scaled = step(Network(weights, scale=8.0), [8 * light for light in lights], 1.0, alpha=0.2)

    assert (scaled.layers, scaled.error, scaled.network.scale) == (plain.layers, plain.error, 8.0)
    for matrix, expected in zip(scaled.network.weights, plain.network.weights, strict=True):
        assert_same_bits(matrix, expected)


def test_weight_deltas_have_no_negative_zero() -> None:
    update = step(Network((np.array([[1.0], [1.0]]),)), [0.0, 1.0], 0.0, alpha=0.1)

    assert_same_bits(update.weight_deltas[0], [[0.0], [-1.0]])


def test_a_step_to_nan_weights_is_refused() -> None:
    network = Network((np.array([[1e10, 1e10], [1e10, -1e10]]), np.array([[1.0], [-1.0]])))
    with pytest.raises(ValueError, match="finite"):
        step(network, [1e300, 0.0], 0.0, alpha=0.1)
