"""The statistics of decisions, compared with those of scipy."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from streetlight.model.dataset import Dataset
from streetlight.model.evaluation import evaluate_pair, mcnemar_p, wilson_interval


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


ROW = st.tuples(st.booleans(), st.floats(-2, 2), st.floats(-2, 2))


@given(st.lists(ROW, min_size=1, max_size=60))
def test_two_versions_are_compared_observation_by_observation(
    rows: list[tuple[bool, float, float]],
) -> None:
    outcomes, champion, challenger = map(np.array, zip(*rows, strict=True))
    found = evaluate_pair(champion, challenger, Dataset(np.eye(len(rows)), outcomes))

    right = [((a > 0.501) == walk, (b > 0.501) == walk) for walk, a, b in rows]
    table = (found.both_right, found.only_champion, found.only_challenger, found.both_wrong)
    assert table == tuple(
        map(right.count, [(True, True), (True, False), (False, True), (False, False)])
    )
    assert found.p == mcnemar_p(found.only_champion, found.only_challenger)
    for result, scores, correct in zip(
        (found.champion, found.challenger),
        (champion, challenger),
        zip(*right, strict=True),
        strict=True,
    ):
        assert (result.right, result.accuracy) == (sum(correct), sum(correct) / len(rows))
        assert result.interval == wilson_interval(sum(correct), len(rows))
        squares = ((outcomes - scores) ** 2).tolist()
        assert result.squared_error == float(sum(map(Fraction, squares)))


def test_an_error_beyond_the_range_of_floats_is_a_number_of_json() -> None:
    scores = np.array([1e200, -np.inf, np.nan, 1.0])
    found = evaluate_pair(scores, scores, Dataset(np.eye(4), np.ones(4)))
    assert json.dumps(found.champion.squared_error) == "3e+300"
    assert found.champion.right == 2
