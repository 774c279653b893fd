"""Train a network that the client sends on one example, and return the changed network.

The first network is a copy of the live version or a random one. The server stores neither.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streetlight.model.dataset import Outcome, outcome_name
from streetlight.model.network import Activation, Network, WeightLists, weight_names
from streetlight.model.recipe import Recipe
from streetlight.model.registry.version import Version
from streetlight.model.training.fit import random_weights
from streetlight.model.training.step import step
from streetlight.service.inference.codecs.batch_json import NUMBER_BYTES
from streetlight.service.validation.problems import FieldError, Problem

# A step returns every weight, gradient and node as JSON, which is slow for large networks.
MAX_WEIGHTS = 100_000


@dataclass(frozen=True)
class ScratchNetwork:
    """A network that the client keeps: its weight matrices by name, from `weights_0_1` on."""

    weights: WeightLists
    activation: Activation = "relu"
    scale: float = 1.0


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


def parse_network(scratch: ScratchNetwork) -> Network:
    """Return the network that a client sent.

    Raises:
        FieldError: the matrices have wrong names or shapes, or a value is out of its range.
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
    """Return the random network with which a training on `version`'s data with `seed` starts.

    Raises:
        FieldError: the network would have more than `MAX_WEIGHTS` weights.
    """
    light_count = version.network.light_count
    sizes = [light_count, *hidden_sizes, 1]
    count = sum(inputs * nodes for inputs, nodes in pairwise(sizes))
    if count > MAX_WEIGHTS:
        message = f"expected a network of at most {MAX_WEIGHTS} weights for a step, got {count}"
        raise FieldError(Problem("hidden_sizes", message))
    weights = random_weights(light_count, hidden_sizes, seed)
    return Network(weights, Recipe.activation, version.network.scale)


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
        message = f"expected at most {MAX_WEIGHTS} weights for a step, got {network.weight_count}"
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
        network=ScratchNetwork(
            {name: m.tolist() for name, m in result.network.named_weights.items()},
            network.activation,
            network.scale,
        ),
    )
