"""The model repository and statistics extensions of the Open Inference Protocol.

docs/protocols.md describes what load and unload do in this server.
"""

from typing import Any, Literal

from flask import Blueprint, g
from pydantic import ConfigDict, Field

from streetlight.service.inference.codecs.v2_request import NotSupportedError
from streetlight.service.inference.resolution import ModelNotFoundError, parse_version_number
from streetlight.service.observability.inference_statistics import Statistics, inference_statistics
from streetlight.service.validation.request_schema import Schema
from streetlight.service.versions import switching
from streetlight.service.web.application import services
from streetlight.service.web.middleware.auth import requires
from streetlight.service.web.openapi.operation import operation
from streetlight.service.web.protocols.v1 import UNUSABLE
from streetlight.service.web.protocols.v2_schemas import (
    V2Duration,
    V2IndexEntry,
    V2InferStatistics,
    V2Loaded,
    V2ModelStatistics,
    V2Statistics,
)

blueprint = Blueprint("v2_repository", __name__, url_prefix="/v2")


class LenientSchema(Schema):
    """Base class of request schemas that ignore unknown fields, as the protocol requires."""

    model_config = ConfigDict(extra="ignore")


class IndexBody(LenientSchema):
    """Whether to list only the versions that are ready."""

    ready: bool = False


@blueprint.post("/repository/index")
@requires("read")
@operation()
def index(body: IndexBody) -> list[V2IndexEntry]:
    """List the versions; a readable version is ready, unless the model is unloaded."""
    name = services().settings.model_name
    is_loaded = services().repository.live_number() is not None
    entries = []
    for number, problem in services().model.problems().items():
        reason = problem or ("" if is_loaded else "unloaded")
        if not reason or not body.ready:
            state: Literal["READY", "UNAVAILABLE"] = "UNAVAILABLE" if reason else "READY"
            entries.append(V2IndexEntry(name, str(number), state, reason))
    return entries


class LoadBody(LenientSchema):
    """The parameters of load and unload; load takes `version`."""

    parameters: dict[str, Any] = Field(default_factory=dict)


@blueprint.post("/repository/models/<model>/unload")
@operation(raises=[ModelNotFoundError])
def unload(model: str, body: LoadBody) -> V2Loaded:  # noqa: ARG001 - parsed, and not used
    """Take the model out of service, until a version is loaded or promoted."""
    services().model.check_name(model)
    reason = "unloaded through the inference protocol"
    lagging = switching.unload(services().repository, reason, g.get("key"))
    return V2Loaded(model, False, lagging)


@blueprint.post("/repository/models/<model>/load")
@operation(raises=[*UNUSABLE, NotSupportedError])
def load(model: str, body: LoadBody) -> V2Loaded:
    """Make a version live: the one in the parameters, or the live or last live one."""
    services().model.check_name(model)
    parameters = body.parameters
    if unknown := set(parameters) - {"version"}:
        raise NotSupportedError(f"load accepts the parameter version, got {min(unknown)[:40]!r}")
    number = None
    if "version" in parameters:
        number = parse_version_number(str(parameters["version"]))
    reason = "loaded through the inference protocol"
    lagging = switching.load(services().repository, number, reason, g.get("key"))
    return V2Loaded(model, True, lagging)


@blueprint.get("/models/stats")
@blueprint.get("/models/<model>/stats")
@blueprint.get("/models/<model>/versions/<version>/stats")
@operation(raises=UNUSABLE)
def statistics(model: str | None = None, version: str | None = None) -> V2Statistics:
    """Return each version's counts and durations of predictions since the server's start.

    The predictions of all protocols and all workers are included.
    """
    served = services().model
    served.check_name(model or served.name)
    by_version = inference_statistics()
    numbers = services().repository.versions()
    if version is not None:
        numbers = [served.resolve(version=version).number]
    return V2Statistics(
        [_model_stats(served.name, n, by_version.get(n, Statistics())) for n in numbers]
    )


def _model_stats(name: str, number: int, counts: Statistics) -> V2ModelStatistics:
    requests = counts.success_count
    return V2ModelStatistics(
        name=name,
        version=str(number),
        last_inference=counts.last_inference_ms,
        inference_count=counts.inference_count,
        execution_count=counts.execution_count,
        inference_stats=V2InferStatistics(
            success=V2Duration(requests, counts.success_ns),
            fail=V2Duration(counts.fail_count, counts.fail_ns),
            queue=V2Duration(requests, 0),
            compute_input=V2Duration(requests, counts.compute_input_ns),
            compute_infer=V2Duration(requests, counts.compute_infer_ns),
            compute_output=V2Duration(requests, counts.compute_output_ns),
        ),
    )
