"""The batches of a pass: which rows each has, and how far it moves the weights.

The arithmetic of an update is in `descent` and `row_pass`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streetlight.model.dataset import FloatArray

# The smallest share of alpha: a row counts at most 16 times as much as another one, so that a state
# that was observed once is still learnt beside one that was observed a million times.
MIN_SHARE = 1 / 16


class Batches(NamedTuple):
    """The batches of a pass.

    Attributes:
        bounds: the first row of each batch, and the number of rows.
        shares: for each batch, the share of alpha with which it moves the weights.
        importance: for each row, its count divided by the largest count in its batch.
    """

    bounds: list[int]
    shares: FloatArray
    importance: FloatArray


def divide(counts: NDArray[np.int64], batch_size: int) -> Batches:
    """Return the batches of `batch_size` observations, for rows that stand for so many each.

    A batch has consecutive rows of at most `batch_size` observations, or one row of more. The
    latter stands for count / `batch_size` updates, rounded up. They aren't made one after another,
    which would fit the weights to this row alone. Instead, the batch of the most updates moves the
    weights by alpha, and the others by less: docs/decisions/0031. If all counts are equal, all
    shares and importances are 1.
    """
    bounds, observations = [0], 0
    for row, count in enumerate(counts.tolist()):
        if observations and observations + count > batch_size:
            bounds.append(row)
            observations = 0
        observations += count
    updates = np.ceil(np.add.reduceat(counts, bounds) / batch_size)
    largest = np.maximum.reduceat(counts, bounds)
    bounds.append(len(counts))
    return Batches(
        bounds,
        np.maximum(updates / updates.max(), MIN_SHARE),
        counts / np.repeat(largest, np.diff(bounds)),
    )
