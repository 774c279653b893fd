"""Stepping: learning one example at a time on a network that the caller holds, not a version.

It begins as a copy of the live version, or anew from a seed; nothing of it is kept here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streetlight.model.dataset import Outcome, outcome_name
from streetlight.model.network import Activation, Network, weight_names
from streetlight.model.recipe import Recipe
from streetlight.model.registry.version import Version
from streetlight.model.training.fit import initial_network
from streetlight.model.training.step import step
from streetlight.service.validation.problems import FieldError, Problem

Weights = dict[str, list[list[float]]]

# The plain floats of a step are quick for the networks that are looked at, not for large ones.
MAX_WEIGHTS = 100_000


@dataclass(frozen=True)
class ScratchNetwork:
    """A network in the caller's hands: its matrices by their names in the lab."""

    weights: Weights
    activation: Activation = "relu"
    scale: float = 1.0


@dataclass(frozen=True)
class StepResult:
    """What one example did: the score before and after, and how each weight was moved.

    `layers` and `relu` are as before it; `deltas` has what each node was blamed for, and
    `weight_deltas` what pulled each weight. `network` is what to send for the next step.
    """

    decision: Outcome
    score: float
    error: float
    score_after: float
    layers: dict[str, list[float]]
    relu: dict[str, list[bool]]
    weights: Weights
    deltas: dict[str, list[float]]
    weight_deltas: Weights
    network: ScratchNetwork


def parse_network(scratch: ScratchNetwork) -> Network:
    """Return the network that a caller sent.

    Raises:
        FieldError: it isn't one.
    """
    names = weight_names(len(scratch.weights))
    if list(scratch.weights) != names:
        got = ", ".join(scratch.weights)
        raise FieldError(Problem("network.weights", f"expected {', '.join(names)}, got {got}"))
    matrices = []
    for name, rows in scratch.weights.items():
        if len({len(row) for row in rows}) != 1:
            message = "expected rows of the same length"
            raise FieldError(Problem(f"network.weights.{name}", message))
        matrices.append(np.array(rows, dtype=np.float64))
    try:
        return Network(tuple(matrices), scratch.activation, scratch.scale)
    except ValueError as error:
        raise FieldError(Problem("network", str(error))) from error


def random_network(version: Version, hidden_sizes: Sequence[int], seed: int) -> Network:
    """Return the random start that a training of `version`'s data with that seed would have.

    Raises:
        ValueError: a recipe can't have these.
    """
    recipe = Recipe(hidden_sizes=tuple(hidden_sizes), seed=seed)
    return initial_network(version.dataset(), recipe, seed)


def take_step(
    network: Network,
    lights: Sequence[float],
    outcome: Outcome,
    *,
    alpha: float,
    weight_decay: float,
) -> StepResult:
    """Let `network` learn from one example, and tell all of it.

    Raises:
        FieldError: the wrong number of lights, numbers so large that the weights overflow, or a
            network too large to be looked at.
    """
    if network.weight_count > MAX_WEIGHTS:
        message = f"expected at most {MAX_WEIGHTS} to step through, got {network.weight_count}"
        raise FieldError(Problem("network.weights", message))
    if len(lights) != network.light_count:
        message = f"the network expects {network.light_count} lights, got {len(lights)}"
        raise FieldError(Problem("lights", message, len(lights)))
    walked = float(outcome == "walk")
    try:
        taken = step(network, lights, walked, alpha=alpha, weight_decay=weight_decay)
    except ValueError as error:
        message = "expected a step that leaves the weights finite; try a smaller one"
        raise FieldError(Problem("alpha", message, alpha)) from error
    score, after = taken.layers[-1][0], taken.network.score(lights)
    if not (math.isfinite(taken.error) and math.isfinite(after)):
        message = "expected lights that the network's score doesn't overflow at"
        raise FieldError(Problem("lights", message))
    names = weight_names(len(network.weights))
    hidden = taken.layers[1:-1]
    return StepResult(
        outcome_name(score),
        score,
        taken.error,
        after,
        layers={f"layer_{d}": layer for d, layer in enumerate(taken.layers)},
        relu={
            f"layer_{d}": [network.activation != "relu" or node > 0 for node in layer]
            for d, layer in enumerate(hidden, start=1)
        },
        weights={name: m.tolist() for name, m in network.named_weights.items()},
        deltas={f"layer_{d}": delta for d, delta in enumerate(taken.deltas, start=1)},
        weight_deltas={n: m.tolist() for n, m in zip(names, taken.weight_deltas, strict=True)},
        network=ScratchNetwork(
            {name: m.tolist() for name, m in taken.network.named_weights.items()},
            network.activation,
            network.scale,
        ),
    )
