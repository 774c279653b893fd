"""Gradient descent: one pass over the data, by single rows and by batches.

Pure arithmetic on weights that the caller owns and that are changed in place. When to stop, which
seed to take and what counts as success is in `training`.

Single rows are worked on in plain floats: on a network of this size a call into numpy costs more
than the arithmetic (`benchmarks/training.py` says how much). Both ways agree to the bit.
"""

from collections.abc import Sequence

import numpy as np

from model.dataset import FloatArray
from model.network import (
    Activation,
    Columns,
    Row,
    blocks,
    forward,
    forward_of_row,
    weighted_sum,
)


def pass_by_rows(
    weights: list[Columns],
    rows: list[Row],
    walk_vs_stop: Row,
    *,
    alpha: float,
    weight_decay: float,
    activation: Activation,
) -> float:
    """Stochastic gradient descent: update the weights after each row.

    Args:
        weights: matrix by matrix, node by node, changed in place.
        rows: `layer_0`, row by row.
        walk_vs_stop: the outcome of each row.
        alpha: the step size.
        weight_decay: the L2 penalty.
        activation: of the hidden layers.

    Returns:
        The squared errors, each as met on the way, summed: the lab's `Error`.
    """
    keep = 1 - alpha * weight_decay
    error = 0.0
    for row, outcome in zip(rows, walk_vs_stop):
        layers = forward_of_row(weights, row, activation)
        delta = [outcome - layers[-1][0]]
        error += delta[0] * delta[0]
        for d in range(len(weights) - 1, -1, -1):
            layer, columns, above = layers[d], weights[d], delta
            if d:
                # Backpropagation: what a node is blamed for is the delta above it by its weight,
                # and nothing where relu turned it off.
                delta = [0.0] * len(layer)
                for blame, column in zip(above, columns):
                    delta = [node + blame * weight for node, weight in zip(delta, column)]
                if activation == "relu":
                    delta = [blame if node > 0 else 0.0 for blame, node in zip(delta, layer)]
            weights[d] = [
                [weight * keep + alpha * (node * blame) for weight, node in zip(column, layer)]
                for column, blame in zip(columns, above)
            ]
    return error


def pass_by_batches(
    weights: list[FloatArray],
    layer_0: FloatArray,
    walk_vs_stop: FloatArray,
    *,
    batch_size: int,
    alpha: float,
    weight_decay: float,
    activation: Activation,
) -> float:
    """Batch gradient descent: update the weights by the average over each `batch_size` rows.

    Args as in `pass_by_rows`, as arrays: `layer_0` of shape (rows, lights), `walk_vs_stop` of
    shape (rows,). A batch is worked on block by block, so memory doesn't grow with it.
    """
    keep = 1 - alpha * weight_decay
    error = 0.0
    for start in range(0, len(layer_0), batch_size):
        batch = slice(start, start + batch_size)
        deltas, batch_error = weight_deltas(
            weights, layer_0[batch], walk_vs_stop[batch], activation
        )
        error += batch_error
        rows = len(layer_0[batch])
        for d, delta in enumerate(deltas):
            weights[d] *= keep
            weights[d] += alpha * (delta / rows)
    return error


def weight_deltas(
    weights: Sequence[FloatArray],
    layer_0: FloatArray,
    walk_vs_stop: FloatArray,
    activation: Activation,
) -> tuple[list[FloatArray], float]:
    """Return each weight's weight_delta, summed over the rows, and the summed squared error.

    The weight_delta is minus half the gradient of the squared error: the input of a weight times
    the delta of the node it leads to, so that adding it lowers the error. The lights in `layer_0`
    are scaled already.
    """
    sums = [np.zeros_like(matrix) for matrix in weights]
    error = 0.0
    for block in blocks(len(layer_0)):
        layers, deltas = backpropagate(weights, layer_0[block], walk_vs_stop[block], activation)
        error += float((deltas[-1] * deltas[-1]).sum())
        for total, layer, delta in zip(sums, layers, deltas):
            for i in range(len(total)):
                total[i] += (layer[:, i : i + 1] * delta).sum(axis=0)
    return sums, error


def backpropagate(
    weights: Sequence[FloatArray],
    layer_0: FloatArray,
    walk_vs_stop: FloatArray,
    activation: Activation,
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return each row's layers, and the deltas of the nodes that each weight matrix leads to.

    Shapes are (rows, nodes); there is one delta fewer than layers, since the lights have none.
    """
    layers = forward(weights, layer_0, activation)
    deltas = [walk_vs_stop[:, np.newaxis] - layers[-1]]
    for d in range(len(weights) - 1, 0, -1):
        delta = weighted_sum(deltas[0], weights[d].T)
        deltas.insert(0, np.where(layers[d] > 0, delta, 0.0) if activation == "relu" else delta)
    return layers, deltas
