"""Robyn: a Rust server with Python handlers, as in its documentation."""

import os

from network import decide, decide_many
from pydantic import BaseModel
from robyn import Request, Robyn


class One(BaseModel):
    """One light state."""

    lights: list[float]


class Many(BaseModel):
    """Many light states."""

    lights: list[list[float]]


app = Robyn(__file__)


@app.post("/predict")
async def predict(request: Request) -> dict[str, object]:
    """Return the prediction for one light state."""
    return decide(One.model_validate_json(request.body).lights)


@app.post("/predict/batch")
async def predict_batch(request: Request) -> dict[str, object]:
    """Return the predictions for many light states."""
    return decide_many(Many.model_validate_json(request.body).lights)


if __name__ == "__main__":
    app.start(host="127.0.0.1", port=int(os.environ["PORT"]))
