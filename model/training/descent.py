"""Gradient descent: one pass over the data, in batches, and which way is taken.

Pure arithmetic. When to stop, which seed to take and what counts as success is in `training`;
single rows, in `unrolled`; wide networks, in `wide`.
"""

from collections.abc import Callable, Sequence
from typing import TypedDict

import numpy as np

from streetlight.model.dataset import FloatArray
from streetlight.model.network import Activation, blocks, forward, is_wide, weighted_sum
from streetlight.model.training.exact_products import exact_weight_deltas
from streetlight.model.training.row_pass import MAX_GENERATED_WEIGHTS, pass_by_rows


def start(
    weights: Sequence[FloatArray],
    layer_0: FloatArray,
    walk_vs_stop: FloatArray,
    *,
    batch_size: int,
    alpha: float,
    weight_decay: float,
    activation: Activation,
) -> tuple[Callable[[], float], Callable[[], tuple[FloatArray, ...]]]:
    """Return a function that makes one pass over the data, and one that tells the weights.

    Args as in `pass_by_batches`, but `weights` isn't changed. Single rows go the way that is the
    quicker for so many weights.
    """
    step: _Step = {"alpha": alpha, "weight_decay": weight_decay, "activation": activation}
    if batch_size == 1 and sum(matrix.size for matrix in weights) <= MAX_GENERATED_WEIGHTS:
        columns = [matrix.T.tolist() for matrix in weights]
        rows, outcomes = layer_0.tolist(), walk_vs_stop.tolist()
        return (
            lambda: pass_by_rows(columns, rows, outcomes, **step),
            lambda: tuple(np.array(matrix).T for matrix in columns),
        )
    arrays = [matrix.copy() for matrix in weights]
    return (
        lambda: pass_by_batches(arrays, layer_0, walk_vs_stop, batch_size=batch_size, **step),
        lambda: tuple(arrays),
    )


class _Step(TypedDict):
    alpha: float
    weight_decay: float
    activation: Activation


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
    """Batch gradient descent: update `weights`, in place, by the average over `batch_size` rows.

    Args and what is returned as in `unrolled.pass_by_rows`, as arrays: `layer_0` of shape
    (rows, lights), `walk_vs_stop` of shape (rows,). A batch is worked on block by block, so memory
    doesn't grow with it.
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
    are scaled already. Wide networks are worked on by BLAS, in a coarser arithmetic: see `wide`.
    """
    if is_wide(weights):
        return exact_weight_deltas(weights, layer_0, walk_vs_stop, activation)
    sums = [np.zeros_like(matrix) for matrix in weights]
    error = 0.0
    for block in blocks(len(layer_0)):
        layers, deltas = backpropagate(weights, layer_0[block], walk_vs_stop[block], activation)
        error += float((deltas[-1] * deltas[-1]).sum())
        for total, layer, delta in zip(sums, layers, deltas, strict=False):
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
