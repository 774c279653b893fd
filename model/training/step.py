"""`step`: the stochastic update by one row, with all intermediate values.

The updated network has the same bits as in training. Passes over many rows are in `descent`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streetlight.model.dataset import FloatArray
from streetlight.model.network import Network
from streetlight.model.training.descent import backpropagate, start_descent, update
from streetlight.model.training.row_pass import MAX_GENERATED_WEIGHTS


@dataclass(frozen=True, eq=False)
class Step:
    """The update of a network by one row.

    Attributes:
        layers: the nodes of `layer_0`, `layer_1` … before the update.
        deltas: the delta of each node, for every layer but `layer_0`.
        weight_deltas: the weight_delta of each weight, in the shapes of the weight matrices.
            Without penalties the update adds alpha times this, for a network with wide layers
            up to quantisation.
        error: the squared error of the row before the update.
        network: the network after the update.
    """

    layers: list[list[float]]
    deltas: list[list[float]]
    weight_deltas: list[FloatArray]
    error: float
    network: Network


def step(
    network: Network,
    lights: Sequence[float],
    walk_vs_stop: float,
    *,
    alpha: float,
    weight_decay: float = 0.0,
    l1_penalty: float = 0.0,
) -> Step:
    """Return the update of `network` by one row; `network` isn't changed.

    Args:
        network: the network before the update.
        lights: one light state, not scaled.
        walk_vs_stop: 1.0 for walk, 0.0 for stop.
        alpha: the step size.
        weight_decay: the L2 penalty.
        l1_penalty: the L1 penalty.

    Raises:
        ValueError: a weight would not be finite after the update.
    """
    layer_0, outcome = np.array([lights]) / network.scale, np.array([walk_vs_stop])
    with np.errstate(over="ignore", invalid="ignore"):
        layers, deltas = backpropagate(network.weights, layer_0, outcome, network.activation)
        products = [layer.T * delta for layer, delta in zip(layers[:-1], deltas, strict=True)]
        penalties = {"weight_decay": weight_decay, "l1_penalty": l1_penalty}
        weights: Sequence[FloatArray]
        if network.weight_count <= MAX_GENERATED_WEIGHTS:
            # The arithmetic of the generated row pass, which takes long to compile.
            weights = [matrix.copy() for matrix in network.weights]
            for matrix, product in zip(weights, products, strict=True):
                update(matrix, product, alpha=alpha, **penalties)
            error = float(deltas[-1][0, 0] * deltas[-1][0, 0])
        else:
            one_pass, updated = start_descent(
                network.weights,
                layer_0,
                outcome,
                np.ones(1, np.int64),
                batch_size=1,
                alpha=alpha,
                **penalties,
                activation=network.activation,
            )
            error = one_pass()
            weights = updated()
    return Step(
        [layer[0].tolist() for layer in layers],
        [delta[0].tolist() for delta in deltas],
        [product + 0.0 for product in products],  # turns -0.0 into 0.0
        error,
        Network(tuple(weights), network.activation, network.scale),
    )
