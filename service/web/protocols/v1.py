"""Version 1 of the REST protocol of TensorFlow Serving and KServe.

docs/protocols.md describes how this server maps it. `rows` parses the instances.
"""

from typing import Any

from flask import Blueprint, Response

from streetlight.model.dataset import FloatArray
from streetlight.model.registry.version import Version
from streetlight.service.inference.codecs import rows
from streetlight.service.inference.codecs.v2_request import INPUT
from streetlight.service.inference.prediction import explain, ranked_classes
from streetlight.service.validation.problems import FieldError, Problem, preview
from streetlight.service.web.application import services
from streetlight.service.web.middleware.auth import read_only
from streetlight.service.web.middleware.instrumentation import inference_view
from streetlight.service.web.protocols.served_model import score_and_record
from streetlight.service.web.request import parse_json
from streetlight.service.web.response import json_response

blueprint = Blueprint("v1", __name__, url_prefix="/v1/models")

SIGNATURE = "serving_default"


@blueprint.get("")
def models() -> Response:
    """List the names of the models, of which there is one."""
    return json_response({"models": [services().settings.model_name]})


@blueprint.get("/<model>")
@blueprint.get("/<model>/versions/<version>")
@blueprint.get("/<model>/labels/<label>")
def status(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return the status of every version, or of one."""
    resolved = services().model.resolve(model, version, label)
    repository = services().repository
    # Every version can be requested by its number; the live one is first in the list.
    others = [] if version or label else reversed(repository.versions())
    numbers = [resolved.number, *(number for number in others if number != resolved.number)]
    available = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    statuses = [{"version": str(number), **available} for number in numbers]
    return json_response({"name": model, "ready": True, "model_version_status": statuses})


@blueprint.get("/<model>/metadata")
@blueprint.get("/<model>/versions/<version>/metadata")
@blueprint.get("/<model>/labels/<label>/metadata")
def metadata(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return the model's signature: its input and its output."""
    resolved = services().model.resolve(model, version, label)
    signature = {
        "inputs": {INPUT: _tensor_info(-1, resolved.network.light_count)},
        "outputs": {"score": _tensor_info(-1, 1)},
        "method_name": "tensorflow/serving/predict",
    }
    spec = {"name": model, "signature_name": "", "version": str(resolved.number)}
    definitions = {"signature_def": {SIGNATURE: signature}}
    return json_response({"model_spec": spec, "metadata": {"signature_def": definitions}})


def _tensor_info(*sizes: int) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in sizes]
    return {"dtype": "DT_DOUBLE", "tensor_shape": {"dim": dims, "unknown_rank": False}}


@blueprint.post("/<model>:predict")
@blueprint.post("/<model>/versions/<version>:predict")
@blueprint.post("/<model>/labels/<label>:predict")
@read_only
@inference_view
def predict(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return the scores of `instances` (rows) or `inputs` (columns)."""
    resolved = services().model.resolve(model, version, label)
    body = _parse_body()
    if ("inputs" in body) == ("instances" in body):
        message = "expected either instances or inputs, got both or neither"
        raise FieldError(Problem("", message))
    if "inputs" in body:
        lights = rows.from_columns(resolved, body["inputs"], "inputs")
        return json_response({"outputs": _column(score_and_record(resolved, lights, "inputs"))})
    return json_response({"predictions": _column(_score(resolved, body, "instances"))})


@blueprint.post("/<model>:explain")
@blueprint.post("/<model>/versions/<version>:explain")
@blueprint.post("/<model>/labels/<label>:explain")
@read_only
@inference_view
def explain_rows(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return the scores of `instances`, and how each is computed."""
    resolved = services().model.resolve(model, version, label)
    lights = rows.from_rows(resolved, _required(_parse_body(), "instances"), "instances")
    column = _column(score_and_record(resolved, lights, "instances"))
    explanations = [explain(resolved, row) for row in lights.tolist()]
    return json_response({"predictions": column, "explanations": explanations})


@blueprint.post("/<model>:classify")
@blueprint.post("/<model>/versions/<version>:classify")
@blueprint.post("/<model>/labels/<label>:classify")
@read_only
@inference_view
def classify(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return both classes of each of `examples`, the decision first: walk s, stop 1 - s."""
    resolved = services().model.resolve(model, version, label)
    scores = _score(resolved, _parse_body(), "examples").tolist()
    return json_response({"results": [ranked_classes(score) for score in scores]})


@blueprint.post("/<model>:regress")
@blueprint.post("/<model>/versions/<version>:regress")
@blueprint.post("/<model>/labels/<label>:regress")
@read_only
@inference_view
def regress(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return the scores of `examples` as one list."""
    scores = _score(services().model.resolve(model, version, label), _parse_body(), "examples")
    return json_response({"results": scores.tolist()})


def _parse_body() -> dict[str, Any]:
    body = parse_json()
    if not isinstance(body, dict):
        raise FieldError(Problem("", f"expected a JSON object, got {preview(body)}"))
    signature = body.get("signature_name", SIGNATURE)
    if signature not in ("", SIGNATURE):
        message = f"expected {SIGNATURE}, got {preview(signature)}"
        raise FieldError(Problem("signature_name", message))
    return body


def _required(body: dict[str, Any], field: str) -> object:
    if field not in body:
        raise FieldError(Problem(field, "required, but missing"))
    return body[field]


def _score(version: Version, body: dict[str, Any], field: str) -> FloatArray:
    return score_and_record(version, rows.from_rows(version, _required(body, field), field), field)


def _column(scores: FloatArray) -> list[list[float]]:
    column: list[list[float]] = scores[:, None].tolist()
    return column
