"""Compare two versions: the light states that they decide differently."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from heapq import nlargest
from itertools import chain
from typing import Annotated

import numpy as np
from pydantic import Field

from streetlight.model import explanation
from streetlight.model.dataset import Dataset, FloatArray, Outcome, is_walk, outcome_name
from streetlight.model.network import blocks
from streetlight.model.registry.version import Version
from streetlight.service.inference.limits import Cost

# The changes that are listed; their number may be that of all light states in a training set.
MAX_CHANGES = 100
# The time that reading a light of a training set takes, in multiplications.
LIGHT_MULTIPLICATIONS = 30


class IncomparableError(ValueError):
    """The two versions take different numbers of lights."""


@dataclass(frozen=True)
class Change:
    """A light state that two versions decide differently; `difference` is that of the scores.

    In a verdict, `observed` is the number of observations of the state in the training data and in
    the exam of the new version.
    """

    lights: list[float]
    was: Outcome
    now: Outcome
    difference: float
    observed: Annotated[int | None, Field(exclude_if=lambda count: count is None)] = None


@dataclass(frozen=True)
class Difference:
    """The light states that version `b` decides differently than version `a`.

    `compared` is the number of light states that were compared. If `all_patterns` is true, these
    are all patterns of on and off, else the light states that either version was trained on.
    `largest_difference` is the largest difference between the two scores of a state. `changed` is
    the number of states that are decided differently, and `changes` lists the first 100 of them.
    """

    a: int
    b: int
    compared: int
    all_patterns: bool
    largest_difference: float
    changed: int
    changes: list[Change]


def difference_cost(a: Version, b: Version) -> Cost:
    """Return what `difference` costs.

    Raises:
        IncomparableError: the versions take different numbers of lights.
    """
    lights = a.network.light_count
    if lights != b.network.light_count:
        raise IncomparableError(
            f"can't compare version {a.number}, which takes {lights} lights, "
            f"with version {b.number}, which takes {b.network.light_count}"
        )
    states = 2 * 2**lights if _has_all_patterns(a) else a.manifest.rows + b.manifest.rows
    weights = a.network.weight_count + b.network.weight_count
    return Cost(multiplications=states * (weights + lights * LIGHT_MULTIPLICATIONS))


def difference(
    a: Version,
    b: Version,
    observed: Sequence[Dataset] = (),
    report: Callable[[], object] = lambda: None,
) -> Difference:
    """Return the light states that two versions decide differently.

    The states of the datasets in `observed` are compared, too: their observations of each state are
    counted, and the states with the most are listed first. `report` is called after each of them.

    Raises:
        IncomparableError: the versions take different numbers of lights.
    """
    difference_cost(a, b)
    counts: Counter[bytes] = Counter()
    for dataset in observed:
        _count_changed(counts, a, b, dataset)
        report()
    compared, changed, largest = 0, 0, 0.0
    changes: list[Change] = []
    for lights in _states(a, b, observed):
        scores_a, scores_b = a.network.scores(lights), b.network.scores(lights)
        compared += len(lights)
        largest = max(largest, float(np.abs(scores_b - scores_a).max()))
        rows = np.flatnonzero(is_walk(scores_a) != is_walk(scores_b))
        changed += len(rows)
        times = [counts[state.tobytes()] for state in lights[rows]]
        changes += [
            Change(
                lights[rows[i]].tolist(),
                outcome_name(scores_a[rows[i]]),
                outcome_name(scores_b[rows[i]]),
                float(scores_b[rows[i]] - scores_a[rows[i]]),
                times[i] if observed else None,
            )
            for i in nlargest(MAX_CHANGES, range(len(rows)), times.__getitem__)
        ]
        changes = nlargest(MAX_CHANGES, changes, key=lambda change: change.observed or 0)
    return Difference(
        a=a.number,
        b=b.number,
        compared=compared,
        all_patterns=_has_all_patterns(a),
        largest_difference=largest,
        changed=changed,
        changes=changes,
    )


def _has_all_patterns(version: Version) -> bool:
    return version.network.light_count <= explanation.MAX_LIGHTS


def _count_changed(counts: Counter[bytes], a: Version, b: Version, dataset: Dataset) -> None:
    """Add the observations of the states in `dataset` that the versions decide differently."""
    walk_a, walk_b = (is_walk(version.network.scores(dataset.lights)) for version in (a, b))
    for row in np.flatnonzero(walk_a != walk_b):
        counts[dataset.lights[row].tobytes()] += int(dataset.counts[row])


def _states(a: Version, b: Version, observed: Sequence[Dataset]) -> Iterator[FloatArray]:
    """Yield the light states to compare, each once, in arrays of shape (rows, lights)."""
    if _has_all_patterns(a):
        levels = [(version.manifest.off, version.manifest.on) for version in (a, b)]
        lights = np.concatenate([explanation.patterns(a.manifest.lights, pair) for pair in levels])
        sources = iter([np.unique(lights, axis=0)])
    else:
        sources = (version.dataset().lights for version in (a, b))
    # `np.unique` takes ten times as long for rows of many lights.
    seen: set[bytes] = set()
    for lights in chain(sources, (dataset.lights for dataset in observed)):
        for block in blocks(len(lights)):
            digests = [blake2b(row, digest_size=16).digest() for row in lights[block]]
            new = {digest: i for i, digest in enumerate(digests) if digest not in seen}
            seen.update(new)
            if new:
                yield lights[block][list(new.values())]
