"""Flask as its own tutorial has it: `get_json` and `jsonify`."""

from flask import Flask, Response, jsonify, request
from network import decide, decide_many

app = Flask(__name__)


@app.post("/predict")
def predict() -> Response:
    """Decide."""
    return jsonify(decide(request.get_json()["lights"]))


@app.post("/predict/batch")
def predict_batch() -> Response:
    """Decide for many."""
    return jsonify(decide_many(request.get_json()["lights"]))
