"""Predictions by the live version, and how they are computed."""

from collections.abc import Callable
from time import perf_counter
from typing import Annotated, TypeVar

from flask import Blueprint, Response
from pydantic import BeforeValidator, FailFast, Field

from streetlight.model.registry.version import Version
from streetlight.service.inference import prediction
from streetlight.service.inference.codecs import batch_json
from streetlight.service.inference.prediction import BatchPrediction, Explanation, Prediction
from streetlight.service.inference.resolution import NoLiveVersionError, live_version
from streetlight.service.validation.json_bounds import check_bounds
from streetlight.service.validation.request_schema import Schema
from streetlight.service.web.application import services
from streetlight.service.web.middleware.auth import read_only
from streetlight.service.web.middleware.instrumentation import inference_view, record_inference
from streetlight.service.web.openapi.operation import ResponseSpec, operation
from streetlight.service.web.request import parse_body, read_json_body

blueprint = Blueprint("predict", __name__)

ResultT = TypeVar("ResultT", Prediction, Explanation)

# FailFast: report the first invalid light only, since a body may hold millions.
Lights = Annotated[list[float], Field(min_length=1, examples=[[1, 0, 1]]), FailFast()]

EXAMPLE = {"decision": "walk", "score": 1.0, "version": 1}


class PredictBody(Schema):
    """One light state."""

    lights: Lights


@blueprint.post("/predict")
@read_only
@inference_view
@operation(example=EXAMPLE, raises=[NoLiveVersionError])
def predict(body: PredictBody) -> Prediction:
    """Return the live version's decision, walk or stop, for one light state."""
    return _infer(prediction.predict, body.lights)


class PredictQuery(Schema):
    """One light state as numbers separated by commas."""

    lights: Annotated[Lights, BeforeValidator(lambda text: text.split(","))]


@blueprint.get("/predict")
@inference_view
@operation(example=EXAMPLE, raises=[NoLiveVersionError])
def predict_from_query(query: PredictQuery) -> Prediction:
    """Return the decision for the light state in the query string, such as `?lights=1,0,1`."""
    return _infer(prediction.predict, query.lights)


class BatchBody(Schema):
    """Many light states."""

    lights: Annotated[
        list[Lights], Field(min_length=1, examples=[[[1, 0, 1], [0, 0, 1]]]), FailFast()
    ]


@blueprint.post("/predict/batch")
@read_only
@inference_view
@operation(
    body=BatchBody, responses={200: ResponseSpec(BatchPrediction)}, raises=[NoLiveVersionError]
)
def predict_batch() -> Response:
    """Return the decisions and scores for many light states, in the order of the request."""
    decoded = batch_json.decode_rows(check_bounds(read_json_body()))
    rows = parse_body(BatchBody).lights if decoded is None else decoded
    version = live_version(services().repository)
    began = perf_counter()
    scores = prediction.score_batch(version, rows)
    record_inference(version.number, began, len(scores), batch_json.count_walk(scores))
    return Response(batch_json.encode(scores, version.number), mimetype="application/json")


@blueprint.post("/explain")
@read_only
@inference_view
@operation(raises=[NoLiveVersionError])
def explain(body: PredictBody) -> Explanation:
    """Return the values, weights and contributions that give the score of one light state."""
    return _infer(prediction.explain, body.lights)


def _infer(function: Callable[[Version, list[float]], ResultT], lights: Lights) -> ResultT:
    version = live_version(services().repository)
    began = perf_counter()
    result = function(version, lights)
    record_inference(version.number, began, 1, int(result.decision == "walk"))
    return result
