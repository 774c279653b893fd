"""Weight deltas of networks with wide layers, by BLAS, with the same bits on every machine.

BLAS adds in an order that depends on the processor, so its last bits differ between machines. A sum
without rounding is the same in every order. So layers, deltas and weights are first quantised: with
layers of up to 512 nodes, to multiples of 2^-22 of their largest value's power of two. Then every
product and every sum of products fits the 53 bits of a float. This is the first term of the
splitting by Ozaki et al., Numerical Algorithms 59, 2012. The precision is about that of single
precision.

Only training quantises. Scores are computed in `network`, in double precision at any width.
"""

import math
from collections.abc import Sequence

import numpy as np

from streetlight.model.dataset import FloatArray
from streetlight.model.network import Activation, blocks

# Rows processed at a time. More rows leave fewer bits for each value: see `exact_weight_deltas`.
EXACT_BLOCK_ROWS = 512
# Smaller arrays are quantised as if this were their largest value, so that no product underflows.
MIN_MAGNITUDE = 2.0**-400


def quantise(array: FloatArray, bits: int) -> FloatArray:
    """Round `array`, in place, to multiples of 2^(e - `bits`), and return it.

    2^e is the lowest power of two above every absolute value in `array`. Infinities and NaN don't
    become finite.
    """
    magnitude = max(array.max(), -array.min(), MIN_MAGNITUDE)
    # A float has 53 bits, so adding this number rounds away all bits below 2^(e - bits).
    anchor = np.ldexp(1.5, math.frexp(magnitude)[1] + 52 - bits)
    array += anchor
    array -= anchor
    return array


def exact_weight_deltas(
    weights: Sequence[FloatArray],
    layer_0: FloatArray,
    walk_vs_stop: FloatArray,
    activation: Activation,
    importance: FloatArray,
) -> tuple[list[FloatArray], float]:
    """Return the results of `descent.weight_deltas`, computed from quantised values.

    Memory doesn't grow with the number of rows.
    """
    # The longest sum has this many products; each factor gets half of the bits that are left.
    longest_sum = max(EXACT_BLOCK_ROWS, *map(len, weights))
    bits = (53 - (longest_sum - 1).bit_length()) // 2
    matrices = [quantise(matrix.copy(), bits) for matrix in weights]
    sums = [np.zeros_like(matrix) for matrix in weights]
    weighted = (importance != 1).any()
    error = 0.0
    for block in blocks(len(layer_0), EXACT_BLOCK_ROWS):
        layers = [quantise(layer_0[block].copy(), bits)]
        for matrix in matrices[:-1]:
            layer = layers[-1] @ matrix
            if activation == "relu":
                # With a row of zeros, numpy takes half the time that the number 0 takes.
                np.maximum(layer, np.zeros(layer.shape[1]), out=layer)
            layers.append(quantise(layer, bits))
        delta = quantise(walk_vs_stop[block, np.newaxis] - layers[-1] @ matrices[-1], bits)
        error += float((delta * delta).sum())
        if weighted:
            delta = quantise(delta * importance[block, np.newaxis], bits)
        for d in range(len(weights) - 1, -1, -1):
            sums[d] += layers[d].T @ delta
            if d:
                # For a single column, numpy's outer product takes a third of BLAS's time.
                one_column = delta.shape[1] == 1
                delta = delta * matrices[d].T if one_column else delta @ matrices[d].T
                if activation == "relu":
                    delta *= layers[d] > 0
                delta = quantise(delta, bits)
    return sums, error
