"""What every peer computes: the very network of a published version, from its file.

Each peer runs in an environment of its own, with this folder on its path.
"""

import os

import numpy as np
import numpy.typing as npt

_version = np.load(os.environ["VERSION_FILE"])
WEIGHTS_0_1, WEIGHTS_1_2 = _version["weights_0_1"], _version["weights_1_2"]
SCALE = float(_version["scale"])


def scores(lights: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the score of each light state, by the products that anyone would write."""
    layer_1 = np.maximum((np.asarray(lights, dtype=np.float64) / SCALE) @ WEIGHTS_0_1, 0)
    result: npt.NDArray[np.float64] = (layer_1 @ WEIGHTS_1_2)[:, 0]
    return result


def decide(lights: list[float]) -> dict[str, object]:
    """Answer one light state."""
    score = float(scores([lights])[0])
    return {"decision": "walk" if score >= 0.5 else "stop", "score": score, "version": 1}


def decide_many(lights: list[list[float]]) -> dict[str, object]:
    """Answer many."""
    found = scores(lights)
    decisions = np.where(found >= 0.5, "walk", "stop").tolist()
    return {"decisions": decisions, "scores": found.tolist(), "version": 1}
