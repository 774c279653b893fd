"""FastAPI with uvicorn: a Pydantic model for the body, once as `async def`, once as `def`."""

import numpy as np
from fastapi import FastAPI, Request, Response
from network import decide, decide_many, scores
from pydantic import BaseModel


class One(BaseModel):
    """One light state."""

    lights: list[float]


class Many(BaseModel):
    """Many light states."""

    lights: list[list[float]]


class Prediction(BaseModel):
    """What is said to one."""

    decision: str
    score: float
    version: int


class Predictions(BaseModel):
    """What is said to many."""

    decisions: list[str]
    scores: list[float]
    version: int


app = FastAPI()


@app.post("/predict")
async def predict(body: One) -> Prediction:
    """Decide."""
    return Prediction.model_validate(decide(body.lights))


@app.post("/predict/batch")
async def predict_batch(body: Many) -> Predictions:
    """Decide for many."""
    return Predictions.model_validate(decide_many(body.lights))


@app.post("/def/predict")
def predict_in_thread(body: One) -> Prediction:
    """Decide in a thread of the pool."""
    return Prediction.model_validate(decide(body.lights))


@app.post("/def/predict/batch")
def predict_batch_in_thread(body: Many) -> Predictions:
    """Decide for many in a thread of the pool."""
    return Predictions.model_validate(decide_many(body.lights))


@app.post("/binary")
async def predict_binary(request: Request) -> Response:
    """Score the rows of a binary tensor; what is said of it is skipped, not read."""
    skipped = int(request.headers["Inference-Header-Content-Length"])
    lights = np.frombuffer(await request.body(), "<f8", offset=skipped).reshape(-1, 3)
    return Response(scores(lights).tobytes(), media_type="application/octet-stream")
