"""The answer to a request for inference by the Open Inference Protocol: JSON, then binary tensors.

What was asked is in `v2_request`. The outputs are `score`, FP64, and `decision`, BYTES, both of
shape [rows, 1]; a classification of the score has a column for each class instead.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic_core import to_json

from streetlight.model.dataset import FloatArray, is_walk, outcome_name
from streetlight.service.inference.tensors import texts_to_bytes
from streetlight.service.inference.v2_request import InferRequest, RequestedOutput

CLASSES = ("stop", "walk")
# Both words have four letters, so that decisions can be packed without a loop.
PACKED = np.array([texts_to_bytes([name]) for name in CLASSES], dtype="V8")


@dataclass(frozen=True)
class InferResponse:
    """A JSON header, and the tensors that are sent behind it; `None` where all is JSON."""

    header: bytes
    binary: list[bytes] | None


def render(request: InferRequest, scores: FloatArray, model: str, version: int) -> InferResponse:
    """Put together what was asked for of `scores`, shape (rows,), in the order it was."""
    told: dict[str, Any] = {"model_name": model, "model_version": str(version)}
    if request.id is not None:
        told["id"] = request.id
    told["outputs"] = []
    binary: list[bytes] = []
    for wanted in request.outputs:
        asked = wanted.parameters.binary_data
        output = _output(wanted, scores, request.binary if asked is None else asked)
        if isinstance(output["data"], bytes):
            binary.append(output.pop("data"))
            output["parameters"] = {"binary_data_size": len(binary[-1])}
        told["outputs"].append(output)
    is_binary = any("data" not in output for output in told["outputs"])
    return InferResponse(to_json(told), binary if is_binary else None)


def _output(wanted: RequestedOutput, scores: FloatArray, binary: bool) -> dict[str, Any]:
    shape = [len(scores), 1]
    data: list[Any] | bytes
    if classes := min(wanted.parameters.classification, len(CLASSES)):
        texts = [text for score in scores.tolist() for text in _classified(score)[:classes]]
        data = texts_to_bytes(texts) if binary else texts
        return {"name": wanted.name, "datatype": "BYTES", "shape": [len(scores), classes]} | {
            "data": data
        }
    if wanted.name == "score":
        data = scores.tobytes() if binary else scores.tolist()
        return {"name": wanted.name, "datatype": "FP64", "shape": shape, "data": data}
    walks = is_walk(scores).astype(np.intp)
    data = PACKED[walks].tobytes() if binary else np.array(CLASSES)[walks].tolist()
    return {"name": wanted.name, "datatype": "BYTES", "shape": shape, "data": data}


def _classified(score: float) -> list[str]:
    """The classes, likeliest first: walk with the score, stop with what is left of one."""
    values = {"walk": score, "stop": 1 - score}
    order = ["walk", "stop"] if outcome_name(score) == "walk" else ["stop", "walk"]
    return [f"{values[name]!r}:{CLASSES.index(name)}:{name}" for name in order]
