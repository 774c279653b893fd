"""Score light states with a version: one in plain floats, or many in an array.

`resolution` finds the version, `result` has what the scores mean.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from streetlight.model.dataset import FloatArray
from streetlight.model.network import blocks
from streetlight.model.registry.version import Version
from streetlight.service.validation.problems import FieldError, Problem

# Multiplications between two checks that the client still waits, about 50 ms.
PIECE = 50_000_000

# One light state, or many of shape (rows, lights), of any real dtype.
LightStates = list[float] | npt.NDArray[Any]
# The score of one light state, or of many, shape (rows,).
Scores = list[float] | FloatArray


class LightsError(FieldError):
    """A light state has the wrong number of lights for the version, or too large a light."""


def row_count(lights: LightStates) -> int:
    """Return the number of light states in `lights`."""
    return 1 if isinstance(lights, list) else len(lights)


def score(version: Version, lights: LightStates, field: str, check: Callable[[], None]) -> Scores:
    """Return the scores of `lights`; a light state gets the same bits alone and among others.

    Many are scored in pieces; `check` is called before each, and may raise an error.

    Raises:
        LightsError: as `score_row` and `score_rows`.
    """
    if isinstance(lights, list):
        return [score_row(version, lights, field)]
    if len(lights) == 1:
        row = lights[0].astype(np.float64).tolist()
        return [score_row(version, row, f"{field}[0]")]
    return score_rows(version, lights, field, check)


def score_row(version: Version, lights: Sequence[float], field: str) -> float:
    """Return the score of one light state.

    Raises:
        LightsError: the number of lights is wrong, or a light is so large that the score overflows;
            the message names `field`.
    """
    _check_count(version, len(lights), field)
    score = version.network.score(lights)
    if not math.isfinite(score):
        raise _too_large(version, lights, field)
    return score


def score_rows(
    version: Version, lights: npt.NDArray[Any], field: str, check: Callable[[], None]
) -> FloatArray:
    """Return the scores, shape (rows,), of `lights`, shape (rows, lights); see `score`.

    Raises:
        LightsError: the rows have the wrong number of lights, or the score of a row overflows; the
            message names the first such row, as an element of `field`.
    """
    _check_count(version, lights.shape[1], f"{field}[0]")
    network = version.network
    piece_rows = max(PIECE // network.weight_count, 1)
    if len(lights) <= piece_rows:
        scores = network.scores(lights)
    else:
        scores = np.empty(len(lights))
        for piece in blocks(len(lights), piece_rows):
            check()
            scores[piece] = network.scores(lights[piece])
    finite = np.isfinite(scores)
    if not finite.all():
        i = int(finite.argmin())
        raise _too_large(version, lights[i].tolist(), f"{field}[{i}]")
    return scores


def check_counts(version: Version, rows: Sequence[Sequence[float]], field: str) -> None:
    """Check that each row has as many lights as the version takes.

    Raises:
        LightsError: a row has another number of lights; the message names the first such row.
    """
    for i, row in enumerate(rows):
        if len(row) != version.network.light_count:
            _check_count(version, len(row), f"{field}[{i}]")


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
