"""`Dataset`: light states and outcomes as checked matrices, and the lab's datasets.

Reading and writing CSV is in `csv_io`; training on a dataset is in `training`.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Outcome = Literal["walk", "stop"]
# The names in `LAB_DATASETS`.
LabDataset = Literal["one-light", "six", "two-rows", "four"]
# What a training makes of rows with equal light states: see `Recipe.repeats`.
Repeats = Literal["grouped", "kept"]


class DatasetError(ValueError):
    """A dataset is invalid; the message names the row, the field and the expected value."""


# A score or a mean outcome above this value means walk. It is a little above 0.5, the mean outcome
# of a state observed as often with walk as with stop, so that rounding, or what descent leaves,
# doesn't decide such a state: docs/decisions/0033.
THRESHOLD = 0.501


def outcome_name(walk_vs_stop: float) -> Outcome:
    """Return `walk` for a score above `THRESHOLD`, else `stop`."""
    return "walk" if walk_vs_stop > THRESHOLD else "stop"


def is_walk(scores: FloatArray) -> NDArray[np.bool_]:
    """Return a mask of the shape of `scores`: true for walk, false for stop."""
    return scores > THRESHOLD


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Light states and outcomes, row by row.

    Attributes:
        lights: shape (rows, lights), any finite numbers.
        walk_vs_stop: shape (rows,), 1 for walk, 0 for stop, in between for a mean outcome.
        counts: shape (rows,), the number of observations that each row stands for; 1 by default.

    Raises:
        DatasetError: there are no rows, the shapes don't match, or a value is out of range.
    """

    lights: FloatArray
    walk_vs_stop: FloatArray
    counts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def __post_init__(self) -> None:
        # Adding 0.0 copies the array and turns -0.0 into 0.0, so equal states have equal bytes.
        lights = np.asarray(self.lights, dtype=np.float64) + 0.0
        outcomes = np.asarray(self.walk_vs_stop, dtype=np.float64).reshape(-1) + 0.0
        counts = np.array(self.counts if len(self.counts) else np.ones(len(outcomes)), np.int64)
        if lights.ndim != 2 or lights.size == 0:
            raise DatasetError(f"expected rows of at least one light, got shape {lights.shape}")
        if not len(lights) == len(outcomes) == len(counts):
            raise DatasetError(
                f"expected an outcome and a count for each of {len(lights)} light states, "
                f"got {len(outcomes)} and {len(counts)}"
            )
        for name, invalid, expected in (
            ("lights", ~np.isfinite(lights).all(axis=1), "finite numbers"),
            ("outcome", ~((outcomes >= 0) & (outcomes <= 1)), "a number from 0 to 1"),
            ("count", counts < 1, "a count of at least 1"),
        ):
            if invalid.any():
                raise DatasetError(f"row {int(invalid.argmax()) + 1}: {name}: expected {expected}")
        for name, array in (("lights", lights), ("walk_vs_stop", outcomes), ("counts", counts)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.lights)

    def __repr__(self) -> str:
        return f"Dataset({len(self)} rows of {self.light_count} lights)"

    @property
    def light_count(self) -> int:
        """The number of lights in a state."""
        return len(self.lights[0])

    @property
    def scale(self) -> float:
        """The largest absolute value of a light, or 1 if all are 0; a network divides by it."""
        return float(np.abs(self.lights).max()) or 1.0

    @property
    def levels(self) -> tuple[float, float]:
        """The values of an off and an on light: the lowest and the highest value in `lights`.

        If all values are equal, the other level is 0; if all are 0, the levels are 0 and 1.
        """
        off, on = float(self.lights.min()), float(self.lights.max())
        if off == on:
            return (off, 0.0) if off < 0 else (0.0, on or 1.0)
        return off, on

    @cached_property
    def conflicts(self) -> int:
        """The number of light states that were observed with both outcomes."""
        mean = self._grouped.walk_vs_stop
        return int(np.count_nonzero((mean > 0) & (mean < 1)))

    @cached_property
    def ties(self) -> FloatArray:
        """The light states that were observed as often with walk as with stop."""
        states: FloatArray = self._grouped.lights[self._grouped.walk_vs_stop == 0.5]
        return states

    def grouped(self) -> "Dataset":
        """Return a dataset with a row for each distinct light state, in order of first appearance.

        A row's outcome is the mean over its observations, its count is their number. Without
        grouping, a state observed with both outcomes moves the weights back and forth in every
        pass.
        """
        return self._grouped

    @cached_property
    def _grouped(self) -> "Dataset":
        states, first, group = np.unique(
            self.lights, axis=0, return_index=True, return_inverse=True
        )
        group = group.reshape(-1)
        counts = np.bincount(group, weights=self.counts)
        means = np.bincount(group, weights=self.counts * self.walk_vs_stop) / counts
        order = np.argsort(first)
        return Dataset(states[order], means[order], counts[order].astype(np.int64))

    def with_repeats(self, repeats: Repeats) -> "Dataset":
        """Return the rows as a training with `repeats` in its recipe takes them."""
        return self.grouped() if repeats == "grouped" else self

    def accuracy(self, scores: FloatArray) -> float:
        """Return the share of observations for which `scores`, shape (rows,), decide correctly."""
        correct = np.where(is_walk(scores), self.walk_vs_stop, 1 - self.walk_vs_stop)
        return float((correct * self.counts).sum() / self.counts.sum())


# Four states in which no single light correlates with the outcome, so a hidden layer is needed.
LAB = Dataset(
    np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1]], float), np.array([1, 1, 0, 0], float)
)

# Six states in which the middle light alone determines the outcome.
LAB_DIRECT = Dataset(
    np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1], [1, 1, 1], [0, 1, 1], [1, 0, 1]], float),
    np.array([0, 1, 0, 1, 1, 0], float),
)

# The lab's datasets in its order: the first light, the six rows, the first two of them, and four
# rows without correlation.
LAB_DATASETS = {
    "one-light": Dataset(LAB_DIRECT.lights[:1], LAB_DIRECT.walk_vs_stop[:1]),
    "six": LAB_DIRECT,
    "two-rows": Dataset(LAB_DIRECT.lights[:2], LAB_DIRECT.walk_vs_stop[:2]),
    "four": LAB,
}
# The names that two of them had in release 0.1; the command line still accepts these.
FORMER_NAMES = {"lab": "four", "lab-direct": "six"}
