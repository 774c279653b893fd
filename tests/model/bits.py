"""A comparison of arrays bit for bit.

`==` and `np.testing.assert_array_equal` take -0.0 for 0.0, so they don't compare bits.
"""

import numpy as np
from numpy.typing import ArrayLike


def assert_same_bits(actual: ArrayLike, expected: ArrayLike) -> None:
    """Assert that two arrays have the same shape, dtype and bytes; -0.0 differs from 0.0."""
    a, b = np.asarray(actual), np.asarray(expected)
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert a.tobytes() == b.tobytes(), f"different bits:\n{a}\n{b}"
