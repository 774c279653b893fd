"""Train a network that the client holds, and return the changed network.

The network is in `scratch_network`, the arithmetic in `streetlight.model.training`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from streetlight.model.dataset import Dataset, Outcome, outcome_name
from streetlight.model.network import Network, WeightLists, is_wide, weight_names
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import (
    TrainingDivergedError,
    gradient_descent,
    squared_error,
)
from streetlight.model.training.row_pass import MAX_GENERATED_WEIGHTS
from streetlight.model.training.step import step
from streetlight.service.inference.codecs.batch_json import DECISION_BYTES, NUMBER_BYTES
from streetlight.service.inference.limits import Cost
from streetlight.service.inference.scratch_network import MAX_WEIGHTS, ScratchNetwork
from streetlight.service.validation.problems import FieldError, Problem


@dataclass(frozen=True)
class StepResult:
    """The result of training on one example.

    `decision`, `score`, `error`, `layers`, `relu` and `weights` are those before the step, and
    `score_after` is the score after it. `deltas` has the delta of each node, and `weight_deltas`
    the change of each weight before `alpha` and the penalties. `network` is the network after the
    step, to be sent with the next one.
    """

    decision: Outcome
    score: float
    error: float
    score_after: float
    layers: dict[str, list[float]]
    relu: dict[str, list[bool]]
    weights: WeightLists
    deltas: dict[str, list[float]]
    weight_deltas: WeightLists
    network: ScratchNetwork


@dataclass(frozen=True)
class FitResult:
    """The result of a training.

    `errors` has the error of each pass: the squared error of each row before the update by its
    batch, summed. `scores`, `decisions` and `accuracy` are those of `network`, the network after
    the training, for the rows in their order.
    """

    network: ScratchNetwork
    errors: list[float]
    scores: list[float]
    decisions: list[Outcome]
    accuracy: float


def training_cost(network: Network, rows: int, recipe: Recipe) -> Cost:
    """Return what `fit` costs: the time of its passes, in multiplications, and its response.

    The figures are measured: docs/decisions/0036.
    """
    weights, matrices = network.weight_count, len(network.weights)
    batch_size = recipe.batch_size or rows
    batches = -(-rows // batch_size)
    compilation = 0
    if batch_size == 1 and weights <= MAX_GENERATED_WEIGHTS:
        compilation = 20_000 * weights
        one_pass = rows * (150 + 100 * weights)
    elif is_wide(network.weights):
        one_pass = batches * (30_000 * matrices + 8 * weights) + rows * weights
    else:
        nodes = sum(map(len, network.weights))
        one_pass = batches * (20_000 * matrices + 4_000 * nodes) + 12 * rows * weights
    return Cost(
        multiplications=compilation + recipe.iterations * (4_000 + one_pass),
        response_bytes=NUMBER_BYTES * (weights + recipe.iterations)
        + (NUMBER_BYTES + DECISION_BYTES) * rows,
    )


def fit(network: Network, dataset: Dataset, recipe: Recipe, check: Callable[[], None]) -> FitResult:
    """Return the result of one run of `recipe` on `dataset` that starts from `network`.

    `check` is called after each pass, and may raise an error to end the training.

    Raises:
        FieldError: a score overflows, or the training diverged.
    """
    if not math.isfinite(squared_error(network, dataset)):
        message = "expected weights and a scale with which no error overflows before the training"
        raise FieldError(Problem("network", message))
    try:
        trained, errors = gradient_descent(network, dataset, recipe, lambda _i, _error: check())
    except TrainingDivergedError as error:
        raise FieldError(Problem("recipe.alpha", str(error), recipe.alpha)) from error
    scores = trained.scores(dataset.lights)
    if not np.isfinite(scores).all():
        message = "expected lights for which no score overflows; use smaller lights"
        raise FieldError(Problem("rows", message))
    return FitResult(
        _scratch(trained),
        errors.tolist(),
        scores.tolist(),
        [outcome_name(score) for score in scores.tolist()],
        dataset.accuracy(scores),
    )


def _scratch(network: Network) -> ScratchNetwork:
    weights = {name: matrix.tolist() for name, matrix in network.named_weights.items()}
    return ScratchNetwork(weights, network.activation, network.scale)


def response_bytes(network: Network) -> int:
    """Return the largest size of the response with a step of `network`."""
    # The weights before and after the step, and their changes.
    return 3 * network.weight_count * NUMBER_BYTES


def take_step(
    network: Network,
    lights: Sequence[float],
    outcome: Outcome,
    *,
    alpha: float,
    weight_decay: float,
    l1_penalty: float,
) -> StepResult:
    """Train `network` on one example, and return all intermediate values.

    Raises:
        FieldError: the number of lights is wrong, the numbers are so large that a weight or the
            score overflows, or the network has more than `MAX_WEIGHTS` weights.
    """
    if network.weight_count > MAX_WEIGHTS:
        message = f"expected at most {MAX_WEIGHTS} weights, got {network.weight_count}"
        raise FieldError(Problem("network.weights", message))
    if len(lights) != network.light_count:
        message = f"the network expects {network.light_count} lights, got {len(lights)}"
        raise FieldError(Problem("lights", message, len(lights)))
    walk_vs_stop = float(outcome == "walk")
    try:
        result = step(
            network,
            lights,
            walk_vs_stop,
            alpha=alpha,
            weight_decay=weight_decay,
            l1_penalty=l1_penalty,
        )
    except ValueError as error:
        message = "expected a step after which all weights are finite; use a smaller alpha"
        raise FieldError(Problem("alpha", message, alpha)) from error
    score, score_after = result.layers[-1][0], result.network.score(lights)
    if not (math.isfinite(result.error) and math.isfinite(score_after)):
        message = "expected lights for which the score doesn't overflow; use smaller lights"
        raise FieldError(Problem("lights", message))
    names = weight_names(len(network.weights))
    hidden = result.layers[1:-1]
    return StepResult(
        outcome_name(score),
        score,
        result.error,
        score_after,
        layers={f"layer_{d}": layer for d, layer in enumerate(result.layers)},
        relu={
            f"layer_{d}": [network.activation != "relu" or node > 0 for node in layer]
            for d, layer in enumerate(hidden, start=1)
        },
        weights={name: m.tolist() for name, m in network.named_weights.items()},
        deltas={f"layer_{d}": delta for d, delta in enumerate(result.deltas, start=1)},
        weight_deltas={n: m.tolist() for n, m in zip(names, result.weight_deltas, strict=True)},
        network=_scratch(result.network),
    )
