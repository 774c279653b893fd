"""Predictions by the live version, and how they are computed."""

from flask import Blueprint, Response

from streetlight.model.registry.repository import VersionNotFoundError
from streetlight.service.inference.codecs import native
from streetlight.service.inference.codecs.native import (
    BatchBody,
    ExplainBody,
    PredictBody,
    PredictQuery,
)
from streetlight.service.inference.resolution import NoLiveVersionError
from streetlight.service.inference.result import BatchPrediction, Explanation, Prediction
from streetlight.service.web.inference import respond
from streetlight.service.web.middleware.auth import requires
from streetlight.service.web.openapi.operation import ResponseSpec, operation

blueprint = Blueprint("predict", __name__)

PREDICTION = ResponseSpec(Prediction, example={"decision": "walk", "score": 1.0, "version": 1})


@blueprint.post("/predict")
@requires("predict")
@operation(body=PredictBody, responses={200: PREDICTION}, raises=[NoLiveVersionError])
def predict() -> Response:
    """Return the live version's decision, walk or stop, for one light state."""
    return respond(native.PREDICT)


@blueprint.get("/predict")
@requires("predict")
@operation(query=PredictQuery, responses={200: PREDICTION}, raises=[NoLiveVersionError])
def predict_from_query() -> Response:
    """Return the decision for the light state in the query string, such as `?lights=1,0,1`.

    The parameter may also be repeated for each light: `?lights=1&lights=0&lights=1`.
    """
    return respond(native.PREDICT_QUERY)


@blueprint.post("/predict/batch")
@requires("predict")
@operation(
    body=BatchBody, responses={200: ResponseSpec(BatchPrediction)}, raises=[NoLiveVersionError]
)
def predict_batch() -> Response:
    """Return the decisions and scores for many light states, in the order of the request."""
    return respond(native.PREDICT_BATCH)


@blueprint.post("/explain")
@requires("predict")
@operation(
    body=ExplainBody,
    responses={200: ResponseSpec(Explanation)},
    raises=[NoLiveVersionError, VersionNotFoundError],
)
def explain() -> Response:
    """Return the values, weights and contributions that give the score of one light state.

    With the `version` of an earlier prediction, the score is that prediction's to the last bit.
    """
    return respond(native.EXPLAIN)
