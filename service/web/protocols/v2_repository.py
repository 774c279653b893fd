"""The versions, in the words of the Open Inference Protocol: index, load, unload, statistics.

What load and unload mean here is in docs/protocols.md.
"""

from typing import Any

from flask import Blueprint, Response
from pydantic import Field

from streetlight.model.registry.version import VersionDamagedError
from streetlight.service.inference.resolution import pinned_version
from streetlight.service.inference.v2_request import NotSupportedError
from streetlight.service.observability.inference_statistics import Statistics, inference_statistics
from streetlight.service.web.application import services
from streetlight.service.web.middleware.auth import read_only
from streetlight.service.web.protocols.model_names import (
    LenientSchema,
    check_name,
    version_number,
    version_of,
)
from streetlight.service.web.request import parse_body
from streetlight.service.web.response import json_response

blueprint = Blueprint("v2_repository", __name__, url_prefix="/v2")


class IndexBody(LenientSchema):
    """Which models to list."""

    ready: bool = False


@blueprint.post("/repository/index")
@read_only
def index() -> Response:
    """List the versions; each that can be read is ready, while any is live."""
    only_ready = parse_body(IndexBody).ready
    repository, name = services().repository, services().settings.model_name
    loaded = repository.live_number() is not None
    listed = []
    for number in repository.versions():
        reason = "" if loaded else "unloaded"
        try:
            pinned_version(repository, number)
        except VersionDamagedError as error:
            reason = str(error)
        if not reason or not only_ready:
            state = "UNAVAILABLE" if reason else "READY"
            listed.append({"name": name, "version": str(number), "state": state, "reason": reason})
    return json_response(listed)


class LoadBody(LenientSchema):
    """What to load: the version in the parameters, or the one that answers or did last."""

    parameters: dict[str, Any] = Field(default_factory=dict)


@blueprint.post("/repository/models/<model>/load")
def load(model: str) -> Response:
    """Let a version answer: the one in the parameters, or the one that did last."""
    check_name(model)
    parameters = parse_body(LoadBody).parameters
    if unknown := set(parameters) - {"version"}:
        raise NotSupportedError(f"load takes no parameter but version, got {min(unknown)[:40]!r}")
    repository, reason = services().repository, "loaded through the inference protocol"
    if "version" in parameters:
        repository.promote(version_number(str(parameters["version"])), reason)
    else:
        repository.reload(reason)
    return json_response({"name": model, "load": True})


@blueprint.post("/repository/models/<model>/unload")
def unload(model: str) -> Response:
    """Let no version answer until one is loaded or promoted."""
    check_name(model)
    parse_body(LoadBody)
    services().repository.unload("unloaded through the inference protocol")
    return json_response({"name": model, "load": False})


@blueprint.get("/models/stats")
@blueprint.get("/models/<model>/stats")
@blueprint.get("/models/<model>/versions/<version>/stats")
def statistics(model: str | None = None, version: str | None = None) -> Response:
    """Say what there was to do for each version, in whatever dialect, since the server began."""
    name = services().settings.model_name
    check_name(model or name)
    counted = inference_statistics()
    numbers = services().repository.versions()
    if version is not None:
        numbers = [version_of(name, version).number]
    told = [_told(name, number, counted.get(number, Statistics())) for number in numbers]
    return json_response({"model_stats": told})


def _told(name: str, number: int, counted: Statistics) -> dict[str, Any]:
    done = counted.success_count

    def duration(count: int, nanoseconds: int) -> dict[str, int]:
        return {"count": count, "ns": nanoseconds}

    return {
        "name": name,
        "version": str(number),
        "last_inference": counted.last_inference_ms,
        "inference_count": counted.inference_count,
        "execution_count": counted.execution_count,
        "inference_stats": {
            "success": duration(done, counted.success_ns),
            "fail": duration(counted.fail_count, counted.fail_ns),
            # A request waits for nothing here, and nothing is cached.
            "queue": duration(done, 0),
            "compute_input": duration(done, counted.compute_input_ns),
            "compute_infer": duration(done, counted.compute_infer_ns),
            "compute_output": duration(done, counted.compute_output_ns),
            "cache_hit": duration(0, 0),
            "cache_miss": duration(0, 0),
        },
        "response_stats": {},
        "batch_stats": [],
        "memory_usage": [],
    }
