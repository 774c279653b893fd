"""Explanations of a network's scores: contributions, counterfactuals and weight pressure.

The functions read a network and don't change it; training is in `training`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from streetlight.model.dataset import Dataset, FloatArray, Outcome, outcome_name
from streetlight.model.network import BLOCK_ROWS, Network, blocks
from streetlight.model.training.descent import backpropagate

# Up to this many lights, a comparison covers all patterns of on and off: 2^10 = 1,024.
MAX_LIGHTS = 10
# The pressures that `total_pressure` computes at a time.
MAX_BLOCK_PRESSURES = 2**18


@dataclass(frozen=True)
class Counterfactual:
    """The change of one light from `was` to `now`, and the score and decision after it."""

    light: int
    was: float
    now: float
    decision: Outcome
    score: float


@dataclass(frozen=True)
class ScoreExplanation:
    """An explanation of a network's score for one light state.

    Attributes:
        score: the result of `Network.score`.
        layers: the nodes of `layer_0`, `layer_1` …
        active: for each hidden layer and node, whether relu left it on; all true without relu.
        contributions: each light's part of the score; the parts add up to the score, except for
            rounding. With the set of active nodes fixed the network is linear, so a light's part is
            its scaled value times the sum, over all paths through active nodes, of the product of
            the weights on the path.
        flip: the smallest change of a single light, to off or to on, that changes the decision;
            `None` if no single light changes it.
    """

    score: float
    layers: list[list[float]]
    active: list[list[bool]]
    contributions: list[float]
    flip: Counterfactual | None


def explain_score(
    network: Network, lights: Sequence[float], levels: tuple[float, float]
) -> ScoreExplanation:
    """Return the explanation of the score that `network` gives to one light state.

    Args:
        network: the network.
        lights: one light state, not scaled.
        levels: the values of an off and an on light, such as `(0.0, 1.0)`.
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
        return ScoreExplanation(
            float(layers[-1][0]),
            [layer.tolist() for layer in layers],
            [mask.tolist() for mask in masks],
            (layers[0] * slope[:, 0] + 0.0).tolist(),
            nearest_counterfactual(network, lights, levels),
        )


def nearest_counterfactual(
    network: Network, lights: Sequence[float], levels: tuple[float, float]
) -> Counterfactual | None:
    """Return the smallest change of one light that changes the decision; at a tie, the first."""
    decision = outcome_name(network.score(lights))
    changes = list(product(range(len(lights)), levels))
    changed = np.tile(np.array(lights, dtype=np.float64), (len(changes), 1))
    for row, (light, now) in zip(changed, changes, strict=True):
        row[light] = now
    candidates = [
        Counterfactual(light, lights[light], now, outcome_name(score), score)
        for (light, now), score in zip(changes, network.scores(changed).tolist(), strict=True)
        if outcome_name(score) != decision
    ]
    return min(candidates, key=lambda flip: abs(flip.now - flip.was), default=None)


def weight_pressure(network: Network, dataset: Dataset, rows: slice) -> list[FloatArray]:
    """Return the lab's Weight Pressure table for `rows` of `dataset`.

    The table has an array for each weight matrix, of shape (rows, *shape of the matrix). An element
    is a row's weight_delta, times the row's count, before multiplication by alpha: positive moves
    the weight up, negative down, and 0 (where the input or the node is off) leaves it.
    """
    layers, deltas = backpropagate(
        network.weights,
        dataset.lights[rows] / network.scale,
        dataset.walk_vs_stop[rows],
        network.activation,
    )
    counts = dataset.counts[rows, np.newaxis]
    return [
        layer[:, :, np.newaxis] * (delta * counts)[:, np.newaxis, :] + 0.0  # turns -0.0 into 0.0
        for layer, delta in zip(layers[:-1], deltas, strict=True)
    ]


def total_pressure(network: Network, dataset: Dataset) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return the positive and the negative weight pressure, each summed over all rows.

    Each is a list of arrays with the shapes of the weight matrices. Their sum is the weight_delta
    of full gradient descent, before the average over the rows and alpha.
    """
    up = [np.zeros_like(matrix) for matrix in network.weights]
    down = [np.zeros_like(matrix) for matrix in network.weights]
    # The pressures of a block are arrays of (rows, weights), which fit in the processor's cache.
    block_rows = min(BLOCK_ROWS, 1 + MAX_BLOCK_PRESSURES // network.weight_count)
    for block in blocks(len(dataset), block_rows):
        for d, pressure in enumerate(weight_pressure(network, dataset, block)):
            up[d] += np.maximum(pressure, 0).sum(axis=0)
            down[d] += np.minimum(pressure, 0).sum(axis=0)
    return up, down


def patterns(light_count: int, levels: tuple[float, float]) -> FloatArray:
    """Return every combination of off and on, shape (2^light_count, light_count), all off first."""
    return np.array(list(product(levels, repeat=light_count)))
