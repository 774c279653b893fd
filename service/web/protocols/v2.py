"""Version 2 of the Open Inference Protocol (Triton, KServe): server, model and inference.

docs/protocols.md describes how this server maps the protocol. The model repository is in
`v2_repository`, the format in `inference.codecs.v2`.
"""

from importlib.metadata import version as package_version
from typing import Any

from flask import Blueprint, Response

from streetlight.service.inference.codecs import v2
from streetlight.service.inference.codecs.v2_request import INPUT
from streetlight.service.inference.resolution import live_version
from streetlight.service.web.application import services
from streetlight.service.web.inference import respond
from streetlight.service.web.middleware.auth import public, requires
from streetlight.service.web.response import json_response

blueprint = Blueprint("v2", __name__, url_prefix="/v2")

EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "statistics",
)


@blueprint.get("", strict_slashes=False)
def server_metadata() -> Response:
    """Return the server's name, version and protocol extensions."""
    server = {"name": "streetlight", "version": package_version("streetlight")}
    return json_response(server | {"extensions": EXTENSIONS})


@blueprint.get("/health/live")
@public
def live() -> Response:
    """Return 200 while the process serves requests."""
    return json_response({"live": True})


@blueprint.get("/health/ready")
@public
def ready() -> Response:
    """Return 200 if a version is live and can be loaded, 503 otherwise."""
    live_version(services().repository)
    return json_response({"live": True, "ready": True})


@blueprint.get("/models")
def models() -> Response:
    """List the names of the models, of which there is one."""
    return json_response({"models": [services().settings.model_name]})


@blueprint.get("/models/<model>/ready")
@blueprint.get("/models/<model>/versions/<version>/ready")
def model_ready(model: str, version: str | None = None) -> Response:
    """Return 200 if the version can answer, 503 otherwise."""
    services().model.resolve(model, version)
    return json_response({"name": model, "ready": True})


@blueprint.get("/models/<model>")
@blueprint.get("/models/<model>/versions/<version>")
def metadata(model: str, version: str | None = None) -> Response:
    """Return the model's versions and its input and output tensors."""
    resolved = services().model.resolve(model, version)
    return json_response(
        {
            "name": model,
            "versions": [str(number) for number in services().repository.versions()],
            "platform": "numpy_npz",
            "inputs": [_tensor_metadata(INPUT, "FP64", resolved.network.light_count)],
            "outputs": [
                _tensor_metadata("score", "FP64", 1),
                _tensor_metadata("decision", "BYTES", 1),
            ],
            "properties": {
                "version": str(resolved.number),
                "created_at": resolved.manifest.created_at,
                "sha256": resolved.manifest.sha256,
            },
        }
    )


def _tensor_metadata(name: str, datatype: str, columns: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1, columns]}


@blueprint.get("/models/<model>/config")
@blueprint.get("/models/<model>/versions/<version>/config")
def config(model: str, version: str | None = None) -> Response:
    """Return the model's configuration, in the format of Triton's `config.pbtxt` as JSON."""
    lights = services().model.resolve(model, version).network.light_count
    return json_response(
        {
            "name": model,
            "platform": "numpy_npz",
            "backend": "numpy",
            "version_policy": {"all": {}},
            "max_batch_size": 0,
            "input": [{"name": INPUT, "data_type": "TYPE_FP64", "dims": [-1, lights]}],
            "output": [
                {"name": "score", "data_type": "TYPE_FP64", "dims": [-1, 1]},
                {"name": "decision", "data_type": "TYPE_STRING", "dims": [-1, 1]},
            ],
        }
    )


@blueprint.post("/models/<model>/infer")
@blueprint.post("/models/<model>/versions/<version>/infer")
@requires("predict")
def infer(model: str, version: str | None = None) -> Response:
    """Return scores and decisions for the light states in the tensor `lights`."""
    return respond(v2.INFER, model, version)
