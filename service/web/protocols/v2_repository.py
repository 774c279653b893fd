"""The model repository and statistics extensions of the Open Inference Protocol.

docs/protocols.md describes what load and unload do in this server.
"""

from typing import Any

from flask import Blueprint, Response, g
from pydantic import ConfigDict, Field

from streetlight.service.inference.codecs.v2_request import NotSupportedError
from streetlight.service.inference.resolution import parse_version_number
from streetlight.service.observability.inference_statistics import Statistics, inference_statistics
from streetlight.service.validation.request_schema import Schema
from streetlight.service.versions import switching
from streetlight.service.web.application import services
from streetlight.service.web.middleware.auth import requires
from streetlight.service.web.request import parse_body
from streetlight.service.web.response import json_response

blueprint = Blueprint("v2_repository", __name__, url_prefix="/v2")


class LenientSchema(Schema):
    """Base class of request schemas that ignore unknown fields, as the protocol requires."""

    model_config = ConfigDict(extra="ignore")


class IndexBody(LenientSchema):
    """Whether to list only the versions that are ready."""

    ready: bool = False


@blueprint.post("/repository/index")
@requires("read")
def index() -> Response:
    """List the versions; a readable version is ready, unless the model is unloaded."""
    only_ready = parse_body(IndexBody).ready
    name = services().settings.model_name
    is_loaded = services().repository.live_number() is not None
    entries = []
    for number, problem in services().model.problems().items():
        reason = problem or ("" if is_loaded else "unloaded")
        if not reason or not only_ready:
            state = "UNAVAILABLE" if reason else "READY"
            entries.append({"name": name, "version": str(number), "state": state, "reason": reason})
    return json_response(entries)


class LoadBody(LenientSchema):
    """The parameters of load and unload; load takes `version`."""

    parameters: dict[str, Any] = Field(default_factory=dict)


@blueprint.post("/repository/models/<model>/load")
def load(model: str) -> Response:
    """Make a version live: the one in the parameters, or the live or last live one."""
    services().model.check_name(model)
    parameters = parse_body(LoadBody).parameters
    if unknown := set(parameters) - {"version"}:
        raise NotSupportedError(f"load accepts the parameter version, got {min(unknown)[:40]!r}")
    number = None
    if "version" in parameters:
        number = parse_version_number(str(parameters["version"]))
    reason = "loaded through the inference protocol"
    return _response(
        model, True, switching.load(services().repository, number, reason, g.get("key"))
    )


@blueprint.post("/repository/models/<model>/unload")
def unload(model: str) -> Response:
    """Take the model out of service, until a version is loaded or promoted."""
    services().model.check_name(model)
    parse_body(LoadBody)
    reason = "unloaded through the inference protocol"
    return _response(model, False, switching.unload(services().repository, reason, g.get("key")))


def _response(model: str, is_loaded: bool, lagging: list[str]) -> Response:
    names = {"lagging": lagging} if lagging else {}
    return json_response({"name": model, "load": is_loaded, **names})


@blueprint.get("/models/stats")
@blueprint.get("/models/<model>/stats")
@blueprint.get("/models/<model>/versions/<version>/stats")
def statistics(model: str | None = None, version: str | None = None) -> Response:
    """Return each version's counts and durations of predictions since the server's start.

    The predictions of all protocols and all workers are included.
    """
    served = services().model
    served.check_name(model or served.name)
    by_version = inference_statistics()
    numbers = services().repository.versions()
    if version is not None:
        numbers = [served.resolve(version=version).number]
    entries = [_model_stats(served.name, n, by_version.get(n, Statistics())) for n in numbers]
    return json_response({"model_stats": entries})


def _model_stats(name: str, number: int, counts: Statistics) -> dict[str, Any]:
    requests = counts.success_count

    def duration(count: int, nanoseconds: int) -> dict[str, int]:
        return {"count": count, "ns": nanoseconds}

    return {
        "name": name,
        "version": str(number),
        "last_inference": counts.last_inference_ms,
        "inference_count": counts.inference_count,
        "execution_count": counts.execution_count,
        "inference_stats": {
            "success": duration(requests, counts.success_ns),
            "fail": duration(counts.fail_count, counts.fail_ns),
            # Inference has no queue and no cache.
            "queue": duration(requests, 0),
            "compute_input": duration(requests, counts.compute_input_ns),
            "compute_infer": duration(requests, counts.compute_infer_ns),
            "compute_output": duration(requests, counts.compute_output_ns),
            "cache_hit": duration(0, 0),
            "cache_miss": duration(0, 0),
        },
        "response_stats": {},
        "batch_stats": [],
        "memory_usage": [],
    }
