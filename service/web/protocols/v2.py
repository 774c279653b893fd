"""The Open Inference Protocol, version 2: what clients of Triton and KServe speak.

The server, the model, and inference; what is done with versions is in `v2_repository`. What the
parts of it mean here is in docs/protocols.md; the tensors are in `inference.v2_request` and
`inference.v2_response`.
"""

from importlib.metadata import version as package_version
from typing import Any

from flask import Blueprint, Response, request

from streetlight.service.inference import v2_request, v2_response
from streetlight.service.inference.resolution import live_version
from streetlight.service.web.application import services
from streetlight.service.web.middleware.auth import read_only
from streetlight.service.web.middleware.compression import compressed
from streetlight.service.web.middleware.instrumentation import inference_view
from streetlight.service.web.protocols.model_names import score_and_count, version_of
from streetlight.service.web.request import read_buffer
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
HEADER_LENGTH = "Inference-Header-Content-Length"


@blueprint.get("", strict_slashes=False)
def server_metadata() -> Response:
    """Say what this server is and can do."""
    about = {"name": "streetlight", "version": package_version("streetlight")}
    return json_response(about | {"extensions": EXTENSIONS})


@blueprint.get("/health/live")
def live() -> Response:
    """Say that the process answers."""
    return json_response({"live": True})


@blueprint.get("/health/ready")
def ready() -> Response:
    """Say that a version is live and loaded; 503 where none is."""
    live_version(services().repository)
    return json_response({"live": True, "ready": True})


@blueprint.get("/models")
def models() -> Response:
    """List the one model there is."""
    return json_response({"models": [services().settings.model_name]})


@blueprint.get("/models/<model>/ready")
@blueprint.get("/models/<model>/versions/<version>/ready")
def model_ready(model: str, version: str | None = None) -> Response:
    """Say that the version can answer."""
    version_of(model, version)
    return json_response({"name": model, "ready": True})


@blueprint.get("/models/<model>")
@blueprint.get("/models/<model>/versions/<version>")
def metadata(model: str, version: str | None = None) -> Response:
    """Describe the model's tensors."""
    found = version_of(model, version)
    return json_response(
        {
            "name": model,
            "versions": [str(number) for number in services().repository.versions()],
            "platform": "numpy_npz",
            "inputs": [_tensor(v2_request.INPUT, "FP64", found.network.light_count)],
            "outputs": [_tensor("score", "FP64", 1), _tensor("decision", "BYTES", 1)],
            "properties": {
                "version": str(found.number),
                "created_at": found.manifest.created_at,
                "sha256": found.manifest.sha256,
            },
        }
    )


def _tensor(name: str, datatype: str, columns: int) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1, columns]}


@blueprint.get("/models/<model>/config")
@blueprint.get("/models/<model>/versions/<version>/config")
def config(model: str, version: str | None = None) -> Response:
    """Describe the model the way Triton's configuration does."""
    lights = version_of(model, version).network.light_count
    return json_response(
        {
            "name": model,
            "platform": "numpy_npz",
            "backend": "numpy",
            "version_policy": {"all": {}},
            "max_batch_size": 0,
            "input": [{"name": "lights", "data_type": "TYPE_FP64", "dims": [-1, lights]}],
            "output": [
                {"name": "score", "data_type": "TYPE_FP64", "dims": [-1, 1]},
                {"name": "decision", "data_type": "TYPE_STRING", "dims": [-1, 1]},
            ],
        }
    )


@blueprint.post("/models/<model>/infer")
@blueprint.post("/models/<model>/versions/<version>/infer")
@read_only
@inference_view
def infer(model: str, version: str | None = None) -> Response:
    """Decide for the light states in the tensor `lights`."""
    found = version_of(model, version)
    header, lights = request.headers.get(HEADER_LENGTH), found.network.light_count
    asked = v2_request.parse(read_buffer(), header, lights)
    scores = score_and_count(found, asked.lights, v2_request.INPUT)
    told = v2_response.render(asked, scores, model, found.number)
    if told.binary is None:
        return compressed(Response(told.header, mimetype="application/json"))
    response = Response([told.header, *told.binary], mimetype="application/octet-stream")
    response.content_length = len(told.header) + sum(map(len, told.binary))
    response.headers[HEADER_LENGTH] = str(len(told.header))
    return compressed(response)
