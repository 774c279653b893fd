"""Tests of `assert_same_bits`."""

import numpy as np
import pytest

from tests.model.bits import assert_same_bits


def test_equal_arrays_have_the_same_bits() -> None:
    assert_same_bits([0.0, -0.0, np.nan], np.array([0.0, -0.0, np.nan]))
    assert_same_bits(np.eye(2).T[::-1], np.array([[0.0, 1.0], [1.0, 0.0]]))


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ([0.0], [-0.0]),
        ([1.0], [np.nextafter(1.0, 2.0)]),
        ([1.0], [1]),
        ([[0.0]], [0.0]),
        ([0.0, 0.0], [0.0]),
    ],
)
def test_a_difference_in_sign_last_bit_dtype_or_shape_fails(
    actual: object, expected: object
) -> None:
    with pytest.raises(AssertionError):
        assert_same_bits(actual, expected)  # type: ignore[arg-type]
