"""One pass of gradient descent over the data, in batches, and the choice of its implementation.

Stopping and restarts are in `fit`, the division into batches in `batches`. Passes over single rows
in plain floats are in `row_pass`, the matrix products of networks with wide layers in
`exact_products`.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from streetlight.model.dataset import FloatArray
from streetlight.model.network import Activation, blocks, forward, is_wide, weighted_sum
from streetlight.model.training.batches import divide
from streetlight.model.training.exact_products import exact_weight_deltas
from streetlight.model.training.row_pass import MAX_GENERATED_WEIGHTS, pass_by_rows


def start_descent(
    weights: Sequence[FloatArray],
    layer_0: FloatArray,
    walk_vs_stop: FloatArray,
    counts: NDArray[np.int64],
    *,
    batch_size: int,
    alpha: float,
    weight_decay: float,
    l1_penalty: float,
    activation: Activation,
) -> tuple[Callable[[], float], Callable[[], tuple[FloatArray, ...]]]:
    """Return a function that makes a pass and returns its error, and one that returns the weights.

    The arguments are those of `pass_by_batches` and of `divide`, but `weights` isn't changed.
    Batches of one row use the generated row pass up to `MAX_GENERATED_WEIGHTS` weights, where it is
    faster.
    """
    batches = divide(counts, batch_size)
    alphas = (alpha * batches.shares).tolist()
    options: _PassOptions = {
        "weight_decay": weight_decay,
        "l1_penalty": l1_penalty,
        "activation": activation,
    }
    if batch_size == 1 and sum(matrix.size for matrix in weights) <= MAX_GENERATED_WEIGHTS:
        columns = [matrix.T.tolist() for matrix in weights]
        rows, outcomes = layer_0.tolist(), walk_vs_stop.tolist()
        return (
            lambda: pass_by_rows(columns, rows, outcomes, alphas, **options),
            lambda: tuple(np.array(matrix).T for matrix in columns),
        )
    arrays = [matrix.copy() for matrix in weights]
    return (
        lambda: pass_by_batches(
            arrays,
            layer_0,
            walk_vs_stop,
            importance=batches.importance,
            bounds=batches.bounds,
            alphas=alphas,
            **options,
        ),
        lambda: tuple(arrays),
    )


class _PassOptions(TypedDict):
    weight_decay: float
    l1_penalty: float
    activation: Activation


def pass_by_batches(
    weights: list[FloatArray],
    layer_0: FloatArray,
    walk_vs_stop: FloatArray,
    *,
    importance: FloatArray,
    bounds: Sequence[int],
    alphas: Sequence[float],
    weight_decay: float,
    l1_penalty: float,
    activation: Activation,
) -> float:
    """Make one pass of batch gradient descent and return the summed squared error.

    Each batch moves the weights by the average over its observations. A batch is processed in
    blocks, so memory doesn't grow with its size.

    Args:
        weights: the weight matrices; updated in place.
        layer_0: the scaled lights, shape (rows, lights).
        walk_vs_stop: the outcomes, shape (rows,).
        importance: the weight of each row in the average, shape (rows,).
        bounds: the first row of each batch, and the number of rows.
        alphas: the step size of each batch.
        weight_decay: the L2 penalty.
        l1_penalty: the L1 penalty.
        activation: activation of the hidden layers.

    Returns:
        Each row's squared error before its batch's update, summed: the lab's `Error`.
    """
    error = 0.0
    for (start, end), alpha in zip(pairwise(bounds), alphas, strict=True):
        batch = slice(start, end)
        deltas, batch_error = weight_deltas(
            weights, layer_0[batch], walk_vs_stop[batch], activation, importance[batch]
        )
        error += batch_error
        total = float(importance[batch].sum())
        for matrix, delta in zip(weights, deltas, strict=True):
            update(
                matrix,
                delta / total,
                alpha=alpha,
                weight_decay=weight_decay,
                l1_penalty=l1_penalty,
            )
    return error


def update(
    matrix: FloatArray,
    weight_delta: FloatArray,
    *,
    alpha: float,
    weight_decay: float,
    l1_penalty: float,
) -> None:
    """Add alpha times the `weight_delta`, less the penalties, to `matrix`.

    The L1 penalty moves a weight at most to 0, after the rest of the update (Langford, Li and
    Zhang, Sparse Online Learning via Truncated Gradient, JMLR 10, 2009). Were it subtracted in
    full, weights near 0 would change their sign in every update.
    """
    matrix *= 1 - alpha * weight_decay
    matrix += alpha * weight_delta
    if shrinkage := alpha * l1_penalty:
        matrix -= np.clip(matrix, -shrinkage, shrinkage)


def weight_deltas(
    weights: Sequence[FloatArray],
    layer_0: FloatArray,
    walk_vs_stop: FloatArray,
    activation: Activation,
    importance: FloatArray,
) -> tuple[list[FloatArray], float]:
    """Return each weight's weight_delta and the squared error, summed over the rows.

    Each row's weight_delta is multiplied by its `importance`, its squared error is not.

    The weight_delta is minus half the gradient of the squared error: the input of a weight times
    the delta of the node that it leads to. Adding a small multiple of it lowers the error.

    The lights in `layer_0` are scaled already. If a layer is wide, the products are computed by
    BLAS with rounded factors: see `exact_products`.
    """
    if is_wide(weights):
        return exact_weight_deltas(weights, layer_0, walk_vs_stop, activation, importance)
    sums = [np.zeros_like(matrix) for matrix in weights]
    weighted = (importance != 1).any()
    error = 0.0
    for block in blocks(len(layer_0)):
        layers, deltas = backpropagate(weights, layer_0[block], walk_vs_stop[block], activation)
        error += float((deltas[-1] * deltas[-1]).sum())
        if weighted:
            deltas = [delta * importance[block, np.newaxis] for delta in deltas]
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
    """Return each row's layers, and the deltas of every layer but `layer_0`.

    A node's delta is minus half the gradient of the squared error by its weighted sum. All shapes
    are (rows, nodes).
    """
    layers = forward(weights, layer_0, activation)
    deltas = [walk_vs_stop[:, np.newaxis] - layers[-1]]
    for d in range(len(weights) - 1, 0, -1):
        delta = weighted_sum(deltas[0], weights[d].T)
        deltas.insert(0, np.where(layers[d] > 0, delta, 0.0) if activation == "relu" else delta)
    return layers, deltas
