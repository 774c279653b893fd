"""Why a network says what it says: contributions, flips, weight pressure, and differences.

Everything here reads networks and changes none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from streetlight.model.dataset import Dataset, FloatArray, Outcome, outcome_name
from streetlight.model.network import Network, blocks
from streetlight.model.training.descent import backpropagate

# Up to so many lights, all patterns of on and off are compared: 2^10 = 1,024.
MAX_LIGHTS = 10


@dataclass(frozen=True)
class Counterfactual:
    """One light set from `was` to `now`, and the score that the network gives then."""

    light: int
    was: float
    now: float
    decision: Outcome
    score: float


@dataclass(frozen=True)
class Explanation:
    """How a network comes to its score for one light state.

    Attributes:
        score: what `Network.score` gives.
        layers: the values of `layer_0`, `layer_1` … node by node.
        active: for each hidden layer, which nodes relu let through.
        contributions: each light's part in the score; they add up to it (but for rounding).
            Between the nodes that are on, the network is linear, so a light's part is its scaled
            value times the sum, over the paths through them, of the product of the weights.
        flip: the smallest change of a single light, to off or to on, that turns the decision.
    """

    score: float
    layers: list[list[float]]
    active: list[list[bool]]
    contributions: list[float]
    flip: Counterfactual | None


def explain(network: Network, lights: Sequence[float], levels: tuple[float, float]) -> Explanation:
    """Explain the score of one light state.

    Args:
        network: whose score.
        lights: one row.
        levels: what off and on look like, such as `(0.0, 1.0)`.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        layers = [layer[0] for layer in network.layers(np.array([lights], dtype=np.float64))]
        masks = [
            layer > 0 if network.activation == "relu" else np.full(layer.shape, fill_value=True)
            for layer in layers[1:-1]
        ]
        slope = network.weights[-1]
        for matrix, mask in zip(network.weights[-2::-1], masks[::-1], strict=True):
            slope = (matrix * mask) @ slope
        return Explanation(
            network.score(lights),
            [layer.tolist() for layer in layers],
            [mask.tolist() for mask in masks],
            (layers[0] * slope[:, 0] + 0.0).tolist(),
            nearest_counterfactual(network, lights, levels),
        )


def nearest_counterfactual(
    network: Network, lights: Sequence[float], levels: tuple[float, float]
) -> Counterfactual | None:
    """Return the smallest change of one light that turns the decision; the leftmost of equals."""
    decision = outcome_name(network.score(lights))
    flips = []
    for light, was in enumerate(lights):
        for now in levels:
            score = network.score([*lights[:light], now, *lights[light + 1 :]])
            if outcome_name(score) != decision:
                flips.append(Counterfactual(light, was, now, outcome_name(score), score))
    return min(flips, key=lambda flip: abs(flip.now - flip.was), default=None)


def weight_pressure(network: Network, dataset: Dataset, rows: slice) -> list[FloatArray]:
    """Return the lab's Weight Pressure table: how each of `rows` pulls each weight.

    One array a weight matrix, of shape (rows, *its shape): the weight_delta before alpha, up where
    positive, down where negative, none where the input or the node is off.
    """
    layers, deltas = backpropagate(
        network.weights,
        dataset.lights[rows] / network.scale,
        dataset.walk_vs_stop[rows],
        network.activation,
    )
    return [
        layer[:, :, np.newaxis] * delta[:, np.newaxis, :] + 0.0  # no -0.0 for a reader
        for layer, delta in zip(layers[:-1], deltas, strict=True)
    ]


def total_pressure(network: Network, dataset: Dataset) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return what pulls each weight up, and what pulls it down, summed over all rows.

    Each is a list of arrays in the shapes of the weight matrices; added, they are the weight_delta
    of full gradient descent, before the average and alpha.
    """
    up = [np.zeros_like(matrix) for matrix in network.weights]
    down = [np.zeros_like(matrix) for matrix in network.weights]
    for block in blocks(len(dataset)):
        for d, pressure in enumerate(weight_pressure(network, dataset, block)):
            up[d] += np.maximum(pressure, 0).sum(axis=0)
            down[d] += np.minimum(pressure, 0).sum(axis=0)
    return up, down


def patterns(light_count: int, levels: tuple[float, float]) -> FloatArray:
    """Return every combination of off and on, shape (2^lights, lights), all off first."""
    return np.array(list(product(levels, repeat=light_count)))
