"""The formats of the V1 protocol: predict, explain, classify, regress.

docs/protocols.md describes the mapping. `rows` decodes the light states.
"""

from functools import partial
from typing import Any

from streetlight.model.registry.version import Version
from streetlight.service.inference.codecs import batch_json, explanations, rows
from streetlight.service.inference.codecs.batch_json import (
    COLUMN_BYTES,
    NUMBER_BYTES,
    encode_column,
    encode_items,
)
from streetlight.service.inference.codecs.rows import Rows
from streetlight.service.inference.endpoint import InferenceEndpoint
from streetlight.service.inference.messages import (
    JSON,
    InferenceRequest,
    Response,
    json_body,
)
from streetlight.service.inference.prediction import row_count
from streetlight.service.inference.result import Result, ranked_classes
from streetlight.service.validation.json_bounds import decode
from streetlight.service.validation.problems import FieldError, Problem, preview

SIGNATURE = "serving_default"
# Bytes from which a batch is faster decoded as an array.
MIN_PLAIN = 256
# The longest classification of a row: `[["walk",…],["stop",…]],`.
CLASS_BYTES = 2 * NUMBER_BYTES + 24


def _decode_predict(request: InferenceRequest, version: Version) -> Rows:
    text = json_body(request)
    if plain := _decode_plain(text, version, "instances", "inputs"):
        return plain
    body = _parse_body(text)
    inputs, instances = body.get("inputs"), body.get("instances")
    if (inputs is None) == (instances is None):
        message = "expected either instances or inputs, got both or neither"
        raise FieldError(Problem("", message))
    if instances is None:
        return Rows(rows.from_columns(version, inputs, "inputs"), "inputs")
    return Rows(rows.from_rows(version, instances, "instances"), "instances")


def _decode_rows(field: str, request: InferenceRequest, version: Version) -> Rows:
    text = json_body(request)
    if plain := _decode_plain(text, version, field):
        return plain
    body = _parse_body(text)
    if field not in body:
        raise FieldError(Problem(field, "required, but missing"))
    return Rows(rows.from_rows(version, body[field], field), field)


def _decode_plain(text: bytes, version: Version, *fields: str) -> Rows | None:
    """Return the rows of a body whose only field is one of `fields`, if they are plain."""
    for field in fields if len(text) >= MIN_PLAIN else ():
        lights = batch_json.decode_rows(text, field, version.network.light_count)
        if lights is not None:
            return Rows(lights, field)
    return None


def _parse_body(text: bytes) -> dict[str, Any]:
    body = decode(text)
    if not isinstance(body, dict):
        raise FieldError(Problem("", f"expected a JSON object, got {preview(body)}"))
    signature = body.get("signature_name", SIGNATURE)
    if signature not in ("", SIGNATURE):
        message = f"expected {SIGNATURE}, got {preview(signature)}"
        raise FieldError(Problem("signature_name", message))
    return body


def _encode_scores(decoded: Rows, result: Result) -> Response:
    name = "outputs" if decoded.field == "inputs" else "predictions"
    return _response(result, **{name: encode_column(result.score_array)})


def _encode_explanations(_decoded: Rows, result: Result) -> Response:
    response = _response(
        result,
        predictions=encode_column(result.score_array),
        explanations=b",".join(explanations.encode_rows(result)),
    )
    weights = explanations.encode_weights(result.version.network)
    return response._replace(body=[b'%s,"weights":%s}\n' % (response.body[0][:-2], weights)])


def _encode_classes(_decoded: Rows, result: Result) -> Response:
    classes = encode_items(
        result.score_array, lambda scores: list(map(ranked_classes, scores.tolist()))
    )
    return _response(result, results=classes)


def _encode_regression(_decoded: Rows, result: Result) -> Response:
    return _response(result, results=encode_items(result.score_array))


def _response(result: Result, **items: bytes) -> Response:
    """Return a response with a list for each of `items`, which are JSON without brackets."""
    fields = b",".join(b'"%s":[%s]' % (name.encode(), text) for name, text in items.items())
    return Response([b"{%s}\n" % fields], JSON, result.version.number)


def _bytes(bytes_per_row: int, decoded: Rows, _version: Version) -> int:
    return row_count(decoded.lights) * bytes_per_row


def _explanation_bytes(decoded: Rows, version: Version) -> int:
    rows = row_count(decoded.lights)
    return rows * COLUMN_BYTES + explanations.response_bytes(rows, version)


PREDICT = InferenceEndpoint("v1", _decode_predict, _encode_scores, partial(_bytes, COLUMN_BYTES))
EXPLAIN = InferenceEndpoint(
    "v1",
    partial(_decode_rows, "instances"),
    _encode_explanations,
    _explanation_bytes,
    explanations.multiplications,
)
CLASSIFY = InferenceEndpoint(
    "v1", partial(_decode_rows, "examples"), _encode_classes, partial(_bytes, CLASS_BYTES)
)
REGRESS = InferenceEndpoint(
    "v1", partial(_decode_rows, "examples"), _encode_regression, partial(_bytes, NUMBER_BYTES)
)
