"""Version 2 of the Open Inference Protocol (Triton, KServe): server, model and inference.

docs/protocols.md describes how this server maps the protocol. The model repository is in
`v2_repository`, the format in `inference.codecs.v2`.
"""

from importlib.metadata import version as package_version

from flask import Blueprint, Response

from streetlight.service.inference.codecs import v2
from streetlight.service.inference.codecs.v2_request import (
    HEADER_LENGTH,
    INPUT,
    InferBody,
    NotSupportedError,
)
from streetlight.service.inference.resolution import NoLiveVersionError, live_version
from streetlight.service.web.application import services
from streetlight.service.web.inference import respond
from streetlight.service.web.middleware.auth import public, requires
from streetlight.service.web.middleware.instrumentation import quiet
from streetlight.service.web.openapi.operation import ResponseSpec, operation
from streetlight.service.web.protocols.v1 import BOUNDED, UNUSABLE
from streetlight.service.web.protocols.v1_schemas import ModelNames
from streetlight.service.web.protocols.v2_schemas import (
    V2Config,
    V2ConfigTensor,
    V2InferResponse,
    V2Live,
    V2ModelMetadata,
    V2ModelReady,
    V2Ready,
    V2Server,
    V2TensorMetadata,
)

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
@operation()
def server_metadata() -> V2Server:
    """Return the server's name, version and protocol extensions."""
    return V2Server("streetlight", package_version("streetlight"), EXTENSIONS)


@blueprint.get("/health/live")
@public
@quiet
@operation()
def live() -> V2Live:
    """Return 200 while the process serves requests."""
    return V2Live()


@blueprint.get("/health/ready")
@public
@quiet
@operation(raises=[NoLiveVersionError])
def ready() -> V2Ready:
    """Return 200 if a version is live and can be loaded, 503 otherwise."""
    live_version(services().repository)
    return V2Ready()


@blueprint.get("/models")
@operation()
def models() -> ModelNames:
    """List the names of the models, of which there is one."""
    return ModelNames([services().settings.model_name])


@blueprint.get("/models/<model>/ready")
@blueprint.get("/models/<model>/versions/<version>/ready")
@quiet
@operation(raises=UNUSABLE)
def model_ready(model: str, version: str | None = None) -> V2ModelReady:
    """Return 200 if the version can answer, 503 otherwise."""
    services().model.resolve(model, version)
    return V2ModelReady(model)


@blueprint.get("/models/<model>")
@blueprint.get("/models/<model>/versions/<version>")
@operation(raises=UNUSABLE)
def metadata(model: str, version: str | None = None) -> V2ModelMetadata:
    """Return the model's versions and its input and output tensors."""
    resolved = services().model.resolve(model, version)
    return V2ModelMetadata(
        name=model,
        versions=[str(number) for number in services().repository.versions()],
        platform="numpy_npz",
        inputs=[V2TensorMetadata(INPUT, "FP64", [-1, resolved.network.light_count])],
        outputs=[
            V2TensorMetadata("score", "FP64", [-1, 1]),
            V2TensorMetadata("decision", "BYTES", [-1, 1]),
        ],
        properties={
            "version": str(resolved.number),
            "created_at": resolved.manifest.created_at,
            "sha256": resolved.manifest.sha256,
        },
    )


@blueprint.get("/models/<model>/config")
@blueprint.get("/models/<model>/versions/<version>/config")
@operation(raises=UNUSABLE)
def config(model: str, version: str | None = None) -> V2Config:
    """Return the model's configuration, in the format of Triton's `config.pbtxt` as JSON."""
    lights = services().model.resolve(model, version).network.light_count
    return V2Config(
        name=model,
        platform="numpy_npz",
        backend="numpy",
        version_policy={"all": {}},
        max_batch_size=0,
        input=[V2ConfigTensor(INPUT, "TYPE_FP64", [-1, lights])],
        output=[
            V2ConfigTensor("score", "TYPE_FP64", [-1, 1]),
            V2ConfigTensor("decision", "TYPE_STRING", [-1, 1]),
        ],
    )


@blueprint.post("/models/<model>/infer")
@blueprint.post("/models/<model>/versions/<version>/infer")
@requires("predict")
@operation(
    body=InferBody,
    body_media_types=["application/octet-stream"],
    headers=[HEADER_LENGTH],
    responses={
        200: ResponseSpec(
            V2InferResponse,
            media_types=["application/octet-stream"],
            headers=[HEADER_LENGTH],
        )
    },
    raises=[*BOUNDED, NotSupportedError],
)
def infer(model: str, version: str | None = None) -> Response:
    """Return scores and decisions for the light states in the tensor `lights`.

    A request with binary tensors is the JSON and the bytes of the tensors, and so is the response
    if an output is requested in binary.
    """
    return respond(v2.INFER, model, version)
