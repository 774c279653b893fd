"""Predictions: one light state, many, and why."""

from collections.abc import Callable
from time import perf_counter
from typing import Annotated

from flask import Blueprint, Response
from pydantic import BeforeValidator, FailFast, Field

from model.version import Version
from service import predictions
from service.predictions import Explanation, Prediction, live_version
from service.web.access import changes_nothing
from service.web.exchange import Schema, answer, parse_body, parse_query, services
from service.web.measuring import computed, predicts

blueprint = Blueprint("predict", __name__)

# The first light at fault is enough to say, and a body may hold millions.
Lights = Annotated[list[float], Field(min_length=1), FailFast()]


class PredictBody(Schema):
    """One light state."""

    lights: Lights


@blueprint.post("/predict")
@changes_nothing
@predicts
def predict() -> Response:
    """Decide for one light state: walk or stop."""
    body = parse_body(PredictBody)
    return _told(predictions.predict, body.lights)


class PredictQuery(Schema):
    """One light state as text: numbers between commas."""

    lights: Annotated[Lights, BeforeValidator(lambda text: text.split(","))]


@blueprint.get("/predict")
@predicts
def predict_from_query() -> Response:
    """Decide for one light state in the address, such as `?lights=1,0,1`."""
    query = parse_query(PredictQuery)
    return _told(predictions.predict, query.lights)


class BatchBody(Schema):
    """Many light states."""

    lights: Annotated[list[Lights], Field(min_length=1), FailFast()]


@blueprint.post("/predict/batch")
@changes_nothing
@predicts
def predict_batch() -> Response:
    """Decide for many light states; the answer's columns are in their order."""
    body = parse_body(BatchBody)
    version = live_version(services().repository)
    began = perf_counter()
    told = predictions.predict_batch(version, body.lights)
    computed(version.number, began, len(body.lights), told.decisions.count("walk"))
    return answer(told)


@blueprint.post("/explain")
@changes_nothing
@predicts
def explain() -> Response:
    """Say how the score of one light state comes about."""
    body = parse_body(PredictBody)
    return _told(predictions.explain, body.lights)


def _told(
    decide: Callable[[Version, list[float]], Prediction | Explanation], lights: Lights
) -> Response:
    version = live_version(services().repository)
    began = perf_counter()
    told = decide(version, lights)
    computed(version.number, began, 1, int(told.decision == "walk"))
    return answer(told)
