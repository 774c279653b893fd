"""Tests of light states observed as often with walk as with stop, which are decided stop."""

from dataclasses import replace

import numpy as np
import pytest

from streetlight.model.dataset import LAB, THRESHOLD, Dataset, outcome_name
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import fit, squared_error

RECIPE = Recipe(hidden_sizes=(8,), iterations=1000)


def with_tie(state: list[float]) -> Dataset:
    """Return the lab's rows, and the two outcomes of `state`, grouped."""
    lights, outcomes = np.vstack([LAB.lights, state, state]), [*LAB.walk_vs_stop, 1.0, 0.0]
    return Dataset(lights, np.array(outcomes)).grouped()


# A new state, and a state that the lab observed with walk.
TIES = [with_tie([0, 1, 0]), Dataset(LAB.lights, np.array([0.5, 1, 0, 0]), np.array([2, 1, 1, 1]))]


@pytest.mark.parametrize(
    ("tie", "patience", "seeds"), [(0, 50, 200), (1, 50, 40), (0, None, 5), (1, None, 5)]
)
def test_a_tie_is_decided_stop_for_every_seed(tie: int, patience: int | None, seeds: int) -> None:
    """Early stopping leaves the score far from 0.5; the full number of passes, at rounding."""
    dataset = TIES[tie]
    for seed in range(seeds):
        training = fit(dataset, replace(RECIPE, seed=seed, patience=patience))

        assert training.converged
        decisions = [outcome_name(score) for score in training.network.scores(dataset.lights)]
        expected = [outcome_name(mean) for mean in dataset.walk_vs_stop]
        assert decisions == expected
        assert decisions.count("walk") == (dataset.walk_vs_stop == 1).sum()


def test_a_run_that_decides_a_tie_walk_misses_its_target() -> None:
    alone = replace(RECIPE, iterations=60, restarts=0)
    missed = [
        training
        for seed in range(100)
        if (training := fit(TIES[0], replace(alone, seed=seed))).error <= 0.01
        and not training.converged
    ]

    assert missed
    for training in missed:
        assert training.tied_walks == 1
        assert training.network.score([0, 1, 0]) > THRESHOLD
        assert (
            training.missed_target
            == "1 light state is decided walk, but observed as often with stop"
        )
        again = fit(TIES[0], replace(alone, seed=training.seed, restarts=40))
        assert again.converged
        assert again.seed > training.seed


def test_early_stopping_waits_until_a_tie_is_decided_stop() -> None:
    waited = 0
    for seed in range(30):
        recipe = replace(RECIPE, seed=seed, patience=50, restarts=0)
        training = fit(TIES[0], recipe)
        if training.converged:
            before = replace(recipe, iterations=len(training.errors) - 1, patience=None)
            waited += squared_error(fit(TIES[0], before).network, TIES[0]) <= 0.01
    assert waited


@pytest.mark.parametrize(
    ("error", "tied_walks", "target", "missed"),
    [
        (0.01, 0, 0.01, None),
        (0.02, 0, 0.01, "the error is 0.02, above the target of 0.01"),
        (0.02, 3, 0.01, "the error is 0.02, above the target of 0.01"),
        (0.0, 1, 0.01, "1 light state is decided walk, but observed as often with stop"),
        (0.0, 2, 0.01, "2 light states are decided walk, but observed as often with stop"),
        # A target for noisy outcomes allows for some.
        (18.0, 6, 20, None),
        (19.0, 6, 20, "6 light states are decided walk, but observed as often with stop"),
        (1e6, 9, None, None),
    ],
)
def test_why_a_target_is_missed(
    error: float, tied_walks: int, target: float | None, missed: str | None
) -> None:
    assert Recipe(target_error=target).missed_target(error, tied_walks) == missed


def test_ties_are_found_among_rows_and_groups() -> None:
    rows = Dataset(
        np.array([[1.0, 0], [0, 1], [1, 0], [-0.0, 1], [0, 1], [1, 1]]),
        np.array([1.0, 0, 0, 1, 1, 0.5]),
    )

    assert rows.ties.tolist() == rows.grouped().ties.tolist() == [[1.0, 0.0], [1.0, 1.0]]
    assert LAB.ties.shape == (0, 3)
