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


def explain(lights: list[float]) -> dict[str, object]:
    """Return the explanation of the score of one light state, with the fields of our response."""
    layer_0 = np.array(lights, dtype=np.float64) / SCALE
    layer_1 = np.maximum(layer_0 @ WEIGHTS_0_1, 0)
    active = layer_1 > 0
    prediction = decide(lights)
    changes = [(i, was, now) for i, was in enumerate(lights) for now in (0.0, 1.0)]
    changed = scores([[*lights[:i], now, *lights[i + 1 :]] for i, _, now in changes]).tolist()
    flips = [
        {"light": i, "was": was, "now": now, "decision": decision, "score": score}
        for (i, was, now), score in zip(changes, changed, strict=True)
        for decision in ["walk" if score >= 0.5 else "stop"]
        if decision != prediction["decision"]
    ]
    return prediction | {
        "layers": {
            "layer_0": layer_0.tolist(),
            "layer_1": layer_1.tolist(),
            "layer_2": [prediction["score"]],
        },
        "relu": {"layer_1": active.tolist()},
        "weights": {"weights_0_1": WEIGHTS_0_1.tolist(), "weights_1_2": WEIGHTS_1_2.tolist()},
        "contributions": (layer_0 * ((WEIGHTS_0_1 * active) @ WEIGHTS_1_2)[:, 0]).tolist(),
        "flip": min(flips, key=lambda flip: abs(flip["now"] - flip["was"]), default=None),
    }


def decide_many(lights: list[list[float]]) -> dict[str, object]:
    """Return the response for many light states."""
    values = scores(lights)
    decisions = np.where(values >= 0.5, "walk", "stop").tolist()
    return {"decisions": decisions, "scores": values.tolist(), "version": 1}
