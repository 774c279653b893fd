"""The network that every peer serves, loaded from the file of a published version.

Each peer runs in its own environment, with this folder on its path.
"""

import os

import numpy as np
import numpy.typing as npt

_version = np.load(os.environ["VERSION_FILE"])
WEIGHTS_0_1, WEIGHTS_1_2 = _version["weights_0_1"], _version["weights_1_2"]
SCALE = float(_version["scale"])


def scores(lights: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the score of each light state, by plain matrix products."""
    layer_1 = np.maximum((np.asarray(lights, dtype=np.float64) / SCALE) @ WEIGHTS_0_1, 0)
    result: npt.NDArray[np.float64] = (layer_1 @ WEIGHTS_1_2)[:, 0]
    return result


def decide(lights: list[float]) -> dict[str, object]:
    """Return the response for one light state."""
    score = float(scores([lights])[0])
    return {"decision": "walk" if score >= 0.5 else "stop", "score": score, "version": 1}


def decide_many(lights: list[list[float]]) -> dict[str, object]:
    """Return the response for many light states."""
    values = scores(lights)
    decisions = np.where(values >= 0.5, "walk", "stop").tolist()
    return {"decisions": decisions, "scores": values.tolist(), "version": 1}
