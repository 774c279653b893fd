"""Statistics of decisions: the Wilson interval of an accuracy, and McNemar's test of two versions.

Both are exact up to rounding, for any number of observations. Which observations versions are
compared on, and what follows from the result, is decided by `service.learning.gate`.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streetlight.model.dataset import Dataset, FloatArray, is_walk

# The quantile of the normal distribution for an interval of 95 %.
Z_95 = 1.959963984540054
# A light far outside of the training data may lead to a score without a finite square, which JSON
# can't represent. The sum of the errors of ten thousand rows is still finite with this bound.
MAX_SQUARED_ERROR = 1e300


class Interval(NamedTuple):
    """The interval that contains an unknown share with a confidence of 95 %."""

    low: float
    high: float


def wilson_interval(correct: int, total: int) -> Interval:
    """Return the Wilson score interval of the share `correct` / `total`, for 95 %.

    Source: E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference,
    Journal of the American Statistical Association 22, 1927. Without observations, it is (0, 1).
    """
    if total == 0:
        return Interval(0.0, 1.0)
    share, z2 = correct / total, Z_95 * Z_95
    centre = share + z2 / (2 * total)
    margin = Z_95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    scale = 1 + z2 / total
    # At a share of 0 or 1 the interval ends there; the formula misses that by rounding.
    low = 0.0 if correct == 0 else (centre - margin) / scale
    high = 1.0 if correct == total else (centre + margin) / scale
    return Interval(low, high)


def mcnemar_p(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    It is the probability that two equally good versions divide the observations that just one of
    them decides correctly at least as unevenly as into `only_first` and `only_second`.

    Source: Q. McNemar, Note on the Sampling Error of the Difference Between Correlated Proportions
    or Percentages, Psychometrika 12, 1947, with the binomial distribution in place of chi-squared.
    """
    pairs = only_first + only_second
    coefficient = total = 1
    for k in range(1, min(only_first, only_second) + 1):
        coefficient = coefficient * (pairs - k + 1) // k
        total += coefficient
    # Integers: no rounding until the division, which Python rounds correctly.
    return min(1.0, 2 * total / (1 << pairs))


@dataclass(frozen=True)
class Result:
    """How a version decides observations.

    Attributes:
        right: the number of observations that it decides correctly.
        accuracy: their share.
        interval: the Wilson interval of the accuracy, for 95 %.
        squared_error: the squared errors, summed over the observations.
    """

    right: int
    accuracy: float
    interval: Interval
    squared_error: float


@dataclass(frozen=True)
class PairedResult:
    """How two versions decide the same observations.

    Attributes:
        both_right: the number of observations that both decide correctly.
        only_champion: the number that only the champion decides correctly.
        only_challenger: the number that only the challenger decides correctly.
        both_wrong: the number that neither decides correctly.
        p: the p-value of McNemar's exact test: see `mcnemar_p`.
        champion: the result of the version that is to be replaced.
        challenger: the result of the version that is to replace it.
    """

    both_right: int
    only_champion: int
    only_challenger: int
    both_wrong: int
    p: float
    champion: Result
    challenger: Result


def evaluate(scores: FloatArray, dataset: Dataset) -> Result:
    """Return how `scores`, shape (rows,), decide a dataset whose outcomes are all 0 or 1."""
    total, right = len(dataset), int(np.count_nonzero(_right(scores, dataset)))
    with np.errstate(over="ignore"):
        squares = (dataset.walk_vs_stop - scores) ** 2
    # The exact sum, rounded once, so that it is the same on every machine.
    squared_error = math.fsum(np.fmin(squares, MAX_SQUARED_ERROR).tolist())
    return Result(right, right / total, wilson_interval(right, total), squared_error)


def evaluate_pair(champion: FloatArray, challenger: FloatArray, dataset: Dataset) -> PairedResult:
    """Return how the scores of two versions, each of shape (rows,), decide the same dataset."""
    first, second = _right(champion, dataset), _right(challenger, dataset)
    only_first, only_second = (
        int(np.count_nonzero(only)) for only in (first & ~second, second & ~first)
    )
    return PairedResult(
        both_right=int(np.count_nonzero(first & second)),
        only_champion=only_first,
        only_challenger=only_second,
        both_wrong=int(np.count_nonzero(~first & ~second)),
        p=mcnemar_p(only_first, only_second),
        champion=evaluate(champion, dataset),
        challenger=evaluate(challenger, dataset),
    )


def _right(scores: FloatArray, dataset: Dataset) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = is_walk(scores) == (dataset.walk_vs_stop == 1)
    return right
