"""Flask as in its tutorial: `get_json` and `jsonify`."""

from flask import Flask, Response, jsonify, request
from network import decide, decide_many, explain

app = Flask(__name__)


@app.post("/predict")
def predict() -> Response:
    """Return the prediction for one light state."""
    return jsonify(decide(request.get_json()["lights"]))


@app.post("/predict/batch")
def predict_batch() -> Response:
    """Return the predictions for many light states."""
    return jsonify(decide_many(request.get_json()["lights"]))


@app.post("/explain")
def explain_one() -> Response:
    """Return the explanation of the score of one light state."""
    return jsonify(explain(request.get_json()["lights"]))
