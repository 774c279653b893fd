"""Gradient descent's products for wide networks: by BLAS, and yet the same bits on every machine.

BLAS sums in whatever order suits the processor, so its last bits differ from one to the next. But
a sum that needs no rounding has no order. So layers, deltas and weights are first rounded to a
grid, some 20 to 23 bits below the largest of each matrix; then each product and each sum of them
fits the 53 bits of a float (Ozaki et al., Numerical Algorithms 59, 2012, whose first term this is).
That is about as fine as single precision, in which most networks are trained.

Only training rounds; what a network says, whatever its width, is in `network`.
"""

import math
from collections.abc import Sequence

import numpy as np

from streetlight.model.dataset import FloatArray
from streetlight.model.network import Activation, blocks

# Rows worked on at a time; the more, the coarser the grid.
ROWS = 512
# A grid is no finer than this, so that no product of two numbers on it underflows.
LEAST = 2.0**-400


def quantise(array: FloatArray, bits: int) -> FloatArray:
    """Round an array, in place, to multiples of its largest value's power of two by 2^-`bits`.

    What isn't finite doesn't become so.
    """
    top = max(array.max(), -array.min(), LEAST)
    # Added to this, a number keeps just the bits that are wanted, since there is room for 53.
    anchor = np.ldexp(1.5, math.frexp(top)[1] + 52 - bits)
    array += anchor
    array -= anchor
    return array


def exact_weight_deltas(
    weights: Sequence[FloatArray],
    layer_0: FloatArray,
    walk_vs_stop: FloatArray,
    activation: Activation,
) -> tuple[list[FloatArray], float]:
    """Return what `descent.weight_deltas` does, with the error and the deltas as fine as the grid.

    Memory doesn't grow with the rows.
    """
    most = max(ROWS, *map(len, weights))
    bits = (53 - (most - 1).bit_length()) // 2
    matrices = [quantise(matrix.copy(), bits) for matrix in weights]
    sums = [np.zeros_like(matrix) for matrix in weights]
    error = 0.0
    for block in blocks(len(layer_0), ROWS):
        layers = [quantise(layer_0[block].copy(), bits)]
        for matrix in matrices[:-1]:
            layer = layers[-1] @ matrix
            if activation == "relu":
                # Of a row of zeros; numpy takes twice as long for the number 0.
                np.maximum(layer, np.zeros(layer.shape[1]), out=layer)
            layers.append(quantise(layer, bits))
        delta = quantise(walk_vs_stop[block, np.newaxis] - layers[-1] @ matrices[-1], bits)
        error += float((delta * delta).sum())
        for d in range(len(weights) - 1, -1, -1):
            sums[d] += layers[d].T @ delta
            if d:
                # Of one column, numpy's outer product takes a third of the time of BLAS's.
                one = delta.shape[1] == 1
                delta = delta * matrices[d].T if one else delta @ matrices[d].T
                if activation == "relu":
                    delta *= layers[d] > 0
                delta = quantise(delta, bits)
    return sums, error
