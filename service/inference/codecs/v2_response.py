"""Encode an inference response of the Open Inference Protocol (V2): JSON, then binary tensors.

The outputs are `score` (FP64) and `decision` (BYTES), both of shape [rows, 1]. If a classification
of the score is requested, `score` is a BYTES tensor of shape [rows, classes] instead.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from pydantic_core import to_json

from streetlight.model.dataset import FloatArray, is_walk
from streetlight.model.network import blocks
from streetlight.service.inference.codecs.batch_json import (
    DECISION_BYTES,
    NUMBER_BYTES,
    encode_decisions,
    encode_items,
)
from streetlight.service.inference.codecs.v2_request import InferRequest, RequestedOutput
from streetlight.service.inference.result import ranked_classes
from streetlight.service.inference.tensors import texts_to_bytes

CLASSES = ("stop", "walk")
# The longest classification: a number, an index, a name, and quotes or a length.
CLASSIFICATION_BYTES = NUMBER_BYTES + 12
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
    outputs: list[bytes] = []
    binary: list[bytes] = []
    for requested in request.outputs:
        name, classes = requested.name, _class_count(requested)
        datatype = "FP64" if name == "score" and not classes else "BYTES"
        output = f'{{"name":"{name}","datatype":"{datatype}","shape":[{len(scores)},{classes or 1}]'
        if _is_binary(requested, request):
            binary.append(_binary_data(name, classes, scores))
            output += f',"parameters":{{"binary_data_size":{len(binary[-1])}}}}}'
            outputs.append(output.encode())
        else:
            data = _json_data(name, classes, scores)
            outputs.append(b'%s,"data":[%s]}' % (output.encode(), data))
    header = b'{"model_name":%s,"model_version":"%d",%s"outputs":[%s]}' % (
        to_json(model),
        version,
        b"" if request.id is None else b'"id":%s,' % to_json(request.id),
        b",".join(outputs),
    )
    return InferResponse(header, binary or None)


def bytes_per_row(request: InferRequest) -> int:
    """Return the largest number of bytes that the outputs of `request` have for each row."""
    size = 0
    for requested in request.outputs:
        if classes := _class_count(requested):
            size += classes * CLASSIFICATION_BYTES
        elif _is_binary(requested, request):
            size += PACKED_CLASSES.itemsize  # as large as an FP64
        else:
            size += NUMBER_BYTES if requested.name == "score" else DECISION_BYTES
    return size


def _class_count(requested: RequestedOutput) -> int:
    return min(requested.parameters.classification, len(CLASSES))


def _is_binary(requested: RequestedOutput, request: InferRequest) -> bool:
    in_binary = requested.parameters.binary_data
    return request.binary if in_binary is None else in_binary


def _binary_data(name: str, classes: int, scores: FloatArray) -> bytes:
    if classes:
        return b"".join(
            [
                texts_to_bytes(_classifications(scores[block], classes))
                for block in blocks(len(scores))
            ]
        )
    if name == "score":
        return scores.tobytes()
    return PACKED_CLASSES[is_walk(scores).astype(np.intp)].tobytes()


def _json_data(name: str, classes: int, scores: FloatArray) -> bytes:
    if classes:
        return encode_items(scores, partial(_classifications, classes=classes))
    return encode_items(scores) if name == "score" else encode_decisions(scores)


def _classifications(scores: FloatArray, classes: int) -> list[str]:
    """Return the classes of each score as `value:index:name`, the decision first."""
    return [
        f"{value!r}:{CLASSES.index(name)}:{name}"
        for score in scores.tolist()
        for name, value in ranked_classes(score)[:classes]
    ]
