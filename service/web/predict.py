"""Predictions: one light state, many, and why."""

from collections.abc import Callable
from time import perf_counter
from typing import Annotated, TypeVar

from flask import Blueprint, Response
from pydantic import BeforeValidator, FailFast, Field

from model.version import Version
from service import batch_json, predictions
from service.decoding import bounded
from service.predictions import (
    BatchPrediction,
    Explanation,
    NoLiveVersionError,
    Prediction,
    live_version,
)
from service.web.access import changes_nothing
from service.web.exchange import Schema, parse_body, read_body, services
from service.web.measuring import computed, predicts
from service.web.operation import Reply, operation

blueprint = Blueprint("predict", __name__)

ToldT = TypeVar("ToldT", Prediction, Explanation)

# The first light at fault is enough to say, and a body may hold millions.
Lights = Annotated[list[float], Field(min_length=1, examples=[[1, 0, 1]]), FailFast()]

EXAMPLE = {"decision": "walk", "score": 1.0, "version": 1}


class PredictBody(Schema):
    """One light state."""

    lights: Lights


@blueprint.post("/predict")
@changes_nothing
@predicts
@operation(example=EXAMPLE, raises=[NoLiveVersionError])
def predict(body: PredictBody) -> Prediction:
    """Decide for one light state: walk or stop."""
    return _counted(predictions.predict, body.lights)


class PredictQuery(Schema):
    """One light state as text: numbers between commas."""

    lights: Annotated[Lights, BeforeValidator(lambda text: text.split(","))]


@blueprint.get("/predict")
@predicts
@operation(example=EXAMPLE, raises=[NoLiveVersionError])
def predict_from_query(query: PredictQuery) -> Prediction:
    """Decide for one light state in the address, such as `?lights=1,0,1`."""
    return _counted(predictions.predict, query.lights)


class BatchBody(Schema):
    """Many light states."""

    lights: Annotated[
        list[Lights], Field(min_length=1, examples=[[[1, 0, 1], [0, 0, 1]]]), FailFast()
    ]


@blueprint.post("/predict/batch")
@changes_nothing
@predicts
@operation(body=BatchBody, replies={200: Reply(BatchPrediction)}, raises=[NoLiveVersionError])
def predict_batch() -> Response:
    """Decide for many light states; the answer's columns are in their order."""
    plain = batch_json.plain_rows(bounded(read_body()))
    rows = parse_body(BatchBody).lights if plain is None else plain
    version = live_version(services().repository)
    began = perf_counter()
    scores = predictions.score_batch(version, rows)
    computed(version.number, began, len(scores), batch_json.walking(scores))
    return Response(batch_json.told(scores, version.number), mimetype="application/json")


@blueprint.post("/explain")
@changes_nothing
@predicts
@operation(raises=[NoLiveVersionError])
def explain(body: PredictBody) -> Explanation:
    """Say how the score of one light state comes about."""
    return _counted(predictions.explain, body.lights)


def _counted(decide: Callable[[Version, list[float]], ToldT], lights: Lights) -> ToldT:
    version = live_version(services().repository)
    began = perf_counter()
    told = decide(version, lights)
    computed(version.number, began, 1, int(told.decision == "walk"))
    return told
