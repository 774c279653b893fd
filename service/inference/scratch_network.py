"""`ScratchNetwork`: a network that the client holds, and that the server doesn't store.

It is trained in `scratch_training`.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streetlight.model.network import Activation, Network, WeightLists, weight_names
from streetlight.model.recipe import Recipe
from streetlight.model.training.fit import random_weights
from streetlight.service.validation.problems import FieldError, Problem, preview

# Responses have every weight as JSON, some more than once, which is slow for large networks.
MAX_WEIGHTS = 100_000


@dataclass(frozen=True)
class ScratchNetwork:
    """A network that the client keeps: its weight matrices by name, from `weights_0_1` on."""

    weights: WeightLists
    activation: Activation = "relu"
    scale: float = 1.0


@dataclass(frozen=True)
class RandomStart:
    """The fields with which a client chooses a random network; `None` for those it left out.

    `path` precedes their names in error messages.
    """

    seed: int | None
    hidden_sizes: tuple[int, ...] | None
    activation: Activation | None
    path: str = ""


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


def check_start(network: Network, start: RandomStart) -> None:
    """Check that `start` doesn't contradict `network`, which the client sent.

    Raises:
        FieldError: it has a seed, or other hidden layers or another activation.
    """
    if start.seed is not None:
        message = "expected a network or a seed, got both"
        raise FieldError(Problem(f"{start.path}seed", message, start.seed))
    for name, expected in (
        ("hidden_sizes", network.hidden_sizes),
        ("activation", network.activation),
    ):
        if (got := getattr(start, name)) not in (None, expected):
            message = f"expected that of the network, {preview(expected)}, got {preview(got)}"
            raise FieldError(Problem(start.path + name, message, got))


def random_network(start: RandomStart, light_count: int, scale: float) -> Network:
    """Return the random network with which a training with the seed of `start` begins.

    Raises:
        FieldError: the network would have more than `MAX_WEIGHTS` weights.
    """
    hidden_sizes = Recipe.hidden_sizes if start.hidden_sizes is None else start.hidden_sizes
    count = sum(inputs * nodes for inputs, nodes in pairwise([light_count, *hidden_sizes, 1]))
    if count > MAX_WEIGHTS:
        message = f"expected a network of at most {MAX_WEIGHTS} weights, got {count}"
        raise FieldError(Problem(f"{start.path}hidden_sizes", message))
    seed = Recipe.seed if start.seed is None else start.seed
    weights = random_weights(light_count, hidden_sizes, seed)
    return Network(weights, start.activation or Recipe.activation, scale)
