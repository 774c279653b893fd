"""The formats of /predict, /predict/batch and /explain."""

from contextlib import suppress
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, FailFast, Field

from streetlight.model.registry.version import Version
from streetlight.service.inference.codecs import batch_json, explanations
from streetlight.service.inference.codecs.batch_json import DECISION_BYTES, NUMBER_BYTES
from streetlight.service.inference.codecs.rows import Rows
from streetlight.service.inference.endpoint import InferenceEndpoint
from streetlight.service.inference.messages import (
    JSON,
    InferenceRequest,
    Response,
    json_body,
    json_response,
)
from streetlight.service.inference.prediction import check_counts, row_count
from streetlight.service.inference.result import Result
from streetlight.service.validation.fields import WHOLE
from streetlight.service.validation.json_bounds import check_bounds
from streetlight.service.validation.problems import FieldError, RequestError
from streetlight.service.validation.request_schema import Schema, validate_body, validate_query

FIELD = "lights"

# FailFast: report the first invalid light only, since a body may hold millions.
Lights = Annotated[list[float], Field(min_length=1, examples=[[1, 0, 1]]), FailFast()]


class PredictBody(Schema):
    """One light state."""

    lights: Lights


class PredictQuery(Schema):
    """One light state: numbers separated by commas, or a parameter for each number."""

    lights: Annotated[Lights, BeforeValidator(lambda text: text.split(","))]


class ExplainBody(PredictBody):
    """One light state, and the number of the version to explain; the live one without a number."""

    version: Annotated[int, Field(ge=1, lt=10**9), WHOLE] | None = None


class BatchBody(Schema):
    """Many light states."""

    lights: Annotated[
        list[Lights], Field(min_length=1, examples=[[[1, 0, 1], [0, 0, 1]]]), FailFast()
    ]


def _decode_body(request: InferenceRequest, _version: Version) -> Rows:
    return Rows(validate_body(PredictBody, json_body(request)).lights, FIELD)


def _decode_explain(request: InferenceRequest, _version: Version) -> Rows:
    return Rows(validate_body(ExplainBody, json_body(request)).lights, FIELD)


def _explained_version(request: InferenceRequest) -> str | None:
    with suppress(RequestError, FieldError):  # the decoder reports them
        number = validate_body(ExplainBody, json_body(request)).version
        return None if number is None else str(number)
    return None


def _decode_query(request: InferenceRequest, _version: Version) -> Rows:
    return Rows(validate_query(PredictQuery, request.query).lights, FIELD)


def _decode_batch(request: InferenceRequest, version: Version) -> Rows:
    body = json_body(request)
    array = batch_json.decode_rows(body, FIELD, version.network.light_count)
    if array is None:
        rows = validate_body(BatchBody, check_bounds(body)).lights
        check_counts(version, rows, FIELD)
        array = np.array(rows, dtype=np.float64)
    return Rows(array, FIELD)


def _encode_prediction(_decoded: Rows, result: Result) -> Response:
    [score] = result.scores
    return json_response(result.predict(score), result.version.number)


def _encode_explanation(_decoded: Rows, result: Result) -> Response:
    [row] = explanations.encode_rows(result)
    weights = explanations.encode_weights(result.version.network)
    return Response([b'%s,"weights":%s}\n' % (row[:-1], weights)], JSON, result.version.number)


def _encode_batch(_decoded: Rows, result: Result) -> Response:
    number = result.version.number
    return Response([batch_json.encode(result.score_array, number)], JSON, number)


def _prediction_bytes(_decoded: Rows, _version: Version) -> int:
    return 100


def _batch_bytes(decoded: Rows, _version: Version) -> int:
    return row_count(decoded.lights) * (DECISION_BYTES + NUMBER_BYTES)


def _explanation_bytes(_decoded: Rows, version: Version) -> int:
    return explanations.response_bytes(1, version)


PREDICT = InferenceEndpoint("native", _decode_body, _encode_prediction, _prediction_bytes)
PREDICT_QUERY = InferenceEndpoint("native", _decode_query, _encode_prediction, _prediction_bytes)
PREDICT_BATCH = InferenceEndpoint("native", _decode_batch, _encode_batch, _batch_bytes)
EXPLAIN = InferenceEndpoint(
    "native",
    _decode_explain,
    _encode_explanation,
    _explanation_bytes,
    explanations.multiplications,
    requested_version=_explained_version,
)
