"""Predict with a version: score one light state or many, and explain a score.

`resolution` finds the version.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streetlight.model import explanation
from streetlight.model.dataset import FloatArray, Outcome, outcome_name
from streetlight.model.explanation import Counterfactual
from streetlight.model.network import WeightLists
from streetlight.model.registry.version import Version
from streetlight.service.validation.problems import FieldError, Problem


class LightsError(FieldError):
    """A light state has the wrong number of lights for the version, or too large a light."""


@dataclass(frozen=True)
class Prediction:
    """The prediction of `version` for one light state: `walk` if the score is at least 0.5."""

    decision: Outcome
    score: float
    version: int


@dataclass(frozen=True)
class BatchPrediction:
    """The predictions of `version` for many light states, as columns in the order of the rows."""

    decisions: list[Outcome]
    scores: list[float]
    version: int


@dataclass(frozen=True)
class Explanation:
    """How `version` computes its score for a light state.

    `layers` has the value of each node, `relu` which hidden nodes are active, and `weights` the
    matrices between the layers. `contributions` has the part of each light in the score; the sum
    of the parts is the score. `flip` is the smallest change of one light that changes the decision.
    """

    decision: Outcome
    score: float
    version: int
    layers: dict[str, list[float]]
    relu: dict[str, list[bool]]
    weights: WeightLists
    contributions: list[float]
    flip: Counterfactual | None


def predict(version: Version, lights: Sequence[float]) -> Prediction:
    """Return the prediction for one light state.

    Raises:
        LightsError: the number of lights is wrong, or a light is so large that the score overflows.
    """
    _check_count(version, len(lights), "lights")
    score = version.network.score(lights)
    if not math.isfinite(score):
        raise _too_large(version, lights, "lights")
    return Prediction(outcome_name(score), score, version.number)


def ranked_classes(score: float) -> list[tuple[Outcome, float]]:
    """Return both outcomes with their values, the decision first.

    The value of walk is the score, and the value of stop is 1 minus the score.
    """
    values: list[tuple[Outcome, float]] = [("walk", score), ("stop", 1 - score)]
    return values if outcome_name(score) == "walk" else values[::-1]


def score_batch(version: Version, rows: Sequence[Sequence[float]] | FloatArray) -> FloatArray:
    """Return the scores of many light states, shape (rows,).

    Each score has the same bits as that of `predict` for the row.

    Raises:
        LightsError: a row has the wrong number of lights or too large a light; the message names
            the first such row.
    """
    if isinstance(rows, np.ndarray):
        _check_count(version, rows.shape[1], "lights[0]")
    else:
        check_counts(version, rows, "lights")
    return score_rows(version, np.asarray(rows, dtype=np.float64), "lights")


def check_counts(version: Version, rows: Sequence[Sequence[float]], field: str) -> None:
    """Check that each row has as many lights as the version takes.

    Raises:
        LightsError: a row has another number of lights; the message names the first such row.
    """
    for i, row in enumerate(rows):
        if len(row) != version.network.light_count:
            _check_count(version, len(row), f"{field}[{i}]")


def score_rows(version: Version, lights: FloatArray, field: str) -> FloatArray:
    """Return the scores, shape (rows,), of `lights`, shape (rows, lights).

    Raises:
        LightsError: the score of a row overflows; the message names the first such row, as an
            element of `field`.
    """
    scores = version.network.scores(lights)
    finite = np.isfinite(scores)
    if not finite.all():
        i = int(finite.argmin())
        raise _too_large(version, lights[i].tolist(), f"{field}[{i}]")
    return scores


def explain(version: Version, lights: Sequence[float]) -> Explanation:
    """Return the prediction for one light state, with its explanation.

    Raises:
        LightsError: as for `predict`.
    """
    prediction = predict(version, lights)
    manifest = version.manifest
    explained = explanation.explain_score(version.network, lights, (manifest.off, manifest.on))
    return Explanation(
        prediction.decision,
        prediction.score,
        prediction.version,
        layers={f"layer_{d}": layer for d, layer in enumerate(explained.layers)},
        relu={f"layer_{d}": mask for d, mask in enumerate(explained.active, start=1)},
        weights={name: m.tolist() for name, m in version.network.named_weights.items()},
        contributions=explained.contributions,
        flip=explained.flip,
    )


def _check_count(version: Version, count: int, field: str) -> None:
    expected = version.network.light_count
    if count != expected:
        message = f"version {version.number} expects {expected} lights, got {count}"
        raise LightsError(Problem(field, message, count))


def _too_large(version: Version, lights: Sequence[float], field: str) -> LightsError:
    """Return an error that names the largest light, by absolute value."""
    i = max(range(len(lights)), key=lambda light: abs(lights[light]))
    message = f"too large for version {version.number}: its score would overflow; got {lights[i]}"
    return LightsError(Problem(f"{field}[{i}]", message, lights[i]))
