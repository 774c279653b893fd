"""Comparison: on which light states two versions decide differently."""

from dataclasses import dataclass

import numpy as np

from streetlight.model import explanation
from streetlight.model.dataset import FloatArray, Outcome, is_walk, outcome_name
from streetlight.model.registry.version import Version


class IncomparableError(ValueError):
    """The two versions take different numbers of lights."""


@dataclass(frozen=True)
class Change:
    """A light state on which two versions decide differently."""

    lights: list[float]
    was: Outcome
    now: Outcome
    difference: float


@dataclass(frozen=True)
class Difference:
    """Where version `b` decides otherwise than version `a`, of `compared` light states.

    Those are every pattern of on and off, or (not `all_patterns`) what either was trained on.
    """

    a: int
    b: int
    compared: int
    all_patterns: bool
    largest_difference: float
    changes: list[Change]


def difference(a: Version, b: Version) -> Difference:
    """Compare what two versions answer to the same light states.

    Raises:
        IncomparableError: they take different numbers of lights.
    """
    if a.network.light_count != b.network.light_count:
        raise IncomparableError(
            f"version {a.number} takes {a.network.light_count} lights and version {b.number} "
            f"takes {b.network.light_count}: there is nothing to compare"
        )
    all_patterns = a.network.light_count <= explanation.MAX_LIGHTS
    lights = np.unique(np.concatenate([_states(a, all_patterns), _states(b, all_patterns)]), axis=0)
    was, now = a.network.scores(lights), b.network.scores(lights)
    changed = np.flatnonzero(is_walk(was) != is_walk(now))
    return Difference(
        a=a.number,
        b=b.number,
        compared=len(lights),
        all_patterns=all_patterns,
        largest_difference=float(np.abs(now - was).max()),
        changes=[
            Change(
                lights[i].tolist(),
                outcome_name(was[i]),
                outcome_name(now[i]),
                float(now[i] - was[i]),
            )
            for i in changed
        ],
    )


def _states(version: Version, all_patterns: bool) -> FloatArray:
    if not all_patterns:
        return version.dataset().lights
    manifest = version.manifest
    return explanation.patterns(manifest.lights, (manifest.off, manifest.on))
