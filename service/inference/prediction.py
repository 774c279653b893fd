"""Predictions: a version's decision and score for light states, one or many, and the reasons.

Which version answers is the caller's choice; `live_version` is the usual one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streetlight.model import explanation
from streetlight.model.dataset import FloatArray, Outcome, outcome_name
from streetlight.model.explanation import Counterfactual
from streetlight.model.registry.version import Version
from streetlight.service.validation.problems import FieldError, Problem


class LightsError(FieldError):
    """A light state doesn't fit the version."""


@dataclass(frozen=True)
class Prediction:
    """What `version` says to one light state; it walks from a score of 0.5 on."""

    decision: Outcome
    score: float
    version: int


@dataclass(frozen=True)
class BatchPrediction:
    """What `version` says to many light states, column by column, in their order."""

    decisions: list[Outcome]
    scores: list[float]
    version: int


@dataclass(frozen=True)
class Explanation:
    """How `version` comes to its score.

    `layers` has each node's value, `relu` which hidden nodes were let through, `weights` the
    matrices between; `contributions`, a light each, add up to the score.
    """

    decision: Outcome
    score: float
    version: int
    layers: dict[str, list[float]]
    relu: dict[str, list[bool]]
    weights: dict[str, list[list[float]]]
    contributions: list[float]
    flip: Counterfactual | None


def predict(version: Version, lights: Sequence[float]) -> Prediction:
    """Answer one light state.

    Raises:
        LightsError: the wrong number of lights, or one that is too large.
    """
    _check_count(version, len(lights), "lights")
    score = version.network.score(lights)
    if not math.isfinite(score):
        raise _too_large(version, lights, "lights")
    return Prediction(outcome_name(score), score, version.number)


def score_batch(version: Version, rows: Sequence[Sequence[float]] | FloatArray) -> FloatArray:
    """Score many light states at once, each to the bit as `predict` would.

    Raises:
        LightsError: names the first row at fault.
    """
    if isinstance(rows, np.ndarray):
        _check_count(version, rows.shape[1], "lights[0]")
    else:
        check_counts(version, rows, "lights")
    return score_rows(version, np.asarray(rows, dtype=np.float64), "lights")


def check_counts(version: Version, rows: Sequence[Sequence[float]], field: str) -> None:
    """See to it that each row has as many lights as the version wants.

    Raises:
        LightsError: names the first row at fault.
    """
    for i, row in enumerate(rows):
        if len(row) != version.network.light_count:
            _check_count(version, len(row), f"{field}[{i}]")


def score_rows(version: Version, lights: FloatArray, field: str) -> FloatArray:
    """Return the scores, shape (rows,), of `lights`, shape (rows, lights); `field` is its name.

    Raises:
        LightsError: names the first row with a light that is too large.
    """
    scores = version.network.scores(lights)
    finite = np.isfinite(scores)
    if not finite.all():
        i = int(finite.argmin())
        raise _too_large(version, lights[i].tolist(), f"{field}[{i}]")
    return scores


def explain(version: Version, lights: Sequence[float]) -> Explanation:
    """Say how the score of one light state comes about.

    Raises:
        LightsError: as for `predict`.
    """
    prediction = predict(version, lights)
    manifest = version.manifest
    told = explanation.explain(version.network, lights, (manifest.off, manifest.on))
    return Explanation(
        prediction.decision,
        prediction.score,
        prediction.version,
        layers={f"layer_{d}": layer for d, layer in enumerate(told.layers)},
        relu={f"layer_{d}": mask for d, mask in enumerate(told.active, start=1)},
        weights={name: m.tolist() for name, m in version.network.named_weights.items()},
        contributions=told.contributions,
        flip=told.flip,
    )


def _check_count(version: Version, count: int, field: str) -> None:
    wanted = version.network.light_count
    if count != wanted:
        message = f"version {version.number} expects {wanted} lights, got {count}"
        raise LightsError(Problem(field, message, count))


def _too_large(version: Version, lights: Sequence[float], field: str) -> LightsError:
    i = max(range(len(lights)), key=lambda light: abs(lights[light]))
    message = f"too large for version {version.number}: its score would overflow; got {lights[i]}"
    return LightsError(Problem(f"{field}[{i}]", message, lights[i]))
