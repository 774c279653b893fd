"""Version 1 of the REST protocol: what clients of TensorFlow Serving and KServe speak.

What the parts of it mean here is in docs/protocols.md; how rows are read, in `rows`.
"""

from typing import Any

from flask import Blueprint, Response

from streetlight.model.dataset import FloatArray, outcome_name
from streetlight.model.registry.version import Version
from streetlight.service.inference.prediction import explain
from streetlight.service.validation.problems import FieldError, Problem, preview
from streetlight.service.web.application import services
from streetlight.service.web.middleware.auth import read_only
from streetlight.service.web.middleware.instrumentation import inference_view
from streetlight.service.web.protocols import rows
from streetlight.service.web.protocols.model_names import (
    ModelNotFoundError,
    check_name,
    score_and_count,
    version_of,
)
from streetlight.service.web.request import parse_json
from streetlight.service.web.response import json_response

blueprint = Blueprint("v1", __name__, url_prefix="/v1/models")

SIGNATURE = "serving_default"


@blueprint.get("")
def models() -> Response:
    """List the one model there is."""
    return json_response({"models": [services().settings.model_name]})


@blueprint.get("/<model>")
@blueprint.get("/<model>/versions/<version>")
@blueprint.get("/<model>/labels/<label>")
def status(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Say of each version, or of one, whether it can answer."""
    found = _version(model, version, label)
    repository = services().repository
    # Every version can be asked for by its number; the live one comes first.
    others = [] if version or label else reversed(repository.versions())
    numbers = [found.number, *(number for number in others if number != found.number)]
    available = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    told = [{"version": str(number), **available} for number in numbers]
    return json_response({"name": model, "ready": True, "model_version_status": told})


@blueprint.get("/<model>/metadata")
@blueprint.get("/<model>/versions/<version>/metadata")
@blueprint.get("/<model>/labels/<label>/metadata")
def metadata(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Describe the input and the output."""
    found = _version(model, version, label)
    signature = {
        "inputs": {"lights": _tensor(-1, found.network.light_count)},
        "outputs": {"score": _tensor(-1, 1)},
        "method_name": "tensorflow/serving/predict",
    }
    spec = {"name": model, "signature_name": "", "version": str(found.number)}
    definitions = {"signature_def": {SIGNATURE: signature}}
    return json_response({"model_spec": spec, "metadata": {"signature_def": definitions}})


def _tensor(*sizes: int) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in sizes]
    return {"dtype": "DT_DOUBLE", "tensor_shape": {"dim": dims, "unknown_rank": False}}


@blueprint.post("/<model>:predict")
@blueprint.post("/<model>/versions/<version>:predict")
@blueprint.post("/<model>/labels/<label>:predict")
@read_only
@inference_view
def predict(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Score rows, `{"instances": …}`, or columns, `{"inputs": …}`."""
    found = _version(model, version, label)
    body = _body()
    if ("inputs" in body) == ("instances" in body):
        expected = "expected either instances or inputs, got both or neither"
        raise FieldError(Problem("", expected))
    if "inputs" in body:
        lights = rows.from_columns(found, body["inputs"], "inputs")
        return json_response({"outputs": _column(score_and_count(found, lights, "inputs"))})
    return json_response({"predictions": _column(_scores(found, body, "instances"))})


@blueprint.post("/<model>:explain")
@blueprint.post("/<model>/versions/<version>:explain")
@blueprint.post("/<model>/labels/<label>:explain")
@read_only
@inference_view
def explain_rows(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Say of each row how its score comes about."""
    found = _version(model, version, label)
    lights = rows.from_rows(found, _required(_body(), "instances"), "instances")
    column = _column(score_and_count(found, lights, "instances"))
    told = [explain(found, row) for row in lights.tolist()]
    return json_response({"predictions": column, "explanations": told})


@blueprint.post("/<model>:classify")
@blueprint.post("/<model>/versions/<version>:classify")
@blueprint.post("/<model>/labels/<label>:classify")
@read_only
@inference_view
def classify(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Say of each example walk and stop, the likelier first: stop with what is left of one."""
    scores = _scores(_version(model, version, label), _body(), "examples").tolist()
    pairs = [[["walk", score], ["stop", 1 - score]] for score in scores]
    return json_response(
        {"results": [pair if outcome_name(pair[0][1]) == "walk" else pair[::-1] for pair in pairs]}
    )


@blueprint.post("/<model>:regress")
@blueprint.post("/<model>/versions/<version>:regress")
@blueprint.post("/<model>/labels/<label>:regress")
@read_only
@inference_view
def regress(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Say the score of each example."""
    scores = _scores(_version(model, version, label), _body(), "examples")
    return json_response({"results": scores.tolist()})


def _version(model: str, version: str | None, label: str | None) -> Version:
    if label is None:
        return version_of(model, version)
    check_name(model)
    if label not in ("live", "previous"):
        raise ModelNotFoundError(f"no label {label[:40]!r}; there are live and previous")
    number = None
    if label == "previous":
        number = services().repository.previous_number()
        if number is None:
            raise ModelNotFoundError("nothing has the label previous: one version only was live")
    return version_of(model, None if number is None else str(number))


def _body() -> dict[str, Any]:
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


def _scores(version: Version, body: dict[str, Any], field: str) -> FloatArray:
    return score_and_count(version, rows.from_rows(version, _required(body, field), field), field)


def _column(scores: FloatArray) -> list[list[float]]:
    column: list[list[float]] = scores[:, None].tolist()
    return column
