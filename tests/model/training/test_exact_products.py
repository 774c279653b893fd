"""Wide networks: their training's products need no rounding, so they have no order to depend on."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetlight.model.dataset import Dataset, FloatArray
from streetlight.model.network import forward
from streetlight.model.recipe import Recipe
from streetlight.model.training.exact_products import ROWS, exact_weight_deltas, quantise
from streetlight.model.training.fit import TrainingDivergedError, fit, initial_network

WIDE = Recipe(hidden_sizes=(40,), alpha=0.02, iterations=30, batch_size=None, target_error=None)


def crossing(rows: int, lights: int = 20) -> Dataset:
    """Walk where more than half of the lights' brightness is there."""
    layer_0 = np.random.default_rng(rows).uniform(0, 1, (rows, lights))
    return Dataset(layer_0, (layer_0.sum(axis=1) > lights / 2).astype(float))


def deltas_by_definition(
    weights: tuple[FloatArray, ...], layer_0: FloatArray, outcomes: FloatArray
) -> tuple[list[FloatArray], float]:
    """Return the weight_deltas of relu networks in double precision, in any order."""
    layers = forward(weights, layer_0, "relu")
    delta = outcomes[:, np.newaxis] - layers[-1]
    error = float((delta**2).sum())
    deltas: list[FloatArray] = []
    for d in range(len(weights) - 1, -1, -1):
        deltas.insert(0, layers[d].T @ delta)
        delta = (delta @ weights[d].T) * (layers[d] > 0)
    return deltas, error


@given(st.lists(st.floats(-1e280, 1e280), min_size=1), st.integers(1, 30))
def test_a_grid_holds_few_bits_and_is_no_further_than_half_its_step(
    values: list[float], bits: int
) -> None:
    array = np.array(values)
    top = max(np.abs(array).max(), 2.0**-400)
    step = np.ldexp(1.0, np.frexp(top)[1] - bits)

    rounded = quantise(array.copy(), bits)

    assert (np.abs(rounded - array) <= step / 2).all()
    assert (rounded / step == np.round(rounded / step)).all()


@pytest.mark.parametrize("sizes", [(40,), (17, 600), (64, 32, 20)])
def test_they_are_the_weight_deltas_as_fine_as_the_grid(sizes: tuple[int, ...]) -> None:
    dataset = crossing(2 * ROWS + 7)
    network = initial_network(dataset, Recipe(hidden_sizes=sizes), 1)
    layer_0 = dataset.lights / network.scale

    deltas, error = exact_weight_deltas(
        network.weights, layer_0, dataset.walk_vs_stop, network.activation
    )

    expected, expected_error = deltas_by_definition(network.weights, layer_0, dataset.walk_vs_stop)
    assert error == pytest.approx(expected_error, rel=1e-5)
    for found, wanted in zip(deltas, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4 * np.abs(wanted).max())


def test_neither_the_order_of_rows_nor_of_nodes_changes_a_bit() -> None:
    dataset = crossing(ROWS)
    network = initial_network(dataset, WIDE, 1)
    layer_0 = dataset.lights / network.scale
    random = np.random.default_rng(0)
    rows, lights, nodes = (random.permutation(n) for n in (ROWS, 20, 40))
    first, second = network.weights

    (a, b), _ = exact_weight_deltas(network.weights, layer_0, dataset.walk_vs_stop, "relu")
    (a2, b2), _ = exact_weight_deltas(
        (first[lights][:, nodes], second[nodes]),
        layer_0[rows][:, lights],
        dataset.walk_vs_stop[rows],
        "relu",
    )

    np.testing.assert_array_equal(a[lights][:, nodes], a2)
    np.testing.assert_array_equal(b[nodes], b2)


def digest() -> str:
    """Return the digest of the weights that a training ends with."""
    weights = fit(crossing(700), WIDE).network.weights
    return hashlib.sha256(b"".join(matrix.tobytes() for matrix in weights)).hexdigest()


@pytest.mark.parametrize("settings", [{"OPENBLAS_CORETYPE": "Prescott"}, {"OMP_NUM_THREADS": "1"}])
def test_another_processors_products_and_other_threads_train_the_same_network(
    settings: dict[str, str],
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import digest; print(digest())"],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout.strip() == digest()


@pytest.mark.parametrize(("batch_size", "alpha"), [(1, 0.01), (32, 0.05), (None, 0.1)])
def test_stochastic_batch_and_full_descent_all_learn(batch_size: int | None, alpha: float) -> None:
    recipe = replace(WIDE, hidden_sizes=(120,), alpha=alpha, batch_size=batch_size, restarts=0)
    training = fit(crossing(100), recipe)

    assert training.error < training.errors[0] / 2


def test_an_error_beyond_all_numbers_is_said() -> None:
    linear = replace(WIDE, activation="linear", alpha=50, restarts=1)
    with pytest.raises(TrainingDivergedError, match="try a smaller alpha"):
        fit(crossing(50), linear)
