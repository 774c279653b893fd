"""Tests of the exact matrix products: the order of the operands doesn't change the bits."""

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetlight.model.dataset import Dataset, FloatArray
from streetlight.model.network import forward
from streetlight.model.recipe import Recipe
from streetlight.model.training.exact_products import (
    EXACT_BLOCK_ROWS,
    exact_weight_deltas,
    quantise,
)
from streetlight.model.training.fit import TrainingDivergedError, fit, initial_network
from tests.model.bits import assert_same_bits

WIDE = Recipe(hidden_sizes=(40,), alpha=0.02, iterations=30, batch_size=None, target_error=None)


def random_dataset(rows: int, lights: int = 20) -> Dataset:
    """Return random states; the outcome is walk if the mean of the lights is above 0.5."""
    states = np.random.default_rng(rows).uniform(0, 1, (rows, lights))
    return Dataset(states, (states.sum(axis=1) > lights / 2).astype(float))


def deltas_by_definition(
    weights: tuple[FloatArray, ...], layer_0: FloatArray, outcomes: FloatArray
) -> tuple[list[FloatArray], float]:
    """Return the weight_deltas of a relu network in double precision, and the squared error."""
    layers = forward(weights, layer_0, "relu")
    delta = outcomes[:, np.newaxis] - layers[-1]
    error = float((delta**2).sum())
    deltas: list[FloatArray] = []
    for d in range(len(weights) - 1, -1, -1):
        deltas.insert(0, layers[d].T @ delta)
        delta = (delta @ weights[d].T) * (layers[d] > 0)
    return deltas, error


@given(st.lists(st.floats(-1e280, 1e280), min_size=1), st.integers(1, 30))
def test_quantise_rounds_to_the_nearest_multiple_of_its_step(
    values: list[float], bits: int
) -> None:
    array = np.array(values)
    magnitude = max(np.abs(array).max(), 2.0**-400)
    step = np.ldexp(1.0, np.frexp(magnitude)[1] - bits)

    rounded = quantise(array.copy(), bits)

    assert (np.abs(rounded - array) <= step / 2).all()
    assert (rounded / step == np.round(rounded / step)).all()


@pytest.mark.parametrize("sizes", [(40,), (17, 600), (64, 32, 20)])
def test_exact_weight_deltas_equal_double_precision_up_to_quantisation(
    sizes: tuple[int, ...],
) -> None:
    dataset = random_dataset(2 * EXACT_BLOCK_ROWS + 7)
    network = initial_network(dataset, Recipe(hidden_sizes=sizes), 1)
    layer_0 = dataset.lights / network.scale

    deltas, error = exact_weight_deltas(
        network.weights, layer_0, dataset.walk_vs_stop, network.activation, np.ones(len(dataset))
    )

    expected, expected_error = deltas_by_definition(network.weights, layer_0, dataset.walk_vs_stop)
    assert error == pytest.approx(expected_error, rel=1e-5)
    for exact, double in zip(deltas, expected, strict=True):
        np.testing.assert_allclose(exact, double, atol=1e-4 * np.abs(double).max())


def test_the_order_of_rows_lights_and_nodes_changes_no_bit() -> None:
    dataset = random_dataset(EXACT_BLOCK_ROWS)
    network = initial_network(dataset, WIDE, 1)
    layer_0 = dataset.lights / network.scale
    random = np.random.default_rng(0)
    rows, lights, nodes = (random.permutation(n) for n in (EXACT_BLOCK_ROWS, 20, 40))
    first, second = network.weights

    (first_deltas, second_deltas), _ = exact_weight_deltas(
        network.weights, layer_0, dataset.walk_vs_stop, "relu", np.ones(len(dataset))
    )
    (first_permuted, second_permuted), _ = exact_weight_deltas(
        (first[lights][:, nodes], second[nodes]),
        layer_0[rows][:, lights],
        dataset.walk_vs_stop[rows],
        "relu",
        np.ones(len(dataset)),
    )

    assert_same_bits(first_permuted, first_deltas[lights][:, nodes])
    assert_same_bits(second_permuted, second_deltas[nodes])


def digest() -> str:
    """Return the digest of the weights after a training."""
    weights = fit(random_dataset(700), WIDE).network.weights
    return hashlib.sha256(b"".join(matrix.tobytes() for matrix in weights)).hexdigest()


@pytest.mark.process
@pytest.mark.parametrize("settings", [{"OPENBLAS_CORETYPE": "Prescott"}, {"OMP_NUM_THREADS": "1"}])
def test_the_kernels_of_another_processor_and_one_thread_train_the_same_network(
    settings: dict[str, str],
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import digest; print(digest())"],
        cwd=Path(__file__).parents[3],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout.strip() == digest()


@pytest.mark.parametrize(("batch_size", "alpha"), [(1, 0.01), (32, 0.05), (None, 0.1)])
def test_stochastic_batch_and_full_descent_all_learn(batch_size: int | None, alpha: float) -> None:
    recipe = replace(WIDE, hidden_sizes=(120,), alpha=alpha, batch_size=batch_size, restarts=0)
    training = fit(random_dataset(100), recipe)

    assert training.error < training.errors[0] / 2


def test_a_training_that_diverges_raises_an_error() -> None:
    linear = replace(WIDE, activation="linear", alpha=50, restarts=1)
    with pytest.raises(TrainingDivergedError, match="try a smaller alpha"):
        fit(random_dataset(50), linear)


def largest(*shape: int) -> FloatArray:
    """Return numbers just below 1, whose products are the largest that a sum can have."""
    return 1 - np.random.default_rng(0).random(shape) / 64


@pytest.mark.parametrize("lowest", [1, 1e-6])
@pytest.mark.parametrize(("width", "outcome"), [(40, 0.0), (1024, 0.0), (1024, 600.0)])
def test_sums_of_the_largest_products_are_exact(width: int, outcome: float, lowest: float) -> None:
    """With one more bit for each factor, the sums would depend on the order."""
    rows, random = EXACT_BLOCK_ROWS, np.random.default_rng(1)
    weights, layer_0 = (largest(3, width), largest(width, 1)), largest(rows, 3)
    outcomes, importance = np.full(rows, outcome), random.uniform(lowest, 1, rows)

    deltas, error = exact_weight_deltas(weights, layer_0, outcomes, "relu", importance)

    for _ in range(5):
        order, nodes = random.permutation(rows), random.permutation(width)
        (first, second), error_permuted = exact_weight_deltas(
            (weights[0][:, nodes], weights[1][nodes]),
            layer_0[order],
            outcomes[order],
            "relu",
            importance[order],
        )
        assert error_permuted == error
        assert_same_bits(first, deltas[0][:, nodes])
        assert_same_bits(second, deltas[1][nodes])


def test_quantisation_keeps_as_many_bits_as_an_exact_sum_allows() -> None:
    """22 bits for each factor leave 9 of 53 for a sum of 512 products."""
    random = np.random.default_rng(0)
    weights, layer_0 = (random.random((20, 1)),), random.random((1, 20))
    [deltas], _ = exact_weight_deltas(weights, layer_0, np.ones(1), "linear", np.ones(1))

    quantised = [quantise(array.copy(), 22) for array in (weights[0], layer_0)]
    delta = quantise(np.ones((1, 1)) - quantised[1] @ quantised[0], 22)
    assert_same_bits(deltas, quantised[1].T @ delta)


def test_numbers_whose_products_would_underflow_become_0() -> None:
    assert quantise(np.array([1e-300, -1e-200]), 22).tolist() == [0.0, 0.0]
    assert quantise(np.zeros(2), 22).tolist() == [0.0, 0.0]
