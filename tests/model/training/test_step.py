"""A step: to the bit what training does with one row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetlight.model.dataset import LAB
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import fit, gradient_descent, initial_network, squared_error
from streetlight.model.training.step import step


@pytest.mark.parametrize("sizes", [(), (4,), (3, 2), (40,), (600,)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_stepping_through_the_rows_is_training(sizes: tuple[int, ...], weight_decay: float) -> None:
    recipe = Recipe(
        hidden_sizes=sizes,
        iterations=5,
        seed=3,
        restarts=0,
        target_error=None,
        weight_decay=weight_decay,
    )
    network = initial_network(LAB, recipe, 3)
    trained, errors = gradient_descent(network, LAB, recipe)

    for error in errors:
        met = 0.0
        for lights, outcome in zip(LAB.lights.tolist(), LAB.walk_vs_stop.tolist(), strict=True):
            taken = step(network, lights, outcome, alpha=recipe.alpha, weight_decay=weight_decay)
            network = taken.network
            met += taken.error
        assert met == error

    for ours, theirs in zip(network.weights, trained.weights, strict=True):
        assert ours.tobytes() == theirs.tobytes()


@given(st.integers(0, 200), st.sampled_from([0.0, 1.0]), st.integers(0, 3))
def test_a_weight_moves_by_alpha_times_its_delta(seed: int, outcome: float, row: int) -> None:
    network = initial_network(LAB, Recipe(), seed)
    lights = LAB.lights[row].tolist()

    taken = step(network, lights, outcome, alpha=0.2)

    assert taken.layers[-1][0] == network.score(lights)
    assert taken.deltas[-1] == [outcome - network.score(lights)]
    for before, delta, after in zip(
        network.weights, taken.weight_deltas, taken.network.weights, strict=True
    ):
        np.testing.assert_allclose(after, before + 0.2 * delta, rtol=0, atol=1e-15)


def test_a_small_step_lowers_the_error_of_its_row() -> None:
    network = initial_network(LAB, Recipe(), 1)
    taken = step(network, [1.0, 0.0, 1.0], 1.0, alpha=0.01)
    again = step(taken.network, [1.0, 0.0, 1.0], 1.0, alpha=0.01)
    assert again.error < taken.error


def test_a_step_too_far_is_refused_and_changes_nothing() -> None:
    network = fit(LAB, Recipe()).network
    before = squared_error(network, LAB)
    with pytest.raises(ValueError, match="finite"):
        step(network, [1e308, 0.0, 1e308], 0.0, alpha=1e9)
    assert squared_error(network, LAB) == before
