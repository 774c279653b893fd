"""Predictions: one light state, many, and why."""

from collections.abc import Callable
from time import perf_counter
from typing import Annotated, TypeVar

from flask import Blueprint
from pydantic import BeforeValidator, FailFast, Field

from model.version import Version
from service import predictions
from service.predictions import (
    BatchPrediction,
    Explanation,
    NoLiveVersionError,
    Prediction,
    live_version,
)
from service.web.access import changes_nothing
from service.web.exchange import Schema, services
from service.web.measuring import computed, predicts
from service.web.operation import operation

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
@operation(raises=[NoLiveVersionError])
def predict_batch(body: BatchBody) -> BatchPrediction:
    """Decide for many light states; the answer's columns are in their order."""
    version = live_version(services().repository)
    began = perf_counter()
    told = predictions.predict_batch(version, body.lights)
    computed(version.number, began, len(body.lights), told.decisions.count("walk"))
    return told


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
