"""`Result`: the scores of a request, and the predictions and explanations that follow from them.

`codecs` encode them as responses. The scores are computed in `prediction`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from streetlight.model import explanation
from streetlight.model.dataset import FloatArray, Outcome, is_walk, outcome_name
from streetlight.model.explanation import Counterfactual
from streetlight.model.network import WeightLists
from streetlight.model.registry.version import Version
from streetlight.service.inference.prediction import LightStates, Scores


@dataclass(frozen=True)
class Prediction:
    """The prediction of `version` for one light state: `walk` if the score is above 0.501."""

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
class RowExplanation(Prediction):
    """How `version` computes its score for a light state, without its weights.

    `layers` has the value of each node, and `relu` which hidden nodes are active. `contributions`
    has the part of each light in the score; the sum of the parts is the score. `flip` is the
    smallest change of one light that changes the decision.
    """

    layers: dict[str, list[float]]
    relu: dict[str, list[bool]]
    contributions: list[float]
    flip: Counterfactual | None


@dataclass(frozen=True)
class Explanation(RowExplanation):
    """How `version` computes its score for a light state.

    `layers` has the value of each node, `relu` which hidden nodes are active, and `weights` the
    matrices between the layers. `contributions` has the part of each light in the score; the sum
    of the parts is the score. `flip` is the smallest change of one light that changes the decision.
    """

    weights: WeightLists


class Result(NamedTuple):
    """The scores of a request's light states.

    Attributes:
        model: the name of the model.
        version: the version that predicted.
        lights: the light states.
        scores: their scores.
    """

    model: str
    version: Version
    lights: LightStates
    scores: Scores

    @property
    def score_list(self) -> list[float]:
        """The scores in plain floats."""
        return self.scores if isinstance(self.scores, list) else self.scores.tolist()

    @property
    def score_array(self) -> FloatArray:
        """The scores as an array."""
        return np.asarray(self.scores)

    @property
    def walk_count(self) -> int:
        """The number of light states with the decision walk."""
        if isinstance(self.scores, list):
            return sum([outcome_name(score) == "walk" for score in self.scores])
        return int(np.count_nonzero(is_walk(self.scores)))

    def predict(self, score: float) -> Prediction:
        """Return the prediction that follows from one of the scores."""
        return Prediction(outcome_name(score), score, self.version.number)

    def explain(self) -> Iterator[RowExplanation]:
        """Yield the prediction for each light state, with its explanation."""
        rows = [self.lights] if isinstance(self.lights, list) else self.lights.tolist()
        return map(self._explain, rows, self.score_list)

    def _explain(self, lights: list[float], score: float) -> RowExplanation:
        network, manifest = self.version.network, self.version.manifest
        explained = explanation.explain_score(network, lights, (manifest.off, manifest.on))
        return RowExplanation(
            **vars(self.predict(score)),
            layers={f"layer_{d}": layer for d, layer in enumerate(explained.layers)},
            relu={f"layer_{d}": mask for d, mask in enumerate(explained.active, start=1)},
            contributions=explained.contributions,
            flip=explained.flip,
        )


def ranked_classes(score: float) -> list[tuple[Outcome, float]]:
    """Return both outcomes with their values, the decision first.

    The value of walk is the score, and the value of stop is 1 minus the score.
    """
    values: list[tuple[Outcome, float]] = [("walk", score), ("stop", 1 - score)]
    return values if outcome_name(score) == "walk" else values[::-1]
