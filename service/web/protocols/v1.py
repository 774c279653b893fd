"""Version 1 of the REST protocol of TensorFlow Serving and KServe.

docs/protocols.md describes how this server maps it. The format is in `inference.codecs.v1`.
"""

from typing import Any

from flask import Blueprint, Response

from streetlight.service.inference.codecs import v1
from streetlight.service.inference.codecs.v1 import SIGNATURE
from streetlight.service.inference.codecs.v2_request import INPUT
from streetlight.service.web.application import services
from streetlight.service.web.inference import respond
from streetlight.service.web.middleware.auth import requires
from streetlight.service.web.response import json_response

blueprint = Blueprint("v1", __name__, url_prefix="/v1/models")


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
    # Every version can be requested by its number; the live one is first in the list.
    others = {} if version or label else services().model.problems()
    usable = {resolved.number: ""}
    problems = usable | dict(reversed(others.items())) | usable
    statuses = [_version_status(number, problem) for number, problem in problems.items()]
    return json_response({"name": model, "ready": True, "model_version_status": statuses})


def _version_status(number: int, problem: str) -> dict[str, Any]:
    # TensorFlow Serving reports a version that can't be loaded in the state END.
    state, code = ("END", "DATA_LOSS") if problem else ("AVAILABLE", "OK")
    status = {"error_code": code, "error_message": problem}
    return {"version": str(number), "state": state, "status": status}


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
@requires("predict")
def predict(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return the scores of `instances` (rows) or `inputs` (columns)."""
    return respond(v1.PREDICT, model, version, label)


@blueprint.post("/<model>:explain")
@blueprint.post("/<model>/versions/<version>:explain")
@blueprint.post("/<model>/labels/<label>:explain")
@requires("predict")
def explain(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return the scores of `instances`, and how each is computed."""
    return respond(v1.EXPLAIN, model, version, label)


@blueprint.post("/<model>:classify")
@blueprint.post("/<model>/versions/<version>:classify")
@blueprint.post("/<model>/labels/<label>:classify")
@requires("predict")
def classify(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return both classes of each of `examples`, the decision first: walk s, stop 1 - s."""
    return respond(v1.CLASSIFY, model, version, label)


@blueprint.post("/<model>:regress")
@blueprint.post("/<model>/versions/<version>:regress")
@blueprint.post("/<model>/labels/<label>:regress")
@requires("predict")
def regress(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return the scores of `examples` as one list."""
    return respond(v1.REGRESS, model, version, label)
