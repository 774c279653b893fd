"""Encode an inference response of the Open Inference Protocol (V2): JSON, then binary tensors.

The outputs are `score` (FP64) and `decision` (BYTES), both of shape [rows, 1]. If a classification
of the score is requested, `score` is a BYTES tensor of shape [rows, classes] instead.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic_core import to_json

from streetlight.model.dataset import FloatArray, is_walk
from streetlight.service.inference.codecs.v2_request import InferRequest, RequestedOutput
from streetlight.service.inference.result import ranked_classes
from streetlight.service.inference.tensors import texts_to_bytes

CLASSES = ("stop", "walk")
# BYTES elements by class. Both have the same length, so an array of them is a packed tensor.
PACKED_CLASSES = np.array([texts_to_bytes([name]) for name in CLASSES], dtype="V8")


@dataclass(frozen=True)
class InferResponse:
    """An encoded response: the JSON header, and the binary tensors that follow.

    `binary` is `None` if all outputs are in the JSON.
    """

    header: bytes
    binary: list[bytes] | None


def render(request: InferRequest, scores: FloatArray, model: str, version: int) -> InferResponse:
    """Return the response with the requested outputs of `scores`, shape (rows,)."""
    response: dict[str, Any] = {"model_name": model, "model_version": str(version)}
    if request.id is not None:
        response["id"] = request.id
    response["outputs"] = []
    binary: list[bytes] = []
    for requested in request.outputs:
        in_binary = requested.parameters.binary_data
        output = _output(requested, scores, request.binary if in_binary is None else in_binary)
        if isinstance(output["data"], bytes):
            binary.append(output.pop("data"))
            output["parameters"] = {"binary_data_size": len(binary[-1])}
        response["outputs"].append(output)
    is_binary = any("data" not in output for output in response["outputs"])
    return InferResponse(to_json(response), binary if is_binary else None)


def _output(requested: RequestedOutput, scores: FloatArray, binary: bool) -> dict[str, Any]:
    name, shape = requested.name, [len(scores), 1]
    data: list[Any] | bytes
    if count := min(requested.parameters.classification, len(CLASSES)):
        texts = [text for score in scores.tolist() for text in _classification(score)[:count]]
        data = texts_to_bytes(texts) if binary else texts
        return {"name": name, "datatype": "BYTES", "shape": [len(scores), count], "data": data}
    if name == "score":
        data = scores.tobytes() if binary else scores.tolist()
        return {"name": name, "datatype": "FP64", "shape": shape, "data": data}
    classes = is_walk(scores).astype(np.intp)
    data = PACKED_CLASSES[classes].tobytes() if binary else np.array(CLASSES)[classes].tolist()
    return {"name": name, "datatype": "BYTES", "shape": shape, "data": data}


def _classification(score: float) -> list[str]:
    """Return the classes as `value:index:name`, the decision first."""
    return [f"{value!r}:{CLASSES.index(name)}:{name}" for name, value in ranked_classes(score)]
