"""Statistics of decisions: the Wilson interval of an accuracy, and McNemar's test of two versions.

Both are exact up to rounding, for any number of observations. What is compared, and what follows
from it, is decided where versions are judged.
"""

import math
from typing import NamedTuple

# The quantile of the normal distribution for an interval of 95 %.
Z_95 = 1.959963984540054


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

    It is the probability that fair coin flips, one for each observation that just one of the two
    decides correctly, fall at least as unevenly as `only_first` and `only_second`.

    Source: Q. McNemar, Note on the Sampling Error of the Difference Between Correlated Proportions
    or Percentages, Psychometrika 12, 1947, with the binomial distribution in place of chi-squared.
    """
    flips = only_first + only_second
    coefficient = total = 1
    for k in range(1, min(only_first, only_second) + 1):
        coefficient = coefficient * (flips - k + 1) // k
        total += coefficient
    # Integers: no rounding until the division, which Python rounds correctly.
    return min(1.0, 2 * total / (1 << flips))
