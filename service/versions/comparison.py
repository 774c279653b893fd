"""Compare two versions: the light states that they decide differently."""

from dataclasses import dataclass

import numpy as np

from streetlight.model import explanation
from streetlight.model.dataset import FloatArray, Outcome, is_walk, outcome_name
from streetlight.model.registry.version import Version

# The changes that are listed; their number may be that of all light states in a training set.
MAX_CHANGES = 100


class IncomparableError(ValueError):
    """The two versions take different numbers of lights."""


@dataclass(frozen=True)
class Change:
    """A light state that two versions decide differently; `difference` is that of the scores."""

    lights: list[float]
    was: Outcome
    now: Outcome
    difference: float


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


def difference(a: Version, b: Version) -> Difference:
    """Return the light states that two versions decide differently.

    Raises:
        IncomparableError: the versions take different numbers of lights.
    """
    if a.network.light_count != b.network.light_count:
        raise IncomparableError(
            f"can't compare version {a.number}, which takes {a.network.light_count} lights, "
            f"with version {b.number}, which takes {b.network.light_count}"
        )
    all_patterns = a.network.light_count <= explanation.MAX_LIGHTS
    lights = np.unique(np.concatenate([_states(a, all_patterns), _states(b, all_patterns)]), axis=0)
    scores_a, scores_b = a.network.scores(lights), b.network.scores(lights)
    changed = np.flatnonzero(is_walk(scores_a) != is_walk(scores_b))
    return Difference(
        a=a.number,
        b=b.number,
        compared=len(lights),
        all_patterns=all_patterns,
        largest_difference=float(np.abs(scores_b - scores_a).max()),
        changed=len(changed),
        changes=[
            Change(
                lights[i].tolist(),
                outcome_name(scores_a[i]),
                outcome_name(scores_b[i]),
                float(scores_b[i] - scores_a[i]),
            )
            for i in changed[:MAX_CHANGES]
        ],
    )


def _states(version: Version, all_patterns: bool) -> FloatArray:
    """Return all patterns of the version's lights, or the light states that it was trained on."""
    if not all_patterns:
        return version.dataset().lights
    manifest = version.manifest
    return explanation.patterns(manifest.lights, (manifest.off, manifest.on))
