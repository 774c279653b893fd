"""`ScratchNetwork`: a network that the client holds, and that the server doesn't store.

It is trained in `scratch_training`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streetlight.model.network import Activation, Network, WeightLists, weight_names
from streetlight.model.recipe import Recipe
from streetlight.model.registry.version import Version
from streetlight.model.training.fit import random_weights
from streetlight.service.validation.problems import FieldError, Problem

# A step returns every weight, gradient and node as JSON, which is slow for large networks.
MAX_WEIGHTS = 100_000


@dataclass(frozen=True)
class ScratchNetwork:
    """A network that the client keeps: its weight matrices by name, from `weights_0_1` on."""

    weights: WeightLists
    activation: Activation = "relu"
    scale: float = 1.0


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
