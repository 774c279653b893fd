"""A comparison of arrays bit for bit.

`==` and `np.testing.assert_array_equal` treat -0.0 and 0.0 as equal.
"""

import numpy as np
from numpy.typing import ArrayLike


def assert_same_bits(actual: ArrayLike, expected: ArrayLike) -> None:
    """Assert that two arrays have the same shape, dtype and bytes; -0.0 differs from 0.0."""
    a, b = np.asarray(actual), np.asarray(expected)
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert a.tobytes() == b.tobytes(), f"different bits:\n{a}\n{b}"
