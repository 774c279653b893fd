"""Predictions: one light state, many, and why."""

from typing import Annotated

from flask import Blueprint, Response
from pydantic import BeforeValidator, FailFast, Field

from service import predictions
from service.predictions import live_version
from service.web.access import changes_nothing
from service.web.exchange import Schema, answer, parse_body, parse_query, services

blueprint = Blueprint("predict", __name__)

# The first light at fault is enough to say, and a body may hold millions.
Lights = Annotated[list[float], Field(min_length=1), FailFast()]


class PredictBody(Schema):
    """One light state."""

    lights: Lights


@blueprint.post("/predict")
@changes_nothing
def predict() -> Response:
    """Decide for one light state: walk or stop."""
    body = parse_body(PredictBody)
    return answer(predictions.predict(live_version(services().repository), body.lights))


class PredictQuery(Schema):
    """One light state as text: numbers between commas."""

    lights: Annotated[Lights, BeforeValidator(lambda text: text.split(","))]


@blueprint.get("/predict")
def predict_from_query() -> Response:
    """Decide for one light state in the address, such as `?lights=1,0,1`."""
    query = parse_query(PredictQuery)
    return answer(predictions.predict(live_version(services().repository), query.lights))


class BatchBody(Schema):
    """Many light states."""

    lights: Annotated[list[Lights], Field(min_length=1), FailFast()]


@blueprint.post("/predict/batch")
@changes_nothing
def predict_batch() -> Response:
    """Decide for many light states; the answer's columns are in their order."""
    body = parse_body(BatchBody)
    return answer(predictions.predict_batch(live_version(services().repository), body.lights))


@blueprint.post("/explain")
@changes_nothing
def explain() -> Response:
    """Say how the score of one light state comes about."""
    body = parse_body(PredictBody)
    return answer(predictions.explain(live_version(services().repository), body.lights))
