"""The statistics of decisions, compared with those of scipy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from streetlight.model.evaluation import mcnemar_p, wilson_interval


@given(st.integers(0, 3000), st.integers(1, 3000))
def test_the_wilson_interval_is_that_of_scipy(correct: int, total: int) -> None:
    correct = min(correct, total)
    expected = binomtest(correct, total).proportion_ci(method="wilson")
    low, high = wilson_interval(correct, total)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= correct / total <= high <= 1


def test_nothing_is_known_without_observations() -> None:
    assert wilson_interval(0, 0) == (0, 1)


def test_the_wilson_interval_ends_at_a_share_of_none_or_all() -> None:
    assert wilson_interval(0, 7).low == 0
    assert wilson_interval(7, 7).high == 1


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar_p(first, second) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_p(first, second) == mcnemar_p(second, first)


def test_mcnemar_takes_ten_thousand_pairs() -> None:
    assert mcnemar_p(5000, 5000) == 1
    assert mcnemar_p(4900, 5100) == pytest.approx(binomtest(4900, 10_000).pvalue, rel=1e-9)
    assert mcnemar_p(0, 10_000) == 0  # below the smallest float
