"""Sets of observation ids as ranges: sorted lists of (first, last), both ends included.

A million consecutive ids are one range, so manifests and verdicts stay short.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

IdRanges = list[tuple[int, int]]


def checked(ranges: Iterable[Sequence[int]]) -> IdRanges:
    """Return `ranges`, such as those in JSON, as tuples.

    Raises:
        ValueError: they aren't sorted ranges of ids.
    """
    found: IdRanges = []
    previous = 0
    for ids in ranges:
        first, last = ids
        if not (type(first) is type(last) is int and previous < first <= last):
            raise ValueError(f"observations: expected sorted ranges of ids, got {ids}")
        found.append((first, last))
        previous = last
    return found


def size(ranges: Sequence[tuple[int, int]]) -> int:
    """Return the number of ids in `ranges`."""
    return sum(last - first + 1 for first, last in ranges)


def expand(ranges: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """Return the ids in `ranges` as an array."""
    return np.array([i for first, last in ranges for i in range(first, last + 1)], np.int64)


def subtract(ranges: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]) -> IdRanges:
    """Return the ids in `ranges` that aren't in `others`."""
    rest: IdRanges = []
    position = 0
    for first, last in ranges:
        start = first
        while position < len(others) and others[position][0] <= last:
            begin, end = others[position]
            if start < begin:
                rest.append((start, begin - 1))
            start = max(start, end + 1)
            if end > last:
                break  # it may reach into the next of `ranges`
            position += 1
        if start <= last:
            rest.append((start, last))
    return rest


def newest(ranges: Sequence[tuple[int, int]], count: int) -> IdRanges:
    """Return the `count` highest ids in `ranges`, or all if there are fewer."""
    found: IdRanges = []
    for first, last in reversed(ranges):
        if count <= 0:
            break
        found.append((max(first, last - count + 1), last))
        count -= last - first + 1
    return found[::-1]
