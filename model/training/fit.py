"""Training: from a dataset and a recipe to a network, or to a clear word why not.

What one pass over the data computes is in `descent`; keeping what came of it, in `repository`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from streetlight.model.dataset import Dataset, FloatArray
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.training.descent import start


class TrainingDivergedError(ArithmeticError):
    """The weights grew without bound in every run; there is no network to speak of."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands after a pass: in which run (from 0), its seed, the pass's error."""

    restart: int
    seed: int
    iteration: int
    error: float


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What a training came to.

    Attributes:
        network: of the best run.
        recipe: that was followed.
        seed: that won, between `recipe.seed` and `recipe.seed + recipe.restarts`.
        runs: how many seeds were tried.
        errors: shape (iterations,), the lab's error of each pass of the winning run.
        error: the squared errors of `network` itself, summed over the rows.
        accuracy: the share of the observations that `network` decides rightly.
    """

    network: Network
    recipe: Recipe
    seed: int
    runs: int
    errors: FloatArray
    error: float
    accuracy: float

    @property
    def converged(self) -> bool:
        """Whether the recipe's target is met; always, where it names none."""
        return self.recipe.target_error is None or self.error <= self.recipe.target_error


def initial_network(dataset: Dataset, recipe: Recipe, seed: int) -> Network:
    """Return the random start: weights uniform in [-1, 1), drawn as the lab draws them.

    `RandomState` is numpy's legacy generator, whose stream numpy promises never to change.
    """
    random = np.random.RandomState(seed)
    sizes = [dataset.light_count, *recipe.hidden_sizes, 1]
    weights = [2 * random.random_sample(shape) - 1 for shape in pairwise(sizes)]
    return Network(tuple(weights), recipe.activation, dataset.scale)


def squared_error(network: Network, dataset: Dataset) -> float:
    """Return the squared errors of `network`, summed over the rows; the lab's error measure."""
    delta = dataset.walk_vs_stop - network.scores(dataset.lights)
    with np.errstate(over="ignore"):
        return float((delta * delta).sum())


def gradient_descent(
    network: Network,
    dataset: Dataset,
    recipe: Recipe,
    report: Callable[[int, float], None] = lambda _iteration, _error: None,
) -> tuple[Network, FloatArray]:
    """Make one run from `network` and return where it ends, and the error of each pass.

    Args:
        network: the start; it is not changed.
        dataset: what to learn.
        recipe: how; seed, restarts and hidden_sizes don't matter here.
        report: called after each pass with its number, from 1, and its error. An exception that
            it raises ends the run: that is how a training is cancelled.

    Raises:
        TrainingDivergedError: the error is no longer a finite number.
    """
    one_pass, weights = start(
        network.weights,
        dataset.lights / network.scale,
        dataset.walk_vs_stop,
        batch_size=recipe.batch_size or len(dataset),
        alpha=recipe.alpha,
        weight_decay=recipe.weight_decay,
        activation=network.activation,
    )
    # Without a target, one that no error is low enough for: it ends nothing early.
    target = -1.0 if recipe.target_error is None else recipe.target_error
    errors: list[float] = []
    lowest, since_lowest = math.inf, 0

    def current() -> Network:
        return Network(weights(), network.activation, network.scale)

    with np.errstate(over="ignore", invalid="ignore"):
        for iteration in range(1, recipe.iterations + 1):
            error = one_pass()
            if not math.isfinite(error):
                raise _diverged(recipe, f"the error became {error} in iteration {iteration}")
            errors.append(error)
            report(iteration, error)
            since_lowest = 0 if error < lowest else since_lowest + 1
            lowest = min(lowest, error)
            if recipe.patience is None:
                continue
            # The pass met the target with weights that it then changed, so ask the new ones.
            met = error <= target and squared_error(current(), dataset) <= target
            if met or since_lowest >= recipe.patience:
                break
        if not all(np.isfinite(matrix).all() for matrix in weights()):
            raise _diverged(recipe, "the weights overflowed")
    return current(), np.array(errors)


def _diverged(recipe: Recipe, what: str) -> TrainingDivergedError:
    advice = f"try a smaller alpha than {recipe.alpha:g}"
    return TrainingDivergedError(f"training diverged: {what}; {advice}")


def fit(
    dataset: Dataset, recipe: Recipe, report: Callable[[Progress], None] = lambda _progress: None
) -> TrainingResult:
    """Train: run after run, each from the next seed, until the target is met.

    Args:
        dataset: what to learn. Rows are taken in order, as they stand.
        recipe: how.
        report: called after each pass; an exception that it raises ends the training.

    Returns:
        The run with the lowest error. Whether that is low enough, `converged` says.

    Raises:
        TrainingDivergedError: no run stayed finite.
    """
    best: TrainingResult | None = None
    diverged: TrainingDivergedError | None = None
    for restart in range(recipe.restarts + 1):
        seed = recipe.seed + restart
        try:
            network, errors = gradient_descent(
                initial_network(dataset, recipe, seed),
                dataset,
                recipe,
                lambda iteration, error: report(Progress(restart, seed, iteration, error)),  # noqa: B023
            )
        except TrainingDivergedError as no_network:
            diverged = no_network
            continue
        error = squared_error(network, dataset)
        if best is None or error < best.error:
            accuracy = dataset.accuracy(network.scores(dataset.lights))
            best = TrainingResult(network, recipe, seed, restart + 1, errors, error, accuracy)
        if best.converged:
            return replace(best, runs=restart + 1)
    if best is None:
        raise diverged or TrainingDivergedError("no run was made")
    return replace(best, runs=recipe.restarts + 1)
