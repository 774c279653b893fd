"""FastAPI with uvicorn: Pydantic models, with views as `async def` and as `def`."""

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
    """The prediction for one light state."""

    decision: str
    score: float
    version: int


class Predictions(BaseModel):
    """The predictions for many light states."""

    decisions: list[str]
    scores: list[float]
    version: int


app = FastAPI()


@app.post("/predict")
async def predict(body: One) -> Prediction:
    """Return the prediction for one light state."""
    return Prediction.model_validate(decide(body.lights))


@app.post("/predict/batch")
async def predict_batch(body: Many) -> Predictions:
    """Return the predictions for many light states."""
    return Predictions.model_validate(decide_many(body.lights))


@app.post("/def/predict")
def predict_in_thread(body: One) -> Prediction:
    """Return the prediction for one light state, in a thread of the pool."""
    return Prediction.model_validate(decide(body.lights))


@app.post("/def/predict/batch")
def predict_batch_in_thread(body: Many) -> Predictions:
    """Return the predictions for many light states, in a thread of the pool."""
    return Predictions.model_validate(decide_many(body.lights))


@app.post("/binary")
async def predict_binary(request: Request) -> Response:
    """Return the scores of a binary tensor's rows; the JSON before the tensor is not parsed."""
    json_length = int(request.headers["Inference-Header-Content-Length"])
    lights = np.frombuffer(await request.body(), "<f8", offset=json_length).reshape(-1, 3)
    return Response(scores(lights).tobytes(), media_type="application/octet-stream")
