"""The formats of the V1 protocol: predict, explain, classify, regress.

docs/protocols.md describes the mapping. `rows` decodes the light states.
"""

from functools import partial
from typing import Any

from streetlight.model.registry.version import Version
from streetlight.service.inference.codecs import batch_json, rows
from streetlight.service.inference.codecs.rows import Rows
from streetlight.service.inference.endpoint import InferenceEndpoint
from streetlight.service.inference.messages import (
    InferenceRequest,
    Response,
    json_body,
    json_response,
)
from streetlight.service.inference.result import Result, ranked_classes
from streetlight.service.validation.json_bounds import decode
from streetlight.service.validation.problems import FieldError, Problem, preview

SIGNATURE = "serving_default"
# Bytes from which a batch is faster decoded as an array.
MIN_PLAIN = 256


def _decode_predict(request: InferenceRequest, version: Version) -> Rows:
    text = json_body(request)
    if plain := _decode_plain(text, version, "instances", "inputs"):
        return plain
    body = _parse_body(text)
    if ("inputs" in body) == ("instances" in body):
        message = "expected either instances or inputs, got both or neither"
        raise FieldError(Problem("", message))
    if "inputs" in body:
        return Rows(rows.from_columns(version, body["inputs"], "inputs"), "inputs")
    return Rows(rows.from_rows(version, body["instances"], "instances"), "instances")


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
    return json_response({name: _column(result)}, result.version.number)


def _encode_explanations(_decoded: Rows, result: Result) -> Response:
    payload = {"predictions": _column(result), "explanations": result.explain()}
    return json_response(payload, result.version.number)


def _encode_classes(_decoded: Rows, result: Result) -> Response:
    classes = [ranked_classes(score) for score in result.score_list]
    return json_response({"results": classes}, result.version.number)


def _encode_regression(_decoded: Rows, result: Result) -> Response:
    return json_response({"results": result.score_list}, result.version.number)


def _column(result: Result) -> list[list[float]]:
    return [[score] for score in result.score_list]


PREDICT = InferenceEndpoint(_decode_predict, _encode_scores)
EXPLAIN = InferenceEndpoint(partial(_decode_rows, "instances"), _encode_explanations)
CLASSIFY = InferenceEndpoint(partial(_decode_rows, "examples"), _encode_classes)
REGRESS = InferenceEndpoint(partial(_decode_rows, "examples"), _encode_regression)
