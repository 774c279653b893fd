"""Version 1 of the REST protocol of TensorFlow Serving and KServe.

docs/protocols.md describes how this server maps it. The format is in `inference.codecs.v1`.
"""

from flask import Blueprint, Response

from streetlight.model.registry.repository import VersionNotFoundError
from streetlight.service.inference.codecs import v1
from streetlight.service.inference.codecs.v1 import SIGNATURE
from streetlight.service.inference.codecs.v2_request import INPUT
from streetlight.service.inference.limits import OverloadedError, TooExpensiveError
from streetlight.service.inference.resolution import ModelNotFoundError, NoLiveVersionError
from streetlight.service.web.application import services
from streetlight.service.web.inference import respond
from streetlight.service.web.middleware.auth import requires
from streetlight.service.web.openapi.operation import ResponseSpec, operation
from streetlight.service.web.protocols.v1_schemas import (
    ModelNames,
    V1Classes,
    V1Dimension,
    V1ExamplesBody,
    V1ExplainBody,
    V1Explanations,
    V1Metadata,
    V1ModelSpec,
    V1ModelStatus,
    V1PredictBody,
    V1Predictions,
    V1Regression,
    V1Signature,
    V1Signatures,
    V1TensorInfo,
    V1TensorShape,
    V1VersionError,
    V1VersionStatus,
)

blueprint = Blueprint("v1", __name__, url_prefix="/v1/models")

UNUSABLE = [ModelNotFoundError, VersionNotFoundError, NoLiveVersionError]
BOUNDED = [*UNUSABLE, TooExpensiveError, OverloadedError]


@blueprint.get("")
@operation()
def models() -> ModelNames:
    """List the names of the models, of which there is one."""
    return ModelNames([services().settings.model_name])


@blueprint.get("/<model>")
@blueprint.get("/<model>/versions/<version>")
@blueprint.get("/<model>/labels/<label>")
@operation(raises=UNUSABLE)
def status(model: str, version: str | None = None, label: str | None = None) -> V1ModelStatus:
    """Return the status of every version, or of one."""
    resolved = services().model.resolve(model, version, label)
    # Every version can be requested by its number; the live one is first in the list.
    others = {} if version or label else services().model.problems()
    usable = {resolved.number: ""}
    problems = usable | dict(reversed(others.items())) | usable
    statuses = [_version_status(number, problem) for number, problem in problems.items()]
    return V1ModelStatus(model, True, statuses)


def _version_status(number: int, problem: str) -> V1VersionStatus:
    # TensorFlow Serving reports a version that can't be loaded in the state END.
    state, code = ("END", "DATA_LOSS") if problem else ("AVAILABLE", "OK")
    return V1VersionStatus(str(number), state, V1VersionError(code, problem))


@blueprint.get("/<model>/metadata")
@blueprint.get("/<model>/versions/<version>/metadata")
@blueprint.get("/<model>/labels/<label>/metadata")
@operation(raises=UNUSABLE)
def metadata(model: str, version: str | None = None, label: str | None = None) -> V1Metadata:
    """Return the model's signature: its input and its output."""
    resolved = services().model.resolve(model, version, label)
    signature = V1Signature(
        inputs={INPUT: _tensor_info(-1, resolved.network.light_count)},
        outputs={"score": _tensor_info(-1, 1)},
        method_name="tensorflow/serving/predict",
    )
    spec = V1ModelSpec(model, "", str(resolved.number))
    return V1Metadata(spec, {"signature_def": V1Signatures({SIGNATURE: signature})})


def _tensor_info(*sizes: int) -> V1TensorInfo:
    dims = [V1Dimension(str(size), "") for size in sizes]
    return V1TensorInfo("DT_DOUBLE", V1TensorShape(dims, False))


@blueprint.post("/<model>:predict")
@blueprint.post("/<model>/versions/<version>:predict")
@blueprint.post("/<model>/labels/<label>:predict")
@requires("predict")
@operation(
    body=V1PredictBody,
    responses={200: ResponseSpec(V1Predictions)},
    raises=BOUNDED,
)
def predict(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return the scores of `instances` (rows) or `inputs` (columns)."""
    return respond(v1.PREDICT, model, version, label)


@blueprint.post("/<model>:explain")
@blueprint.post("/<model>/versions/<version>:explain")
@blueprint.post("/<model>/labels/<label>:explain")
@requires("predict")
@operation(body=V1ExplainBody, responses={200: ResponseSpec(V1Explanations)}, raises=BOUNDED)
def explain(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return the scores of `instances`, and how each is computed."""
    return respond(v1.EXPLAIN, model, version, label)


@blueprint.post("/<model>:classify")
@blueprint.post("/<model>/versions/<version>:classify")
@blueprint.post("/<model>/labels/<label>:classify")
@requires("predict")
@operation(body=V1ExamplesBody, responses={200: ResponseSpec(V1Classes)}, raises=BOUNDED)
def classify(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return both classes of each of `examples`, the decision first: walk s, stop 1 - s."""
    return respond(v1.CLASSIFY, model, version, label)


@blueprint.post("/<model>:regress")
@blueprint.post("/<model>/versions/<version>:regress")
@blueprint.post("/<model>/labels/<label>:regress")
@requires("predict")
@operation(body=V1ExamplesBody, responses={200: ResponseSpec(V1Regression)}, raises=BOUNDED)
def regress(model: str, version: str | None = None, label: str | None = None) -> Response:
    """Return the scores of `examples` as one list."""
    return respond(v1.REGRESS, model, version, label)
