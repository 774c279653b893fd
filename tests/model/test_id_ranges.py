"""Tests of ranges of ids, compared with sets of integers."""

from hypothesis import given
from hypothesis import strategies as st

from streetlight.model.id_ranges import IdRanges, expand, newest, size, subtract


def ranges(ids: set[int]) -> IdRanges:
    """Return `ids` as ranges, of which neighbours may touch."""
    found: IdRanges = []
    for i in sorted(ids):
        if found and found[-1][1] == i - 1 and i % 7:
            found[-1] = (found[-1][0], i)
        else:
            found.append((i, i))
    return found


IDS = st.sets(st.integers(1, 60))


@given(IDS, IDS, st.integers(0, 70))
def test_operations_are_those_of_sets(ids: set[int], others: set[int], count: int) -> None:
    found = ranges(ids)
    assert expand(found).tolist() == sorted(ids)
    assert size(found) == len(ids)
    assert expand(subtract(found, ranges(others))).tolist() == sorted(ids - others)
    assert expand(newest(found, count)).tolist() == sorted(ids)[max(0, len(ids) - count) :]
