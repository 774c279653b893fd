"""Step: one row's stochastic update with everything in it to be seen.

The same arithmetic as a training's, to the bit; passes over many rows are in `descent`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streetlight.model.dataset import FloatArray
from streetlight.model.network import Network
from streetlight.model.training.descent import backpropagate, start


@dataclass(frozen=True, eq=False)
class Step:
    """What one row did to a network.

    Attributes:
        layers: `layer_0`, `layer_1` … as the old weights give them, node by node.
        deltas: what each node after the lights was blamed for, layer by layer.
        weight_deltas: what pulled each weight, in the shapes of the weight matrices; times alpha
            it is the weight's move, but for weight decay.
        error: the squared error that was met.
        network: with the weights as they are now.
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
) -> Step:
    """Let a network learn from one row; `network` itself isn't changed.

    Args:
        network: where to start.
        lights: one light state, not scaled yet.
        walk_vs_stop: 1.0 for walk, 0.0 for stop.
        alpha: the step size.
        weight_decay: the L2 penalty.

    Raises:
        ValueError: the weights would no longer be finite.
    """
    layer_0, outcome = np.array([lights]) / network.scale, np.array([walk_vs_stop])
    with np.errstate(over="ignore", invalid="ignore"):
        layers, deltas = backpropagate(network.weights, layer_0, outcome, network.activation)
        one_pass, weights = start(
            network.weights,
            layer_0,
            outcome,
            batch_size=1,
            alpha=alpha,
            weight_decay=weight_decay,
            activation=network.activation,
        )
        error = one_pass()
        weight_deltas = [
            layer.T * delta + 0.0  # no -0.0 for a reader
            for layer, delta in zip(layers[:-1], deltas, strict=True)
        ]
    return Step(
        [layer[0].tolist() for layer in layers],
        [delta[0].tolist() for delta in deltas],
        weight_deltas,
        error,
        Network(weights(), network.activation, network.scale),
    )
