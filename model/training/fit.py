"""`fit`: run gradient descent from one seed after another, and return the best run.

The arithmetic of one pass over the data is in `descent`; publishing the result, in
`registry.repository`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from streetlight.model.dataset import Dataset, FloatArray, is_walk
from streetlight.model.network import Network
from streetlight.model.recipe import Recipe
from streetlight.model.training.descent import start_descent


class TrainingDivergedError(ArithmeticError):
    """The error or a weight overflowed in every run, so there is no network to return."""


@dataclass(frozen=True)
class Progress:
    """The state of a training after one pass over the data.

    Attributes:
        restart: number of the run, from 0.
        seed: seed of the run.
        iteration: number of the pass in its run, from 1.
        error: the squared errors of the pass, summed over the rows.
    """

    restart: int
    seed: int
    iteration: int
    error: float


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """The result of a training: its best run, which may still miss the target error.

    Attributes:
        network: the network after the best run.
        recipe: the parameters of the training.
        seed: seed of the best run, from `recipe.seed` to `recipe.seed + recipe.restarts`.
        runs: number of seeds that were tried.
        errors: shape (iterations,), the lab's error of each pass of the best run: each row's
            squared error, taken before that row's batch moved the weights.
        error: the squared errors of `network`, summed over the rows.
        accuracy: the share of the observations that `network` decides correctly.
        tied_walks: the number of light states observed as often with walk as with stop that
            `network` decides walk.
    """

    network: Network
    recipe: Recipe
    seed: int
    runs: int
    errors: FloatArray
    error: float
    accuracy: float
    tied_walks: int = 0

    @property
    def converged(self) -> bool:
        """Whether the run meets its target error; always true if the recipe has none."""
        return self.missed_target is None

    @property
    def missed_target(self) -> str | None:
        """Why the run misses the target error: see `Recipe.missed_target`."""
        return self.recipe.missed_target(self.error, self.tied_walks)


def initial_network(dataset: Dataset, recipe: Recipe, seed: int) -> Network:
    """Return a network with random weights, uniform in [-1, 1), drawn in the lab's order.

    `RandomState` is numpy's legacy generator; numpy guarantees that its stream doesn't change.
    """
    weights = random_weights(dataset.light_count, recipe.hidden_sizes, seed)
    return Network(weights, recipe.activation, dataset.scale)


def random_weights(
    light_count: int, hidden_sizes: Sequence[int], seed: int
) -> tuple[FloatArray, ...]:
    """Return the weight matrices of `initial_network`."""
    random = np.random.RandomState(seed)
    sizes = [light_count, *hidden_sizes, 1]
    return tuple(2 * random.random_sample(shape) - 1 for shape in pairwise(sizes))


def squared_error(network: Network, dataset: Dataset) -> float:
    """Return the squared errors of `network`, summed over the rows: the lab's error measure."""
    delta = dataset.walk_vs_stop - network.scores(dataset.lights)
    with np.errstate(over="ignore"):
        return float((delta * delta).sum())


def count_tied_walks(network: Network, dataset: Dataset) -> int:
    """Return how many light states of `dataset.ties` the network decides walk."""
    return int(np.count_nonzero(is_walk(network.scores(dataset.ties))))


def gradient_descent(
    network: Network,
    dataset: Dataset,
    recipe: Recipe,
    report: Callable[[int, float], None] = lambda _iteration, _error: None,
) -> tuple[Network, FloatArray]:
    """Return the network after one run that starts from `network`, and the error of each pass.

    Args:
        network: the initial network; it is not changed.
        dataset: the training data.
        recipe: the parameters; seed, restarts and hidden_sizes are ignored.
        report: called after each pass with its number, from 1, and its error. To cancel the run,
            raise an exception from it.

    Raises:
        TrainingDivergedError: the error or a weight is no longer finite.
    """
    one_pass, weights = start_descent(
        network.weights,
        dataset.lights / network.scale,
        dataset.walk_vs_stop,
        dataset.counts,
        batch_size=recipe.batch_size or int(dataset.counts.sum()),
        alpha=recipe.alpha,
        weight_decay=recipe.weight_decay,
        l1_penalty=recipe.l1_penalty,
        activation=network.activation,
    )
    # Without a target error, use one that no error meets, so that it never ends a run early.
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
            # The error of a pass is that of weights which it then changed: check the new ones.
            met = error <= target and _meets_target(current(), dataset, recipe)
            if met or since_lowest >= recipe.patience:
                break
        if not all(np.isfinite(matrix).all() for matrix in weights()):
            raise _diverged(recipe, "the weights overflowed")
    return current(), np.array(errors)


def _meets_target(network: Network, dataset: Dataset, recipe: Recipe) -> bool:
    error, tied_walks = squared_error(network, dataset), count_tied_walks(network, dataset)
    return recipe.missed_target(error, tied_walks) is None


def _diverged(recipe: Recipe, reason: str) -> TrainingDivergedError:
    advice = f"try a smaller alpha than {recipe.alpha:g}"
    return TrainingDivergedError(f"training diverged: {reason}; {advice}")


def fit(
    dataset: Dataset, recipe: Recipe, report: Callable[[Progress], None] = lambda _progress: None
) -> TrainingResult:
    """Train from one seed after another until the target error is met or no restarts are left.

    Args:
        dataset: the training data. Rows are used in order, with their counts; equal states are not
            grouped.
        recipe: the parameters.
        report: called after each pass. To cancel the training, raise an exception from it.

    Returns:
        The run with the lowest error; `converged` is false if that misses the target error.

    Raises:
        TrainingDivergedError: every run diverged.
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
        except TrainingDivergedError as error_of_run:
            diverged = error_of_run
            continue
        error = squared_error(network, dataset)
        accuracy = dataset.accuracy(network.scores(dataset.lights))
        tied_walks = count_tied_walks(network, dataset)
        result = TrainingResult(
            network, recipe, seed, restart + 1, errors, error, accuracy, tied_walks
        )
        if result.converged:
            return result
        if best is None or error < best.error:
            best = result
    if best is None:
        raise diverged or TrainingDivergedError("no run was made")
    return replace(best, runs=recipe.restarts + 1)
