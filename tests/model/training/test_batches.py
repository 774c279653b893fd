"""Tests of rows that stand for several observations, in stochastic, batch and full descent."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streetlight.model.dataset import LAB, Dataset
from streetlight.model.recipe import Recipe
from streetlight.model.training.batches import MIN_SHARE, divide
from streetlight.model.training.fit import (
    TrainingDivergedError,
    fit,
    gradient_descent,
    initial_network,
)
from tests.model.bits import assert_same_bits


@pytest.mark.parametrize(
    ("counts", "batch_size", "bounds", "shares"),
    [
        ([1, 1, 1, 1, 1], 2, [0, 2, 4, 5], [1, 1, 1]),
        ([3, 1, 6], 1, [0, 1, 2, 3], [1 / 2, 1 / 6, 1]),
        ([7, 7], 1, [0, 1, 2], [1, 1]),
        ([1, 10**12], 1, [0, 1, 2], [MIN_SHARE, 1]),
        ([1, 2, 2, 1, 9, 1], 4, [0, 2, 4, 5, 6], [1 / 3, 1 / 3, 1, 1 / 3]),
        ([3, 1, 6], 10, [0, 3], [1]),
    ],
)
def test_batches_have_at_most_so_many_observations_or_one_row(
    counts: list[int], batch_size: int, bounds: list[int], shares: list[float]
) -> None:
    batches = divide(np.array(counts), batch_size)

    assert batches.bounds == bounds
    assert batches.shares.tolist() == shares


@given(st.lists(st.integers(1, 100), min_size=1), st.integers(1, 300))
def test_every_row_is_in_one_batch(counts: list[int], batch_size: int) -> None:
    bounds, shares, importance = divide(np.array(counts), batch_size)

    assert (bounds[0], bounds[-1]) == (0, len(counts))
    assert len(shares) == len(bounds) - 1
    sizes = [sum(counts[start:end]) for start, end in pairwise(bounds)]
    for first, size, following in zip(bounds, sizes, [*bounds[1:-1], None], strict=False):
        assert size <= batch_size or size == counts[first]
        assert following is None or size + counts[following] > batch_size
    assert MIN_SHARE <= min(shares) <= max(shares) == 1
    for start, end in pairwise(bounds):
        largest = max(counts[start:end])
        assert importance[start:end].tolist() == [c / largest for c in counts[start:end]]


def repeated(seed: int, lights: int = 3) -> Dataset:
    """Return random observations of 12 states, some with both outcomes; none is grouped."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, 12, 90)
    states = random.uniform(0, 1, (12, lights))
    return Dataset(states[rows], random.integers(0, 2, 90).astype(float))


@pytest.mark.parametrize("sizes", [(), (4,), (8, 4), (40,)])
@pytest.mark.parametrize("penalties", [{}, {"weight_decay": 0.01, "l1_penalty": 0.002}])
def test_full_descent_on_grouped_rows_equals_full_descent_on_the_rows(
    sizes: tuple[int, ...], penalties: dict[str, float]
) -> None:
    recipe = Recipe(hidden_sizes=sizes, batch_size=None, iterations=200, **penalties)  # type: ignore[arg-type]
    kept = repeated(len(sizes))
    grouped = kept.grouped()
    network = initial_network(kept, recipe, 1)

    on_rows, _ = gradient_descent(network, kept, recipe)
    on_grouped, _ = gradient_descent(network, grouped, recipe)

    assert len(grouped) < len(kept)
    # The products of wide layers are quantised.
    tolerance = 1e-4 if max(sizes, default=0) > 16 else 1e-9
    for rows, groups in zip(on_rows.weights, on_grouped.weights, strict=True):
        np.testing.assert_allclose(groups, rows, rtol=0, atol=tolerance)


@pytest.mark.parametrize("batch_size", [1, 2, None])
@pytest.mark.parametrize("sizes", [(4,), (40,)])
def test_equal_counts_train_like_rows_that_count_once(
    batch_size: int | None, sizes: tuple[int, ...]
) -> None:
    counted = replace(LAB, counts=np.full(4, 7))
    once = Recipe(hidden_sizes=sizes, batch_size=batch_size)
    # Seven observations for each row.
    recipe = replace(once, batch_size=batch_size and batch_size * 7) if batch_size != 1 else once

    trained, expected = fit(counted, recipe), fit(LAB, once)

    assert_same_bits(trained.errors, expected.errors)
    for matrix, other in zip(trained.network.weights, expected.network.weights, strict=True):
        assert_same_bits(matrix, other)


def test_a_state_with_more_observations_is_decided_as_they_were() -> None:
    """A two-layer network can't decide all three states right."""
    states, outcomes = np.array([[1.0, 0], [0, 1], [1, 1]]), np.array([1.0, 1, 0])
    for frequent in range(3):
        counts = np.where(np.arange(3) == frequent, 10, 1)
        dataset = Dataset(states, outcomes, counts)
        for batch_size in (1, 3, None):
            recipe = Recipe(hidden_sizes=(), batch_size=batch_size, target_error=None)
            scores = fit(dataset, replace(recipe, iterations=300)).network.scores(states)
            assert np.abs(scores - outcomes).argmin() == frequent


@pytest.mark.parametrize("sizes", [(), (8,), (16, 16, 16), (8, 8, 8, 8, 8), (32, 32)])
def test_a_state_observed_a_million_times_diverges_only_where_single_ones_do(
    sizes: tuple[int, ...],
) -> None:
    diverged: dict[int, set[int]] = {1: set(), 1_000_000: set()}
    recipe = Recipe(hidden_sizes=sizes, iterations=30, target_error=None)
    for seed in range(10):
        random = np.random.default_rng(seed)
        states, outcomes = random.uniform(0, 1, (6, 3)), random.integers(0, 2, 6).astype(float)
        frequent = random.integers(6)
        for count, seeds in diverged.items():
            counts = np.where(np.arange(6) == frequent, count, 1)
            dataset = Dataset(states, outcomes, counts)
            try:
                gradient_descent(initial_network(dataset, recipe, seed), dataset, recipe)
            except TrainingDivergedError:
                seeds.add(seed)

    assert diverged[1_000_000] <= diverged[1]
